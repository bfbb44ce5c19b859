"""Is the time between two dates right: the stay, the waiting, the time to death?"""

from itertools import combinations

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.fidelity.likeness import likeness, likeness_by_group
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, silent
from ehrsynth.schema import DatetimeColumn, Schema
from ehrsynth.tables.times import SECONDS_A_DAY, time_lies_between

_Pair = tuple[int, int]


def times_between(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How alike the times between two dates are, on average over all pairs of dates.

    Each date by itself, and its correlation with the other, may be right and the stay between them wrong by
    months. For each pair of date and datetime columns the differences (in days; a datetime beside a date
    counts by its day) are compared: 1 less their Kolmogorov-Smirnov distance. So are the differences of two
    numbers that an inequality of the schema puts in order. Patients who lack either are left out.

    Range and direction: 0 to 1, higher is closer. The interval is a jackknife over groups of patients;
    `reference` is the training table against the holdout. `details` has each pair's score and reference, and
    the mean within each protected group, intersection and site.
    """
    report = progress or silent
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    pairs = _pairs(real, schema)
    found = _scores(real, other, pairs, seed)
    report(0.4, "times between dates: reference")
    reference = _scores(real, fresh, pairs, seed)
    report(0.7, "times between dates: groups")
    details = {
        "pairs": [
            {"columns": [real.names[place] for place in pair], "score": score, "reference": expected}
            for pair, score, expected in zip(
                pairs, one_by_one(found[0]), one_by_one(reference[0]), strict=True
            )
        ],
        "groups": likeness_by_group(
            schema, (real, other, fresh), lambda one, two: _scores(one, two, pairs, seed)
        ),
    }
    return score_of(
        "times_between",
        mean_of_known(found),
        mean_of_known(reference),
        better="higher",
        details=details,
        unknown="no two dates, or numbers in an order, have values in both tables",
    )


def _pairs(table: Matrix, schema: Schema) -> list[_Pair]:
    columns = table.columns
    every = combinations(range(len(columns)), 2)
    return [(a, b) for a, b in every if time_lies_between(schema, columns[a], columns[b])]


def _scores(real: Matrix, other: Matrix, pairs: list[_Pair], seed: int) -> Floats:
    """(1 + groups) x pairs: the scores of all rows, then with each group left out."""
    groups = random_groups(len(real), seed, "real"), random_groups(len(other), seed, "other")
    scores = np.empty((1 + protocol().groups, len(pairs)))
    for at, pair in enumerate(pairs):
        scores[:, at] = likeness((_between(real, pair), _between(other, pair)), groups, discrete=False)
    return scores


def _between(table: Matrix, pair: _Pair) -> Floats:
    """The second less the first: days between dates, whole ones where one of them has no time of day."""
    sides, values = [table.columns[place] for place in pair], table.values[:, list(pair)]
    timed = np.array([isinstance(side, DatetimeColumn) for side in sides])
    values = np.where(timed, values / SECONDS_A_DAY, values)
    if timed.any() and not timed.all():
        values = np.floor(values)
    return np.asarray(values[:, 1] - values[:, 0])
