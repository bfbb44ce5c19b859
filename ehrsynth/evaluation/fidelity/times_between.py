"""Is the time between two dates right: the stay, the waiting, the time to death?"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.fidelity.likeness import likeness
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of, unit_jackknife
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.progress import Progress, silent
from ehrsynth.schema import DateColumn, DatetimeColumn, Inequality, LearntColumn, Schema

_DAY = 86_400  # seconds

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
        "groups": _groups(schema, (real, other, fresh), pairs, seed),
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
    ruled = [{rule.low, rule.high} for rule in schema.constraints if isinstance(rule, Inequality)]

    def compared(one: LearntColumn, other: LearntColumn) -> bool:
        dated = isinstance(one, DateColumn | DatetimeColumn), isinstance(other, DateColumn | DatetimeColumn)
        return all(dated) or (not any(dated) and {one.name, other.name} in ruled)

    columns = table.columns
    return [pair for pair in combinations(range(len(columns)), 2) if compared(*(columns[p] for p in pair))]


def _scores(real: Matrix, other: Matrix, pairs: list[_Pair], seed: int) -> Floats:
    """(1 + groups) x pairs: the scores of all rows, then with each group left out."""
    groups = random_groups(len(real), seed, "real"), random_groups(len(other), seed, "other")
    scores = np.empty((1 + protocol().groups, len(pairs)))
    for at, pair in enumerate(pairs):
        scores[:, at] = likeness((_between(real, pair), _between(other, pair)), groups, discrete=False)
    return scores


def _between(table: Matrix, pair: _Pair) -> Floats:
    """The second less the first: days between dates, whole ones where one of them has no time of day."""
    columns, values = [table.columns[place] for place in pair], [table.values[:, place] for place in pair]
    timed = [isinstance(column, DatetimeColumn) for column in columns]
    if any(timed):
        values = [v / _DAY if is_timed else v for v, is_timed in zip(values, timed, strict=True)]
    if any(timed) and not all(timed):
        values = [np.floor(v) for v in values]
    return np.asarray(values[1] - values[0])


def _groups(
    schema: Schema, tables: tuple[Matrix, Matrix, Matrix], pairs: list[_Pair], seed: int
) -> Mapping[str, Any]:
    def score(one: Stratum) -> dict[str, float | None]:
        real, other, fresh = (t.rows(mask) for t, mask in zip(tables, one.masks, strict=True))
        scores = [mean_of_known(_scores(real, table, pairs, seed)) for table in (other, fresh)]
        value, low, high = unit_jackknife(scores[0])
        return {"value": value, "low": low, "high": high, "reference": one_by_one(scores[1][:1])[0]}

    return by_group(strata(schema, tables), score)
