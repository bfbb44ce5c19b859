"""What earlier columns look like to a link: coarse numbers, never raw values.

A number becomes the index of a cell between cuts that leave at least eleven patients on either side, so
that no threshold of a tree lies between two patients. A listed value becomes its code. Both count from 1;
0 is missing.
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
    wanted = max(CROWD, int(counts.sum()) // MOST_CELLS) if len(counts) else CROWD
    cuts, held = [], 0
    left = int(counts.sum())
    for place, count in enumerate(counts):
        held, left = held + int(count), left - int(count)
        if held >= wanted and left >= CROWD:
            # The middle between two values is neither of them.
            cuts.append((int(values[place]) + int(values[place + 1]) + 1) // 2)
            held = 0
    return Feature(np.array(cuts, np.int64), listed=False)


def feature_matrix(codes: Codes, features: Sequence[AbstractFeature]) -> Features:
    """All columns as features, float32, n x columns."""
    matrix = np.empty(codes.shape, np.float32, order="F")
    for place, feature in enumerate(features):
        matrix[:, place] = feature.of(codes[:, place])
    return matrix
