"""How an attacker finds the synthetic patients most like a target.

Distance is Gower's (1971, doi 10.2307/2528823), mended: numbers are placed by their rank in the synthetic
table, 0 to 1, so that units, signs and tails do not matter; categories differ or not; two missing values are
alike, and one missing value is as far from a number as half the range. Ties are never broken: the nearest
rows are all that are equally near.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from ehrsynth.evaluation.matrix import Floats, Mask, Matrix
from ehrsynth.evaluation.protocol import protocol

TIE = 1e-9
_FLAGS = 500  # levels of all columns up to which they are compared as flags
_CELLS = 16_000_000  # of a block of distances: 128 MB


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows in the attacker's space, each n x p: ranks and gaps (0.5 where missing), and listed cells."""

    ranks: Floats
    gaps: Floats
    listed: Floats

    def __len__(self) -> int:
        return len(self.ranks)

    def rows(self, rows: slice) -> "Placed":
        """Some rows."""
        return Placed(self.ranks[rows], self.gaps[rows], self.listed[rows])


def place(targets: Matrix, synthetic: Matrix) -> Placed:
    """Put targets where the synthetic table says: only what the attacker has decides."""
    missing = np.isnan(targets.values)
    ranks = np.full(targets.values.shape, 0.5)
    for column in np.flatnonzero(~listed_columns(synthetic)):
        ranks[:, column] = _ranks(targets.values[:, column], synthetic.values[:, column])
    gaps = np.where(missing, 0.5, 0.0)
    return Placed(ranks, gaps, np.where(missing, -1.0, targets.values))


def listed_columns(table: Matrix) -> Mask:
    """Columns whose values only differ or not."""
    binary = np.array([column.size <= 2 for column in table.columns], dtype=np.bool_)  # noqa: PLR2004
    return table.nominal | binary


def _ranks(values: Floats, among: Floats) -> Floats:
    grid = np.sort(among[~np.isnan(among)])
    if not len(grid):
        return np.full(len(values), 0.5)
    below, upto = np.searchsorted(grid, values), np.searchsorted(grid, values, side="right")
    return np.where(np.isnan(values), 0.5, (below + upto) / (2 * len(grid)))


def distances(targets: Placed, synthetic: Placed, columns: Sequence[int], listed: Mask) -> Floats:
    """Targets x synthetic rows: the sum over some columns of what each differs, 0 to their number."""
    flags = [c for c in columns if listed[c]]
    numbers = [c for c in columns if not listed[c]]
    found = np.zeros((len(targets), len(synthetic)))
    if numbers:
        found += cdist(targets.ranks[:, numbers], synthetic.ranks[:, numbers], "cityblock")
        gappy = [c for c in numbers if targets.gaps[:, c].any() or synthetic.gaps[:, c].any()]
        if gappy:
            found += cdist(targets.gaps[:, gappy], synthetic.gaps[:, gappy], "cityblock")
    if flags:
        found += differing(targets.listed[:, flags], synthetic.listed[:, flags])
    return found


def differing(one: Floats, other: Floats) -> Floats:
    """In how many columns each row of one differs from each of the other, n x m."""
    if sum(len(np.unique(column)) for column in other.T) > _FLAGS:
        return np.asarray(one.shape[1] * cdist(one, other, "hamming"))
    levels = [np.unique(column) for column in other.T]
    a, b = (np.hstack([side[:, [c]] == of for c, of in enumerate(levels)]) for side in (one, other))
    same = a.astype(np.float32) @ b.astype(np.float32).T  # a product is quicker than a comparison
    return np.asarray(one.shape[1] - same, dtype=np.float64)


def nearest(found: Floats) -> Mask:
    """Which synthetic rows are nearest to each target: all that are equally near."""
    return np.asarray(found <= found.min(axis=1, keepdims=True) + TIE)


def blocks(targets: int, synthetic: int) -> Iterator[slice]:
    """Targets in blocks whose distances fit into memory."""
    step = max(1, _CELLS // max(1, synthetic))
    return (slice(start, start + step) for start in range(0, targets, step))


def affordable(synthetic: int) -> int:
    """How many targets can be compared with every synthetic row; members, non-members and others each."""
    settings = protocol().attacks
    return max(1, min(settings.targets, settings.pairs // (3 * max(1, synthetic))))
