"""Do columns move together as they do in real patients?"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix, whole_numbers
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import DateColumn, Schema
from ehrsynth.tables.times import SECONDS_A_DAY

Whole = NDArray[np.int64]
Pair = tuple[int, int]

_BINS = 10
_LARGEST_TABLE = 20_000  # cells of a contingency table that are counted in place; more are renumbered first
_CONSTANT = 1e-12


@dataclass(frozen=True, slots=True)
class _Side:
    """One table as the two measures want it: numbers for correlations, whole numbers for contingency.

    `cells` mean the same in both tables. `ranks` number what each column has in this one from 0 on, and
    `held` is how many rows have each. `group` holds each row's random group, 0 to `groups` - 1; with 0 groups
    none is left out.
    """

    numbers: Floats
    cells: Whole
    ranks: Whole
    held: tuple[Whole, ...]
    group: Whole
    groups: int


@dataclass(frozen=True, slots=True)
class _Trends:
    """Per pair: (1 + groups) scores, and the strength of the association in both tables, 0 to 1."""

    pairs: tuple[Pair, ...]
    scores: Floats
    strength: Floats


def pair_trends(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How alike pairs of columns are associated, on average: the Column Pair Trends of sdmetrics.

    Two numbers, dates or durations: 1 less half the difference of Pearson's correlations over the rows where
    both are present (CorrelationSimilarity); unknown where a column is constant. Any other pair: 1 less the
    total variation distance of the two contingency tables (ContingencySimilarity), missing as a value of its
    own, numbers cut into ten bins of equal width between the smallest and the largest value of *their own
    table*, as sdmetrics does: a shifted column may score well here, and `column_shapes` finds it. The mean is
    over all pairs (sdmetrics' property without its association thresholds).

    Range and direction: 0 to 1, higher is closer. The interval is a jackknife over groups of patients;
    `reference` is the training table against the holdout. `details["pairs"]` has for each pair its score and
    the strength of the association in both tables (absolute correlation, Cramer's V), 0 to 1;
    `details["groups"]` the score within each protected group, intersection and site.
    """
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    chosen = _pairs(len(real.columns), seed)
    found = _trends((real, other), chosen, seed, part(progress, 0.0, 0.3))
    reference = _trends((real, fresh), chosen, seed, part(progress, 0.3, 0.6))
    details = {
        "pairs": [_entry(real, found, place) for place in range(len(chosen))],
        "pairs_of_all": [len(chosen), len(real.columns) * (len(real.columns) - 1) // 2],
        "groups": _groups(schema, (real, other, fresh), chosen, part(progress, 0.6, 1.0)),
    }
    return score_of(
        "pair_trends",
        mean_of_known(found.scores),
        mean_of_known(reference.scores),
        better="higher",
        details=details,
        unknown="no pair of columns has an association in both tables",
    )


def _entry(real: Matrix, found: _Trends, place: int) -> dict[str, Any]:
    a, b = found.pairs[place]
    numeric = not (real.discrete[a] or real.discrete[b])
    score, strengths = found.scores[0, place], found.strength[:, place]
    return {
        "first": real.names[a],
        "second": real.names[b],
        "measure": "correlation" if numeric else "contingency",
        "score": None if np.isnan(score) else float(score),
        "real": None if np.isnan(strengths[0]) else float(strengths[0]),
        "synthetic": None if np.isnan(strengths[1]) else float(strengths[1]),
    }


def _pairs(columns: int, seed: int) -> tuple[Pair, ...]:
    every = list(combinations(range(columns), 2))
    most = protocol().pairs
    if len(every) <= most:
        return tuple(every)
    drawn = numpy_generator(seed, "pairs").choice(len(every), size=most, replace=False)
    return tuple(every[place] for place in np.sort(drawn))


def _groups(
    schema: Schema, tables: tuple[Matrix, Matrix, Matrix], pairs: tuple[Pair, ...], report: Progress
) -> dict[str, Any]:
    groups = strata(schema, tables)
    place = {one.name: number / len(groups.measured) for number, one in enumerate(groups.measured)}

    def score(one: Stratum) -> dict[str, float | None]:
        report(place[one.name], "pair trends: groups")
        real, *others = (table.rows(mask) for table, mask in zip(tables, one.masks, strict=True))
        found = [mean_of_known(_trends((real, other), pairs, None, silent).scores)[0] for other in others]
        return dict(zip(("value", "reference"), one_by_one(found), strict=True))

    return by_group(groups, score)


def _trends(
    tables: tuple[Matrix, Matrix], pairs: tuple[Pair, ...], seed: int | None, report: Progress
) -> _Trends:
    """The trends of all rows and with each random group left out; of all rows alone without a seed."""
    discrete = tables[0].discrete
    sides = _sides(tables, seed)
    scores = np.full((1 + sides[0].groups, len(pairs)), np.nan)
    strength = np.full((2, len(pairs)), np.nan)
    numeric = [place for place, (a, b) in enumerate(pairs) if not (discrete[a] or discrete[b])]
    if numeric:
        a, b = np.array([pairs[place] for place in numeric]).T
        r = [_correlations(side)[:, a, b] for side in sides]
        scores[:, numeric] = 1 - np.abs(r[0] - r[1]) / 2
        strength[:, numeric] = np.abs(np.stack([r[0][0], r[1][0]]))
    for place, (first, second) in enumerate(pairs):
        if discrete[first] or discrete[second]:
            shares = _contingency(sides, first, second)
            scores[:, place] = 1 - np.abs(shares[0] - shares[1]).sum(axis=1) / 2
            strength[:, place] = [_cramer(side, first, second) for side in sides]
        if place % 100 == 0:
            report(place / len(pairs), "pair trends")
    return _Trends(pairs, scores, strength)


def _sides(tables: tuple[Matrix, Matrix], seed: int | None) -> list[_Side]:
    discrete = tables[0].discrete
    cells = whole_numbers(tables)
    sides = []
    for table, numbered, name in zip(tables, cells, ("real", "other"), strict=True):
        for place in np.flatnonzero(~discrete):
            unit = SECONDS_A_DAY if isinstance(table.columns[place], DateColumn) else 1
            numbered[:, place] = _binned(table.values[:, place] * unit)
        group = np.zeros(len(table), np.int64) if seed is None else random_groups(len(table), seed, name)
        numbers = _spread_out(table.values[:, ~discrete], discrete)
        ranks = np.empty_like(numbered)
        for place in range(numbered.shape[1]):
            ranks[:, place] = np.unique(numbered[:, place], return_inverse=True)[1]
        held = tuple(np.bincount(column) for column in ranks.T)
        groups = 0 if seed is None else protocol().groups
        sides.append(_Side(numbers, numbered, ranks, held, group, groups))
    return sides


def _spread_out(numbers: Floats, discrete: NDArray[np.bool_]) -> Floats:
    """All columns again, so that pairs keep their places; listed ones hold nothing."""
    spread = np.full((len(numbers), len(discrete)), np.nan)
    spread[:, ~discrete] = numbers
    return spread


def _binned(values: Floats) -> Whole:
    present = values[~np.isnan(values)]
    # numpy.digitize puts NaN and the largest value into one bin beyond the last edge; sdmetrics leaves it so.
    return np.asarray(np.digitize(values, np.histogram_bin_edges(present, bins=_BINS)), dtype=np.int64)


def _contingency(sides: list[_Side], first: int, second: int) -> list[Floats]:
    """For each table (1 + groups) x cells: the share of rows in each cell."""
    joint = [_joint(side, first, second, sides) for side in sides]
    size = int(max((j.max(initial=0) for j in joint), default=0)) + 1
    if size > _LARGEST_TABLE:
        ranks = np.unique(np.concatenate(joint), return_inverse=True)[1]
        joint, size = np.split(ranks, [len(joint[0])]), int(ranks.max(initial=0)) + 1
    shares = []
    for side, places in zip(sides, joint, strict=True):
        groups = max(1, side.groups)
        counts = np.bincount(side.group * size + places, minlength=groups * size).reshape(groups, size)
        total = counts.sum(axis=0)
        kept = (np.vstack([total, total - counts]) if side.groups else total[None]).astype(np.float64)
        shares.append(kept / np.maximum(kept.sum(axis=1, keepdims=True), 1.0))
    return shares


def _joint(side: _Side, first: int, second: int, sides: list[_Side]) -> Whole:
    width = 1 + max(int(s.cells[:, second].max(initial=0)) for s in sides)
    return side.cells[:, first] * width + side.cells[:, second]


def _cramer(side: _Side, first: int, second: int) -> float:
    """Cramer's V, 0 to 1; NaN where a column has one value."""
    a, b = side.held[first], side.held[second]
    n = len(side.ranks)
    if min(len(a), len(b)) <= 1:
        return float("nan")
    joint = side.ranks[:, first] * len(b) + side.ranks[:, second]
    if len(a) * len(b) <= _LARGEST_TABLE:
        table = np.bincount(joint)
        cells = np.flatnonzero(table)
        counts = table[cells]
    else:
        cells, counts = np.unique(joint, return_counts=True)
    expected = a[cells // len(b)] * b[cells % len(b)].astype(np.float64)
    phi = float(np.sum(counts**2 / expected)) - 1  # chi squared over n
    return float(np.sqrt(max(0.0, phi) / (min(len(a), len(b)) - 1))) if n else float("nan")


def _correlations(side: _Side) -> Floats:
    """(1 + groups) x columns x columns: Pearson over the rows where both are present, NaN where undefined."""
    present = ~np.isnan(side.numbers)
    known = present.sum(axis=0)
    x = np.where(present, side.numbers, 0.0)
    centre = x.sum(axis=0) / np.maximum(known, 1)
    x = np.where(present, x - centre, 0.0)
    spread = np.sqrt((x**2).sum(axis=0) / np.maximum(known, 1))
    varies = spread > 0
    x = x / np.where(varies, spread, 1.0)
    sums = all_and_without_each(x, present.astype(np.float64), side.group, side.groups)
    return pearson(sums, varies)


def all_and_without_each(x: Floats, mask: Floats, group: Whole, groups: int) -> list[Floats]:
    """The four sums that `pearson` needs: of all rows, then with each random group of rows left out.

    Parameters
    ----------
    x
        n x columns, centred, 0 where missing.
    mask
        n x columns, 1 where known.
    group
        Each row's random group, 0 to `groups` - 1; all 0, and none left out, with 0 groups.
    """
    pieces = []
    for g in range(max(1, groups)):
        rows = group == g
        a, m = x[rows], mask[rows]
        pieces.append(np.stack([m.T @ m, a.T @ m, (a**2).T @ m, a.T @ a]))
    parts = np.stack(pieces)
    total = parts.sum(axis=0)
    kept = np.concatenate([total[None], total - parts]) if groups else total[None]
    return [kept[:, k] for k in range(4)]


def pearson(sums: list[Floats], varies: NDArray[np.bool_]) -> Floats:
    """Pearson's correlations from `all_and_without_each`; NaN where a column does not vary."""
    n, sx, sxx, sxy = sums
    sy, syy = np.swapaxes(sx, 1, 2), np.swapaxes(sxx, 1, 2)
    rows = np.maximum(n, 1.0)
    var_x, var_y = sxx - sx**2 / rows, syy - sy**2 / rows
    defined = (var_x > _CONSTANT * rows) & (var_y > _CONSTANT * rows) & (n > 1) & varies & varies[:, None]
    r = np.full(n.shape, np.nan)
    r[defined] = (sxy - sx * sy / rows)[defined] / np.sqrt((var_x * var_y)[defined])
    return np.clip(r, -1.0, 1.0)
