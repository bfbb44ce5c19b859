"""What no data can tell: how one patient's two outcomes go together. Bounds, never a number.

Each arm's outcome has a distribution that patients of the arm show. Which outcome in one arm belongs to which
in the other is seen in nobody, whatever the design: a share who benefit, or the spread of individual effects,
is known only within the bounds of Frechet and Hoeffding (Makarov 1981, Fan and Park 2010, doi
10.1017/S0266466609990168). They are taken given covariates and averaged, which narrows them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.statistics import normal_quantile

Floats = NDArray[np.float64]

COUPLING = "depends on the coupling, which no data show: bounds"
_GRID = 60
_THRESHOLDS = 9
_FEW_VALUES = 30


@dataclass(frozen=True, slots=True)
class Bounds:
    """The smallest and the largest value over all couplings, and both with an allowance for sampling."""

    low: float
    high: float
    outer_low: float
    outer_high: float


@dataclass(frozen=True, slots=True)
class Coupled:
    """Of one arm against the reference.

    Parameters
    ----------
    higher, lower
        The share of patients whose outcome is higher (lower) under the arm than under the reference.
    spread
        The standard deviation of individual effects.
    beyond
        For some thresholds the share of patients whose individual effect is above it.
    """

    higher: Bounds
    lower: Bounds
    spread: Bounds
    beyond: tuple[tuple[float, Bounds], ...]


def couple(quantiles: Floats, arm: int, level: float, *, residuals: int = 0) -> Coupled:
    """The bounds for one arm.

    Parameters
    ----------
    quantiles
        folds x n x arms x steps: by each fold's models, the outcome of each patient in each arm at even steps
        of its distribution, rising.
    residuals
        Patients behind the shape of a number's distribution, in the smaller of the two arms; 0 for listed
        outcomes. A largest difference of two curves of so few steps is too large by chance, for which the
        outer ends allow (Dvoretzky, Kiefer and Wolfowitz 1956, with Massart's constant).
    """
    one, other = quantiles[:, :, arm], quantiles[:, :, 0]
    slack = 2 * float(np.sqrt(np.log(4 / (1 - level)) / (2 * residuals))) if residuals else 0.0

    def bounds(shift: float, *, swapped: bool = False) -> Bounds:
        pairs = zip(other, one, strict=True) if swapped else zip(one - shift, other, strict=True)
        return _bounds(np.array([_above(a, b) for a, b in pairs]), level, slack=slack, top=1.0)

    spread = np.array([_spreads(a, b) for a, b in zip(one, other, strict=True)])
    return Coupled(
        bounds(0.0),
        bounds(0.0, swapped=True),
        _bounds(spread, level, slack=0.0, top=np.inf),
        tuple((threshold, bounds(threshold)) for threshold in _thresholds(one, other)),
    )


def _above(one: Floats, other: Floats) -> Floats:
    """Smallest and largest mean chance that the one is above the other: n x steps each, rising.

    Smallest: the largest over t of F_other(t) - F_one(t). Largest: 1 less the largest over t of
    F_one(t) - F_other(t-), where F(t-) leaves t itself out (Strassen 1965).
    """
    at = np.linspace(0, one.shape[1] - 1, min(_GRID, one.shape[1])).astype(np.int64)
    smallest, largest = np.zeros(len(one)), np.ones(len(one))
    for points in (*other[:, at].T, *one[:, at].T):
        t = points[:, None]
        f_one, f_other = (one <= t).mean(axis=1), (other <= t).mean(axis=1)
        smallest = np.maximum(smallest, f_other - f_one)
        largest = np.minimum(largest, 1 - np.maximum(f_one - (other < t).mean(axis=1), 0.0))
    return np.array([smallest.mean(), largest.mean()])


def _spreads(one: Floats, other: Floats) -> Floats:
    """The least and the most standard deviation of differences: ranks alike, and ranks opposed."""
    gap = one.mean(axis=1) - other.mean(axis=1)
    between = gap.var()
    within = [(one - paired).var(axis=1).mean() for paired in (other, other[:, ::-1])]
    return np.asarray(np.sqrt(np.array(within) + between))


def _thresholds(one: Floats, other: Floats) -> list[float]:
    """Some thresholds around the average effect; none where outcomes have few values."""
    if len(np.unique(one[0])) <= _FEW_VALUES:
        return []
    centre = float(one.mean() - other.mean())
    width = float(np.sqrt(one.var(axis=-1).mean() + other.var(axis=-1).mean()))
    return [centre + width * float(z) for z in np.linspace(-2, 2, _THRESHOLDS)]


def _bounds(found: Floats, level: float, *, slack: float, top: float) -> Bounds:
    low, high = (float(v) for v in found.mean(axis=0))
    error = np.sqrt((len(found) - 1) * found.var(axis=0))
    z = normal_quantile(level)
    outer = max(0.0, low - z * float(error[0]) - slack), min(top, high + z * float(error[1]) + slack)
    return Bounds(low, high, *outer)
