"""TabDDPM as synthcity has it, with its defaults (Apache-2.0); missing values, refused, get words."""

import pandas as pd
from measured import Job, System, run, with_missing, without_missing
from synthcity.plugins import Plugins
from synthcity.plugins.core.dataloader import GenericDataLoader


def learn(table: pd.DataFrame, job: Job):
    """Fit with defaults."""
    # It takes text for free text: words become places in their order, and come back in `draw`.
    whole, words = without_missing(table), {}
    for name in whole.columns:
        if whole[name].dtype == object:
            whole[name], words[name] = pd.factorize(whole[name], sort=True)
    model = Plugins().get("ddpm", random_state=job["seed"])
    model.fit(GenericDataLoader(whole, random_state=job["seed"]))
    return model, words, list(table.columns)


def draw(learnt, rows: int, job: Job) -> pd.DataFrame:
    """Synthetic rows."""
    model, words, names = learnt
    made = model.generate(rows, random_state=job["seed"]).dataframe().reset_index(drop=True)
    for name, values in words.items():
        places = made[name].astype(float).round().clip(0, len(values) - 1).astype(int)
        made[name] = pd.Series(values.to_numpy()[places], dtype=object)
    return with_missing(made, names)


if __name__ == "__main__":
    run(System(learn, draw))
