"""A joint distribution from noisy marginals: the engine of the generators mst, aim and dp-independent.

`grid` cuts each column into public cells, `bins` gathers those into fewer by what noisy counts say, `zeros`
says which combinations the schema rules out. A `junction` tree makes exact inference cheap, `estimation`
finds the distribution of largest entropy that fits the measured marginals (McKenna, Sheldon and Miklau 2019,
"Graphical-model based estimation and inference for differential privacy", ICML), `drawing` draws from it, and
`fitted` is the model: conditions are exact, because evidence is only one more factor.
"""
