"""Can a patient known by a few traits be named in the synthetic table, and is anything learnt by it?"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, Places, is_discrete, row_hashes
from ehrsynth.evaluation.privacy.success import rates, worst
from ehrsynth.evaluation.privacy.targets import Scene, scene
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.statistics import interval_of_influence
from ehrsynth.tables.grids import grid

_NAME = "identity_disclosure"
_WHAT = "a match that tells something new"
_MORE = "a match that tells most"
_BANDS = 100  # the attacker knows a number to a hundredth of the schema's range: an age to about a year
_FALLBACK = 5  # listed columns taken for known where no role names one
_NEWS = 0.05  # share of the other columns that must tell something new
_MOST = 0.5  # share of what would be new in the whole row
_USUAL = 0.5  # a value that so many patients share is no news
_NEEDED = "a column that is listed, protected or a quasi-identifier and one other are needed"
_MATCHES = 20  # matching synthetic rows that are looked at for each patient
_MANY = 50.0  # patients of a class from which a short formula is as good as the exact one


class Known(NamedTuple):
    """Column positions: what the attacker knows, wants to know, does not know; how the first were taken."""

    traits: tuple[int, ...]
    others: tuple[int, ...]
    rest: tuple[int, ...]
    how: str


class News(NamedTuple):
    """For each attacked patient the share of matching rows that tell something new, and that tell most."""

    something: Floats
    most: Floats


def identity_disclosure(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How likely a member is named through a matching synthetic row that also tells something new of them.

    After the meaningful identity disclosure risk of El Emam, Mosquera and Bass (2020, doi 10.2196/23139). The
    attacker knows the quasi-identifiers of patients and looks for synthetic rows that equal them there; the
    right one of F patients of the population with equal traits is named with chance 1 / F. A match counts by
    the share of the matching rows that tell something new: of at least 5 % of the other columns (the
    sensitive ones, where the schema names any) a value that less than half of the patients have, or a number
    with at most 5 % of the patients between it and the true one. Beside it, for its power against copies: the
    same with half of all that would be new in the whole row.

    `attack` is the mean over members (the paper's direction from sample to population), `control` the same
    over patients whom the generator never saw (nothing is learnt from the reference), `value` the excess of
    the two. The other direction, from population to sample, is 1 / f
    for f members of equal traits, as a mean over the population; where members are a random part of it, it
    is the smaller in expectation. `details["risk"]` is the larger of the two directions without the control
    taken off: that is what the 0.09 of EMA Policy 0070 was set for.

    Three choices are ours. The population is as large as the schema's `population` says, and 1 / F is then
    its expectation given the class among all patients known here (`named_by_chance`); where the schema does
    not say it, members and all others stand for the population, which makes classes smaller and the risk
    larger than in a whole country. Errors in the data and matches that cannot be verified, by which the paper
    lowers the risk, are left out. Numbers among the known traits are compared in 100 bands of the schema's
    range.

    The traits are the columns with the role quasi_identifier, else protected, else the five listed columns of
    the fewest levels; `details` says which.

    Range and direction: 0 to 1, lower is safer.
    """
    there = scene((members, non_members, reference, synthetic), schema, seed=seed)
    known = known_columns(there.synthetic, schema)
    if not known.traits or not known.others:
        return worst(_NAME, [], if_none=_NEEDED)
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    news = told(there, known, seed, silent if progress is None else progress)
    patients = _Patients.of(there, known, schema)
    chance = patients.chance
    details = _directions(there, known, news.something, patients) | {
        "traits": [there.synthetic.names[c] for c in known.traits],
        "traits_are": known.how,
        "others": [there.synthetic.names[c] for c in known.others],
    }
    named = {_WHAT: news.something * chance, _MORE: news.most * chance}
    attempts = [rates(what, *there.parted(found), None) for what, found in named.items()]
    evidence = [there.evidence(_NAME, what, found, graded=False) for what, found in named.items()]
    risk = worst(_NAME, attempts, if_none="", evidence=evidence)
    return replace(risk, details={**risk.details, **details})


