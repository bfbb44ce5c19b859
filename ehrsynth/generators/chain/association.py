"""How much columns tell of each other: mutual information of their coarse values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST = 8  # coarse values of a column, missing aside
_LOOKED_AT = 5_000


def association(codes: Codes, listed: Sequence[bool]) -> Floats:
    """The mutual information of each pair of columns in nats, at least 0, larger is closer.

    The excess that chance gives in a finite sample is subtracted (Miller 1955, "Note on the bias of
    information estimates").

    Parameters
    ----------
    codes
        n x columns, -1 for missing; of a long table some rows are looked at.
    listed
        Which columns list their values.

    Returns
    -------
    array
        columns x columns, symmetric, with 0 on the diagonal.
    """
    looked = codes[:: max(1, len(codes) // _LOOKED_AT)]
    coarse = [_coarse(looked[:, place], listed=listed[place]) for place in range(len(listed))]
    found = np.zeros((len(coarse), len(coarse)))
    for one in range(len(coarse)):
        for other in range(one):
            found[one, other] = found[other, one] = _information(coarse[one], coarse[other])
    return found


def _coarse(codes: Codes, *, listed: bool) -> Codes:
    """0 for missing, then octiles of a number, or the most frequent of listed values and the rest."""
    if listed:
        values, at, counts = np.unique(codes, return_inverse=True, return_counts=True)
        frequent = np.argsort(-np.where(values < 0, 0, counts), kind="stable")[:_MOST]
        coarse = np.full(len(values), _MOST + 1)
        coarse[frequent] = 1 + np.arange(len(frequent))
        return np.where(codes < 0, 0, coarse[at])
    present = codes[codes >= 0]
    cuts = np.unique(np.quantile(present, np.arange(1, _MOST) / _MOST)) if len(present) else np.empty(0)
    return np.where(codes < 0, 0, 1 + np.searchsorted(cuts, codes, side="right"))


def _information(one: Codes, other: Codes) -> float:
    wide = int(other.max(initial=0)) + 1
    joint = np.bincount(one * wide + other, minlength=(int(one.max(initial=0)) + 1) * wide).reshape(-1, wide)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    held = joint > 0
    if not held.any():
        return 0.0
    ratio = joint[held] * joint.sum() / np.outer(rows, columns)[held]
    chance = (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1) / (2 * joint.sum())
    told = float((joint[held] * np.log(ratio)).sum() / joint.sum())
    return max(0.0, told - float(chance))
