"""Categories as numbers, for trees that split on thresholds: the smoothed mean of a target in each.

A category of fewer than eleven patients gets the overall mean, so that no single patient's target can be
read from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.marginals import CROWD

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_PRIOR_PATIENTS = 5.0  # how many average patients stand behind each category's mean


@dataclass(frozen=True, slots=True, eq=False)
class CategoryMeans:
    """Value c of the feature at column ``listed[i]`` becomes ``means[offsets[i] + c]``.

    The last mean of a feature stands for all values that were never seen.
    """

    listed: NDArray[np.int32]
    offsets: Codes
    means: NDArray[np.float32]

    def put_into(self, features: Features) -> Features:
        """The features with means in place of categories; the given array where there are none."""
        if not len(self.listed):
            return features
        numbers = features.copy()
        for place, offset, end in zip(self.listed, self.offsets[:-1], self.offsets[1:], strict=True):
            category = features[:, place].astype(np.int64)
            numbers[:, place] = self.means[offset + np.minimum(category, end - offset - 1)]
        return numbers

    def checked(self, features: int) -> Self:
        """Itself, if it fits so many features.

        Raises
        ------
        ModelError
            If it does not.
        """
        fine = len(self.offsets) == len(self.listed) + 1
        fine = fine and int(self.offsets[0]) == 0 and int(self.offsets[-1]) == len(self.means)
        fine = fine and bool((np.diff(self.offsets) > 0).all()) and not np.isnan(self.means).any()
        if not fine or not ((self.listed >= 0) & (self.listed < features)).all():
            message = "stored means of categories do not fit together: the model is damaged"
            raise ModelError(message)
        return self


def learn_means(features: Features, target: Floats, listed: Sequence[int]) -> CategoryMeans:
    """The means of `target` (n) in each category of the `listed` columns of `features`."""
    means, offsets = [np.empty(0, np.float32)], [0]
    average = float(target.mean())
    for place in listed:
        category = features[:, place].astype(np.int64)
        count, total = np.bincount(category), np.bincount(category, target)
        mean = (total + _PRIOR_PATIENTS * average) / (count + _PRIOR_PATIENTS)
        found = np.where(count >= CROWD, mean, average)
        means.append(np.append(found, average).astype(np.float32))
        offsets.append(offsets[-1] + len(means[-1]))
    return CategoryMeans(np.array(listed, np.int32), np.array(offsets, np.int64), np.concatenate(means))