def known_columns(made: Matrix, schema: Schema) -> Known:
    """What the attacker knows and wants to know."""
    places = {name: place for place, name in enumerate(made.names)}
    traits: tuple[int, ...] = ()
    how = f"the {_FALLBACK} listed columns of the fewest levels: no role names one"
    for role in ("quasi_identifier", "protected"):
        if not traits and (traits := tuple(sorted(places[n] for n in schema.with_role(role) if n in places))):
            how = f"columns with the role {role}"
    if not traits:
        listed = [c for c, column in enumerate(made.columns) if is_discrete(column)]
        fewest = sorted(listed, key=lambda c: (made.columns[c].size, made.names[c]))[:_FALLBACK]
        traits = tuple(sorted(fewest[: len(made.columns) - 1]))
    sensitive = {places[n] for n in schema.with_role("sensitive") if n in places} - set(traits)
    every = set(range(len(made.columns))) - set(traits)
    return Known(traits, tuple(sorted(sensitive or every)), tuple(sorted(every)), how)


def classes(table: Matrix, traits: tuple[int, ...]) -> Places:
    """One number for each row, equal where all traits are; a gap is a value of its own."""
    cells = table.values[:, traits].copy()
    for place, trait in enumerate(traits):
        steps = grid(table.columns[trait])
        if not is_discrete(table.columns[trait]) and steps.size > _BANDS:
            cells[:, place] = np.floor((cells[:, place] - steps.low) / (steps.high - steps.low) * _BANDS)
    return row_hashes(cells + 0.0).astype(np.int64)


def sizes(of: Places, among: Places) -> Floats:
    """How many rows among others are of the class of each row, at least 1."""
    levels, counts = np.unique(among, return_counts=True)
    place = np.minimum(np.searchsorted(levels, of), len(levels) - 1)
    return np.where(levels[place] == of, counts[place], 1).astype(np.float64)


def told(there: Scene, known: Known, seed: int, report: Progress) -> News:
    """What the synthetic rows that match each attacked patient tell; 0 where none matches."""
    made = there.synthetic.shuffled(numpy_generator(seed, _NAME, "synthetic"))
    wanted, there_are = classes(there.everybody, known.traits), classes(made, known.traits)
    order = np.argsort(there_are, kind="stable")
    first = np.searchsorted(there_are[order], wanted)
    matches = np.searchsorted(there_are[order], wanted, side="right") - first
    looked = np.minimum(matches, _MATCHES)
    columns = {column: _Usual(there.everybody, made, column) for column in known.rest}
    least = np.ceil(_NEWS * len(known.others))
    most = np.maximum(1, _MOST * sum(column.could.astype(np.float64) for column in columns.values()))
    something, whole = np.zeros(len(wanted)), np.zeros(len(wanted))
    for turn in range(int(looked.max(initial=0))):
        report(turn / _MATCHES, "identity disclosure")
        patients = np.flatnonzero(looked > turn)
        rows = order[first[patients] + turn]
        learnt = {column: usual.news(patients, rows) for column, usual in columns.items()}
        something[patients] += sum(learnt[c].astype(np.int64) for c in known.others) >= least
        whole[patients] += sum(found.astype(np.int64) for found in learnt.values()) >= most[patients]
    return News(something / np.maximum(looked, 1), whole / np.maximum(looked, 1))


