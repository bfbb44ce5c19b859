"""A multivariate normal inside a box, in bounded time: sequential draws with weights (the GHK simulator).

Geweke 1991, Hajivassiliou and McFadden 1998 (doi:10.2307/2999576), Keane 1994 (doi:10.2307/2951573).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
JITTER = 1e-6


@dataclass(frozen=True, eq=False)
class BoxedNormal:
    """A standard normal with a correlation matrix, whose coordinates `sets` lie in unions of intervals.

    `sets` maps a coordinate to its disjoint intervals, an array (k, 2).
    """

    correlation: Floats
    sets: Mapping[int, Floats]

    @cached_property
    def _held(self) -> list[int]:
        # The narrowest first: then the weights, which come from the later ones, vary least.
        return sorted(self.sets, key=lambda c: float(_masses(self.sets[c], np.zeros(1)).sum()))

    @cached_property
    def _free(self) -> list[int]:
        return [c for c in range(len(self.correlation)) if c not in self.sets]

    @cached_property
    def _factor(self) -> Floats:
        return np.asarray(np.linalg.cholesky(_steady(self.correlation[np.ix_(self._held, self._held)])))

    @cached_property
    def _rest(self) -> tuple[Floats, Floats]:
        held, free = self._held, self._free
        across = self.correlation[np.ix_(free, held)]
        slope = np.linalg.solve(_steady(self.correlation[np.ix_(held, held)]), across.T).T
        spread = self.correlation[np.ix_(free, free)] - slope @ across.T
        values, vectors = np.linalg.eigh(spread)
        return slope, vectors * np.sqrt(np.maximum(values, 0))

    def propose(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw the boxed coordinates: n x their number, and weights whose mean is the box's probability."""
        shocks = np.zeros((n, len(self._held)))
        weights = np.ones(n)
        for k, coordinate in enumerate(self._held):
            mean = shocks[:, :k] @ self._factor[k, :k]
            edges = (self.sets[coordinate][None] - mean[:, None, None]) / self._factor[k, k]
            shocks[:, k], mass = _inside(edges, rng)
            weights *= mass
        return shocks @ self._factor.T, weights

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, float]:
        """Draw n whole points, and say how many independent ones their boxed coordinates are worth."""
        held, worth = np.empty((n, 0)), float(n)
        if self._held:
            proposals, weights = self.propose(8 * n + 1000, rng)
            total = weights.sum()
            if not total > 0:
                return np.empty((0, len(self.correlation))), 0.0
            worth = float(total**2 / (weights**2).sum())
            # Systematic resampling: proposals of equal weight are never taken twice.
            at = np.searchsorted(np.cumsum(weights), (np.arange(n) + rng.random()) / n * total)
            held = proposals[np.minimum(at, len(weights) - 1)]
        slope, spread = self._rest
        points = np.empty((n, len(self.correlation)))
        points[:, self._held] = held
        points[:, self._free] = held @ slope.T + rng.standard_normal((n, len(self._free))) @ spread.T
        return points, min(worth, float(n))


def _steady(matrix: Floats) -> Floats:
    """Nudged towards the identity, so that columns that determine each other do not break the algebra."""
    return (matrix + JITTER * np.eye(len(matrix))) / (1 + JITTER)


def nearest_correlation(matrix: Floats) -> Floats:
    """The matrix with negative eigenvalues cut off and a diagonal of ones."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    fixed = (vectors * np.maximum(values, JITTER)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(fixed))
    return np.asarray(fixed * scale[:, None] * scale[None])


def _masses(edges: Floats, mean: Floats) -> Floats:
    moved = edges[None] - mean[:, None, None]
    return np.asarray(ndtr(moved[..., 1]) - ndtr(moved[..., 0]))


def _inside(edges: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Standard normal draws, each inside one of its own intervals (n x k x 2), and the intervals' mass."""
    # In the upper tail both ends round to 1: it is mirrored into the lower one.
    upper = edges[..., 0] > 0
    low = np.where(upper, -edges[..., 1], edges[..., 0])
    high = np.where(upper, -edges[..., 0], edges[..., 1])
    start, stop = ndtr(low), ndtr(high)
    steps = np.cumsum(np.maximum(stop - start, 0), axis=1)
    mass = steps[:, -1]
    chosen = (steps < (rng.random(len(steps)) * mass)[:, None]).sum(axis=1)
    rows, chosen = np.arange(len(steps)), np.minimum(chosen, steps.shape[1] - 1)
    at = start[rows, chosen] + rng.random(len(steps)) * (stop - start)[rows, chosen]
    drawn = np.clip(ndtri(np.clip(at, 1e-300, 1 - 1e-16)), low[rows, chosen], high[rows, chosen])
    return np.where(upper[rows, chosen], -drawn, drawn), mass
