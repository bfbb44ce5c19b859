"""Kaplan-Meier and Aalen-Johansen curves of many weighted resamples at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Curves(NamedTuple):
    """Curves at the given times, and patients still followed just before each.

    `survival` and `at_risk` are resamples x times; `incidence` resamples x causes x times.
    """

    survival: Floats
    incidence: Floats
    at_risk: Floats


def curves(places: Whole, causes: Whole, weights: Floats, shape: tuple[int, int]) -> Curves:
    """The share without event (Kaplan and Meier 1958) and with each kind of event (Aalen and Johansen 1978).

    Parameters
    ----------
    places
        For each patient the position of their time among the sorted times.
    causes
        0 where follow-up ended without event, else 1, 2, ... for the kind of event.
    weights
        Resamples x patients: how often each counts.
    shape
        The numbers of causes and of times.
    """
    kinds, times = shape
    rows = len(weights)
    counts = np.empty((rows, (kinds + 1) * times))
    for k, weight in enumerate(weights):
        counts[k] = np.bincount(causes * times + places, weight, minlength=(kinds + 1) * times)
    by_cause = counts.reshape(rows, kinds + 1, times)
    leaving = by_cause.sum(axis=1)
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    hazards = by_cause[:, 1:] / np.maximum(at_risk, 1e-300)[:, None, :] * (at_risk > 0)[:, None, :]
    survival = np.cumprod(1 - hazards.sum(axis=1), axis=1)
    before = np.concatenate([np.ones((rows, 1)), survival[:, :-1]], axis=1)
    return Curves(survival, np.cumsum(before[:, None, :] * hazards, axis=2), at_risk)