class _Usual:
    """One unknown column: what a synthetic row tells of a patient, and how usual that is among patients."""

    def __init__(self, patients: Matrix, made: Matrix, column: int) -> None:
        self._truth, self._guess = patients.values[:, column], made.values[:, column]
        self._numeric = not (patients.nominal[column] or is_discrete(patients.columns[column]))
        among = np.sort(self._truth[~np.isnan(self._truth)])
        self._patients = max(1, len(among))
        self._of_truth, self._of_guess = (
            (np.searchsorted(among, side), np.searchsorted(among, side, side="right"))
            for side in (self._truth, self._guess)
        )

    @property
    def could(self) -> Mask:
        """Of which patients the true value would be news."""
        share = (self._of_truth[1] - self._of_truth[0]) / self._patients
        return np.asarray(~np.isnan(self._truth) & (share < _USUAL))

    def news(self, patients: Places, rows: Places) -> Mask:
        """Whether each row tells something new of each patient; never of a value that is missing."""
        truth, guess = self._truth[patients], self._guess[rows]
        below = np.minimum(self._of_truth[0][patients], self._of_guess[0][rows])
        upto = np.maximum(self._of_truth[1][patients], self._of_guess[1][rows])
        between = (upto - below) / self._patients
        found = (truth == guess) & (between < _USUAL)
        if self._numeric:
            found |= (between <= _NEWS) & ~np.isnan(truth) & ~np.isnan(guess)
        return np.asarray(found)


class _Patients(NamedTuple):
    """All attacked patients: the class of each, the chance that one of it is right, and the population."""

    classes: Places
    chance: Floats
    population: int
    declared: bool

    @classmethod
    def of(cls, there: Scene, known: Known, schema: Schema) -> "_Patients":
        """The patients as they fall into classes of equal traits."""
        found = classes(there.everybody, known.traits)
        declared = schema.population is not None and schema.population.value >= len(found)
        population = schema.population.value if schema.population and declared else len(found)
        chance = named_by_chance(sizes(found, found), len(found) / population)
        return cls(found, chance, population, declared)


def named_by_chance(known: Floats, share: float) -> Floats:
    """The expected 1 / F of the population's class, given that `known` of it are among the patients here.

    (p^f / f) 2F1(f, f; f + 1; 1 - p) for f patients known and a sampling fraction p, and from 50 patients
    on p / (f - 1 + p), which is as good there (Benedetti and Franconi 1998; Polettini 2003, both for
    mu-ARGUS). More than p / f: who is alone here may be one of few.

    Parameters
    ----------
    share
        Sampling fraction, above 0 to 1; at 1 it is 1 / f.

    >>> named_by_chance(np.array([1.0, 2.0]), 1.0).tolist(), named_by_chance(np.array([1.0]), 0.01).round(3)
    ([1.0, 0.5], array([0.047]))
    """
    if share >= 1:
        return 1 / known
    from scipy.special import hyp2f1  # here: SciPy is slow to import

    levels, place = np.unique(known, return_inverse=True)
    few = levels[levels < _MANY]
    exact = share**few / few * hyp2f1(few, few, few + 1, 1 - share)
    return np.asarray(np.append(exact, share / (levels[levels >= _MANY] - 1 + share))[place])


def _directions(there: Scene, known: Known, news: Floats, patients: _Patients) -> dict[str, Any]:
    """Both directions for members and for non-members, and the larger one as the paper's risk."""
    made = classes(there.synthetic, known.traits)
    sides: dict[str, dict[str, float]] = {}
    larger: dict[str, Floats] = {}
    for side, rows in (
        ("members", slice(0, len(there.members))),
        ("non_members", slice(len(there.members), None)),
    ):
        own = patients.classes[rows]
        directions = {
            "sample_to_population": news[rows] * patients.chance[rows],
            "population_to_sample": news[rows] / sizes(own, own) * len(own) / patients.population,
        }
        means = {direction: float(each.mean()) for direction, each in directions.items()}
        larger[side] = max(directions.values(), key=lambda each: float(each.mean()))
        sides[side] = means | {"matched": float(np.isin(own, made).mean())}
    risk = float(larger["members"].mean())
    return {
        "risk": risk,
        "risk_interval": interval_of_influence(risk, larger["members"] - risk, bounds=(0.0, 1.0))._asdict(),
        "risk_of_unseen": float(larger["non_members"].mean()),
        "directions": sides,
        "population": patients.population,
        "population_is": "declared by the schema" if patients.declared else "the patients of this table",
        "sampling_fraction": len(there.members) / patients.population,
    }
