"""What earlier columns look like to a link of trees: coarse numbers, never raw values.

A number becomes the index of a cell between cuts that leave at least eleven patients on either side, so
that no threshold of a tree lies between two patients. A listed value becomes its code. Both count from 1;
0 is missing. How many of the columns are missing is a feature too: patients of whom little was measured are
alike, and no single column says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ModelError
from ehrsynth.generators.marginals import CROWD

Codes = NDArray[np.int64]
Features = NDArray[np.float32]

MOST_CELLS = 128


class AbstractFeature(Protocol):
    """What a link sees of one other column."""

    @property
    def listed(self) -> bool:
        """Whether the column lists its values."""

    def of(self, codes: Codes) -> Features:
        """The feature's values, float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One column as a feature: sorted `cuts` for a number, none for a listed column."""

    cuts: Codes
    listed: bool

    def of(self, codes: Codes) -> Features:
        """The feature's values, float32, whole numbers from 1; 0 for missing."""
        cells = codes if self.listed else np.searchsorted(self.cuts, codes, side="right")
        return np.where(codes < 0, 0, cells + 1).astype(np.float32)

    def checked(self) -> Self:
        """Itself, if its cuts are sorted.

        Raises
        ------
        ModelError
            If they are not.
        """
        if (np.diff(self.cuts) <= 0).any() or (self.listed and len(self.cuts)):
            message = "the stored cuts of a column are not in order: the model is damaged"
            raise ModelError(message)
        return self


def learn_feature(codes: Codes, *, listed: bool) -> Feature:
    """The cuts of one column: between quantiles, each cell with at least `CROWD` patients."""
    if listed:
        return Feature(np.empty(0, np.int64), listed=True)
    values, counts = np.unique(codes[codes >= 0], return_counts=True)
    wanted, heap = _wanted(counts)
    cuts, held, left = [], 0, int(counts.sum())
    for place, count in enumerate(counts[:-1]):
        held, left = held + int(count), left - int(count)
        full = held >= wanted or (heap[place + 1] and held >= CROWD)
        if full and left >= CROWD:
            # The middle between two values is neither of them.
            cuts.append((int(values[place]) + int(values[place + 1]) + 1) // 2)
            held = 0
    return Feature(np.array(cuts, np.int64), listed=False)


def _wanted(counts: Codes) -> tuple[int, NDArray[np.bool_]]:
    """How many patients a cell should have, and which values are heaps with a cell of their own.

    Patients in heaps do not count: of a column that is zero for nine in ten, the tenth is told apart as
    finely as a whole column.
    """
    heap = np.zeros(len(counts), np.bool_)
    while True:
        wanted = max(CROWD, int(counts[~heap].sum()) // max(1, MOST_CELLS - int(heap.sum())))
        larger = counts >= wanted
        if (larger <= heap).all():
            return wanted, heap
        heap |= larger


def with_gaps(features: Features) -> Features:
    """The features, and behind them how many are missing (counting from 1); none stay none."""
    if not features.shape[1]:
        return features
    return np.column_stack([features, (features == 0).sum(axis=1, dtype=np.float32) + 1])


def with_gaps_seen(seen: Sequence[Feature]) -> tuple[Feature, ...]:
    """What the columns of `with_gaps` are, given what the features are."""
    return (*seen, Feature(np.arange(1, len(seen) + 1), listed=False)) if seen else ()


def feature_matrix(codes: Codes, features: Sequence[AbstractFeature]) -> Features:
    """All columns as features, float32, n x columns."""
    matrix = np.empty(codes.shape, np.float32, order="F")
    for place, feature in enumerate(features):
        matrix[:, place] = feature.of(codes[:, place])
    return matrix
