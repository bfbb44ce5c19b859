"""What the fidelity scores share: random groups of patients, left out one after another for the interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.base import Direction, Score
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import jackknife


def random_groups(rows: int, seed: int, *path: str) -> NDArray[np.int64]:
    """A group for each row, 0 to the protocol's `groups` - 1, sizes as equal as can be."""
    groups = np.arange(rows, dtype=np.int64) % protocol().groups
    return numpy_generator(seed, "groups", *path).permutation(groups)


def mean_of_known(scores: Floats) -> Floats:
    """The mean over the columns with a known score: for all rows, then with each group left out."""
    known = ~np.isnan(scores[0])
    if not known.any():
        return np.full(len(scores), np.nan)
    # A group left out may take a column's last value with it: such a column stays as it was.
    filled = np.where(np.isnan(scores), scores[0], scores)
    return np.asarray(filled[:, known].mean(axis=1))


def one_by_one(scores: Sequence[float] | Floats) -> list[float | None]:
    """The scores as plain numbers, None for unknown."""
    return [None if np.isnan(score) else float(score) for score in scores]


def score_of(
    name: str,
    found: Floats,
    reference: Floats,
    *,
    better: Direction,
    details: Mapping[str, Any],
    unknown: str,
) -> Score:
    """A `Score` from the values of all rows and with each group left out; values and intervals lie in 0 to 1.

    Parameters
    ----------
    unknown
        The reason when the score of all rows is NaN.
    """
    expected = None if np.isnan(reference[0]) else float(reference[0])
    if np.isnan(found[0]):
        return Score(name, None, None, None, expected, better, details, f"not measurable here: {unknown}")
    value, low, high = unit_jackknife(found)
    return Score(name, value, low, high, expected, better, details)


def unit_jackknife(found: Floats) -> tuple[float | None, float | None, float | None]:
    """Value, low and high from the values of all rows and with each group left out, in 0 to 1.

    All None when the value of all rows is NaN.
    """
    if np.isnan(found[0]):
        return None, None, None
    value, low, high = jackknife(float(found[0]), found[1:])
    return value, max(0.0, low), min(1.0, high)
