"""Are two columns as strongly tied in synthetic patients as in real ones, each pair by its own measure?"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.fidelity.pair_trends import all_and_without_each, pearson
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, is_discrete, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import BooleanColumn, CategoryColumn, LearntColumn, Schema

Whole = NDArray[np.int64]
_TWO = 2
_CONSTANT = 1e-12
_MEASURES = ("cramers_v", "correlation_ratio", "pearson", "spearman")


class _Found(NamedTuple):
    """Per pair and measure, (1 + groups) values of one table; a pair of numbers stands here twice."""

    values: Floats
    entries: tuple[tuple[int, int, str], ...]


class _Side(NamedTuple):
    """One table: the columns' values, ranks, and places among the levels that occur (-1 for missing).

    `group` holds each row's random group, 0 to `groups` - 1; with 0 groups none is left out.
    """

    numbers: Floats
    ranks: Floats
    codes: Whole
    levels: tuple[int, ...]
    group: Whole
    groups: int


def association(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How far the strength of association between two columns is off, on average over pairs.

    Each pair has the measure that its kinds ask for, over the patients with both values: two categories
    Cramer's V with the bias correction of Bergsma (2013, doi 10.1016/j.jkss.2012.10.002); a category and a
    number the correlation ratio eta, its square corrected for the number of categories (Kelley 1935,
    doi 10.1073/pnas.21.9.554); two numbers, dates, durations or ordered categories Pearson's and Spearman's
    correlation, each for half. Ranks are those among all known values of a column. The score is the mean over
    pairs of the absolute difference between synthetic and held-out patients; a pair that a constant column
    leaves unknown in one of the tables does not count. Unlike `pair_trends`, columns without any association
    earn nothing here for being well distributed one by one.

    Range and direction: 0 to 2 (0 to 1 where no correlation changes sign), lower is closer; 0 is perfect. The
    interval is a jackknife over groups of patients; `reference` is the training table against the holdout.
    `details` has the mean error of each measure, each pair's values in both tables, and the score within
    each protected group, intersection and site.
    """
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    if len(real.columns) < _TWO or min(len(real), len(other)) < _TWO:
        why = "not measurable here: two columns and two rows of each table are needed"
        return Score("association", None, None, None, None, "lower", {}, why)
    pairs = _pairs(len(real.columns), seed)
    known, made, expected = (
        _associations(_side(t, seed, name), t, pairs)
        for t, name in ((real, "real"), (other, "other"), (fresh, "other"))
    )
    difference, reference = np.abs(known.values - made.values), np.abs(known.values - expected.values)
    weights = _weights(known.entries)
    report = part(progress, 0.4, 1.0)
    details = {
        "measures": _by_measure(known.entries, difference[0], reference[0]),
        "pairs": [
            _pair(real, entry, known.values[0, k], made.values[0, k]) for k, entry in enumerate(known.entries)
        ],
        "pairs_of_all": [int(weights.sum()), len(real.columns) * (len(real.columns) - 1) // 2],
        "groups": _groups(schema, (real, other, fresh), pairs, report),
    }
    return score_of(
        "association",
        _mean(difference, weights),
        _mean(reference, weights),
        better="lower",
        details=details,
        unknown="no pair of columns has an association in both tables",
    )


def _side(table: Matrix, seed: int | None, name: str) -> _Side:
    codes = np.full(table.values.shape, -1)
    levels = []
    for place, column in enumerate(table.columns):
        known = ~np.isnan(table.values[:, place])
        found: Whole = np.empty(0, np.int64)
        if not _has_order(column):
            found, codes[known, place] = np.unique(table.values[known, place], return_inverse=True)
        levels.append(len(found))
    none = np.zeros(len(table), np.int64)
    group = none if seed is None else random_groups(len(table), seed, name)
    groups = 0 if seed is None else protocol().groups
    return _Side(table.values, _ranks(table), codes, tuple(levels), group, groups)


def _pairs(columns: int, seed: int) -> list[tuple[int, int]]:
    every = list(combinations(range(columns), 2))
    most = protocol().pairs
    if len(every) <= most:
        return every
    drawn = numpy_generator(seed, "pairs").choice(len(every), size=most, replace=False)
    return [every[place] for place in np.sort(drawn)]


def _has_order(column: LearntColumn) -> bool:
    ordered = isinstance(column, CategoryColumn) and column.ordered
    return ordered or not (is_discrete(column) or isinstance(column, BooleanColumn))


def _ranks(table: Matrix) -> Floats:
    """Mid-ranks of each column among its known values, 0 to 1."""
    ranks = stats.rankdata(table.values, axis=0, nan_policy="omit")
    return np.asarray(ranks / max(1, len(table)))


def _associations(side: _Side, table: Matrix, pairs: list[tuple[int, int]]) -> _Found:
    order = [_has_order(column) for column in table.columns]
    place = np.flatnonzero(order)
    position = {int(p): k for k, p in enumerate(place)}
    correlations = {
        name: _correlations(values[:, place], side)
        for name, values in (("pearson", side.numbers), ("spearman", side.ranks))
        if len(place)
    }
    values, entries = [], []
    for a, b in pairs:
        for name in _measures(order[a], order[b]):
            if name in correlations:
                value = correlations[name][:, position[a], position[b]]
            elif name == "cramers_v":
                value = _cramer(side, a, b)
            else:
                value = _ratio(side, *((a, b) if order[b] else (b, a)))
            values.append(value)
            entries.append((a, b, name))
    return _Found(np.stack(values, axis=1), tuple(entries))


def _measures(first: bool, second: bool) -> tuple[str, ...]:  # noqa: FBT001 - whether each has an order
    if first and second:
        return ("pearson", "spearman")
    return ("correlation_ratio",) if first or second else ("cramers_v",)


def _correlations(values: Floats, side: _Side) -> Floats:
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    centre = np.where(present, values, 0.0).sum(axis=0) / count
    x = np.where(present, values - centre, 0.0)
    spread = np.sqrt((x**2).sum(axis=0) / count)
    x = x / np.where(spread > 0, spread, 1.0)
    sums = all_and_without_each(x, present.astype(np.float64), side.group, side.groups)
    return pearson(sums, spread > 0)


def _sums(place: Whole, weights: Floats | None, shape: tuple[int, ...], side: _Side) -> Floats:
    """(1 + groups) x shape: sums over all rows, then without each group; `place` holds the group first."""
    groups = max(1, side.groups)
    counts = np.bincount(place, weights, minlength=groups * int(np.prod(shape))).reshape(groups, *shape) * 1.0
    total = counts.sum(axis=0)
    return np.concatenate([total[None], total - counts]) if side.groups else total[None]


def _cramer(side: _Side, first: int, second: int) -> Floats:
    a, b = side.codes[:, first], side.codes[:, second]
    both = (a >= 0) & (b >= 0)
    shape = side.levels[first], side.levels[second]
    place = (side.group * shape[0] + a) * shape[1] + b
    return _corrected_v(_sums(place[both], None, shape, side))


def _corrected_v(table: Floats) -> Floats:
    """Cramer's V of contingency tables with Bergsma's correction, 0 to 1; NaN where a side has one value."""
    across, down = table.sum(axis=2), table.sum(axis=1)
    n, rows, columns = across.sum(axis=1), (across > 0).sum(axis=1), (down > 0).sum(axis=1)
    expected = across[:, :, None] * down[:, None, :]
    phi = (table**2 / np.where(expected > 0, expected, 1)).sum(axis=(1, 2)) - 1
    free = np.maximum(n - 1, 1)
    phi = np.maximum(0.0, phi - (rows - 1) * (columns - 1) / free)
    sides = np.minimum(rows - (rows - 1) ** 2 / free, columns - (columns - 1) ** 2 / free) - 1
    known = (np.minimum(rows, columns) >= _TWO) & (sides > 0)
    ratio = np.minimum(1.0, phi / np.where(known, sides, 1.0))
    return np.where(known, np.sqrt(ratio), np.nan)


def _ratio(side: _Side, listed: int, number: int) -> Floats:
    """The correlation ratio of a number over the categories, corrected for their number, 0 to 1."""
    codes, levels = side.codes[:, listed], side.levels[listed]
    both = (codes >= 0) & ~np.isnan(side.numbers[:, number])
    y = side.numbers[both, number]
    spread = y.std() if len(y) else 0.0
    if levels < _TWO or spread == 0:
        return np.full(1 + side.groups, np.nan)
    y = (y - y.mean()) / spread
    place = (side.group * levels + codes)[both]
    n, total, squares = (_sums(place, weights, (levels,), side) for weights in (None, y, y**2))
    return _corrected_ratio(n, total, squares.sum(axis=1))


def _corrected_ratio(n: Floats, total: Floats, squares: Floats) -> Floats:
    rows, levels = n.sum(axis=1), (n > 0).sum(axis=1)
    whole = squares - total.sum(axis=1) ** 2 / np.maximum(rows, 1)
    within = squares - (total**2 / np.maximum(n, 1)).sum(axis=1)
    free = rows - levels
    known = (whole > _CONSTANT * np.maximum(rows, 1)) & (free > 0) & (levels > 1)
    left = np.where(known, within / np.where(known, whole, 1) * (rows - 1) / np.where(known, free, 1), np.nan)
    return np.asarray(np.sqrt(np.clip(1 - left, 0, 1)))


def _weights(entries: tuple[tuple[int, int, str], ...]) -> Floats:
    return np.array([0.5 if name in {"pearson", "spearman"} else 1.0 for _, _, name in entries])


def _mean(difference: Floats, weights: Floats) -> Floats:
    """The weighted mean over pairs known in both tables, for all rows and with each group left out."""
    known = ~np.isnan(difference[0])
    if not known.any():
        return np.full(len(difference), np.nan)
    filled = np.where(np.isnan(difference), difference[0], difference)[:, known]
    return np.asarray(filled @ weights[known] / weights[known].sum())


def _by_measure(
    entries: tuple[tuple[int, int, str], ...], found: Floats, reference: Floats
) -> dict[str, Any]:
    names = np.array([name for _, _, name in entries])

    def mean(values: Floats, chosen: Mask) -> float | None:
        return one_by_one(mean_of_known(values[chosen][None]))[0] if chosen.any() else None

    return {
        name: {"error": mean(found, names == name), "reference": mean(reference, names == name)}
        for name in _MEASURES
        if (names == name).any()
    }


def _pair(real: Matrix, entry: tuple[int, int, str], known: float, made: float) -> dict[str, Any]:
    a, b, name = entry
    pair = {"first": real.names[a], "second": real.names[b], "measure": name}
    return pair | dict(zip(("real", "synthetic"), one_by_one([known, made]), strict=True))


def _groups(
    schema: Schema,
    tables: tuple[Matrix, Matrix, Matrix],
    pairs: list[tuple[int, int]],
    report: Progress,
) -> dict[str, Any]:
    groups = strata(schema, tables)
    place = {one.name: k / len(groups.measured) for k, one in enumerate(groups.measured)}

    def score(one: Stratum) -> dict[str, float | None]:
        report(place[one.name], "association: groups")
        parts = [t.rows(mask) for t, mask in zip(tables, one.masks, strict=True)]
        known, *others = (_associations(_side(t, None, ""), t, pairs) for t in parts)
        means = [_mean(np.abs(known.values - other.values), _weights(known.entries))[0] for other in others]
        return dict(zip(("value", "reference"), one_by_one(means), strict=True))

    return by_group(groups, score)
