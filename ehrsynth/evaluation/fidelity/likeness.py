"""How alike two samples of one variable are, of all patients and with each group of them left out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.groups import mean_of_known, one_by_one, unit_jackknife
from ehrsynth.evaluation.matrix import Floats, Matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.schema import Schema

_DECIMALS = 14  # as sdmetrics rounds before it compares


def likeness(
    values: tuple[Floats, Floats], groups: tuple[NDArray[np.int64], NDArray[np.int64]], *, discrete: bool
) -> Floats:
    """1 less the Kolmogorov-Smirnov distance, or of listed values 1 less the total variation distance.

    Parameters
    ----------
    values
        The two samples, NaN for missing: left out.
    groups
        The group of each of their rows (see `random_groups`).

    Returns
    -------
    array
        1 + groups numbers, 0 to 1, higher is closer: of all rows, then with each group left out. NaN where a
        sample has no value.
    """
    present = tuple(~np.isnan(side) for side in values)
    points, place = np.unique(
        np.concatenate([side[known] for side, known in zip(values, present, strict=True)]).round(_DECIMALS),
        return_inverse=True,
    )
    split = int(present[0].sum())
    p = _shares(place[:split], groups[0][present[0]], len(points))
    q = _shares(place[split:], groups[1][present[1]], len(points))
    return 1 - (_total_variation(p, q) if discrete else _kolmogorov_smirnov(p, q))


def likeness_by_group(
    schema: Schema, tables: tuple[Matrix, Matrix, Matrix], scores: Callable[[Matrix, Matrix], Floats]
) -> dict[str, Any]:
    """The mean likeness within each protected group, intersection and site.

    Parameters
    ----------
    tables
        Held-out, synthetic and training patients.
    scores
        Of a real and another table (1 + groups) x variables, as `likeness` gives them for each variable.
    """

    def score(one: Stratum) -> dict[str, float | None]:
        real, other, fresh = (t.rows(mask) for t, mask in zip(tables, one.masks, strict=True))
        made, reference = (mean_of_known(scores(real, table)) for table in (other, fresh))
        value, low, high = unit_jackknife(made)
        return {"value": value, "low": low, "high": high, "reference": one_by_one(reference[:1])[0]}

    return by_group(strata(schema, tables), score)


def _shares(places: NDArray[np.int64], group: NDArray[np.int64], points: int) -> Floats:
    groups = protocol().groups
    counts = np.bincount(group * points + places, minlength=groups * points).reshape(groups, points)
    total = counts.sum(axis=0)
    kept = np.vstack([total, total - counts]).astype(np.float64)
    sums = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, sums, out=np.full_like(kept, np.nan), where=sums > 0)


def _total_variation(p: Floats, q: Floats) -> Floats:
    return np.asarray(np.abs(p - q).sum(axis=1) / 2)


def _kolmogorov_smirnov(p: Floats, q: Floats) -> Floats:
    if not p.shape[1]:
        return np.full(len(p), np.nan)
    return np.asarray(np.abs(np.cumsum(p - q, axis=1)).max(axis=1))
