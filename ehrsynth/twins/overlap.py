"""Where arms can be compared: common support, effective sample sizes, and balance of the covariates."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import auroc
from ehrsynth.twins.average import Population, weights_of_arms

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

_LANDMARKS = 5_000  # patients of an arm among whom the nearest is looked for
_BEYOND = 0.25  # of the range seen in an arm: farther out is extrapolation
_BARS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """How well each patient is supported by the patients of every arm.

    `score` is 0 to 1, higher is better: the smallest over the arms of two numbers. One is the chance of the
    arm for this patient over its share (at most 1), the other the share of the arm's own patients who are as
    far from their nearest fellow as this patient is. `outside` marks patients for whom nothing is said.
    """

    score: Floats
    outside: Mask


@dataclass(frozen=True, slots=True, eq=False)
class _Arm:
    flags: Flags
    neighbours: NearestNeighbors
    own: Floats  # sorted distances of the arm's patients to their nearest fellow
    low: Floats
    high: Floats
    levels: Mapping[int, Floats]
    gaps: Mask  # columns that are missing in some of the arm's patients


class Supported:
    """The patients of every arm, against whom any patient's support is told."""

    def __init__(self, rows: Matrix, arm: Whole, arms: int, *, lowest: float, seed: int) -> None:
        self._lowest = lowest
        self._shares = np.bincount(arm, minlength=arms) / len(arm)
        flags = Flags(rows)
        self._arms = [
            _arm(rows.rows(arm == one), flags, numpy_generator(seed, "support", str(one)))
            for one in range(arms)
        ]

    def of(self, rows: Matrix, chances: Floats) -> Support:
        """The support of any patients.

        Parameters
        ----------
        chances
            n x arms: the chance of each arm.
        """
        score = np.minimum(chances / self._shares, 1.0).min(axis=1)
        outside = (chances < self._lowest).any(axis=1)
        for one in self._arms:
            nearest = _nearest(one, one.flags(rows))
            rank = np.searchsorted(one.own, nearest - 1e-9, side="left")
            score = np.minimum(score, (1 + len(one.own) - rank) / (1 + len(one.own)))
            outside |= (nearest > one.own[-1] + 1e-9) | _extrapolates(one, rows)
        return Support(score, outside)


def _arm(rows: Matrix, flags: Flags, rng: np.random.Generator) -> _Arm:
    some = rows.rows(np.sort(rng.permutation(len(rows))[:_LANDMARKS]))
    features = flags(some)
    neighbours = NearestNeighbors(n_neighbors=min(2, len(some)), algorithm="brute").fit(features)
    own = np.sort(neighbours.kneighbors(features)[0][:, -1])
    known = ~np.isnan(rows.values)
    low = np.where(known, rows.values, np.inf).min(axis=0)
    high = np.where(known, rows.values, -np.inf).max(axis=0)
    levels = {int(p): np.unique(rows.values[known[:, p], p]) for p in np.flatnonzero(rows.nominal)}
    return _Arm(flags, neighbours, own, low, high, levels, ~known.all(axis=0))


def _nearest(arm: _Arm, features: Floats) -> Floats:
    """The distance to the nearest of the arm's patients, not counting oneself."""
    found = arm.neighbours.kneighbors(features)[0]
    if found.shape[1] == 1:
        return np.asarray(found[:, 0])
    # A patient of the arm finds itself first, at distance 0.
    return np.asarray(np.where(found[:, 0] < 1e-9, found[:, 1], found[:, 0]))  # noqa: PLR2004 - rounding


def _extrapolates(arm: _Arm, rows: Matrix) -> Mask:
    """A number far beyond any of the arm, a category that none has, or missing where it never is."""
    values, room = rows.values, _BEYOND * np.where(arm.high > arm.low, arm.high - arm.low, 0.0)
    numbers = ~rows.nominal
    beyond = (values < arm.low - room) | (values > arm.high + room)
    found = beyond[:, numbers].any(axis=1)
    for place, levels in arm.levels.items():
        found |= ~np.isnan(values[:, place]) & ~np.isin(values[:, place], levels)
    return np.asarray(found | (np.isnan(values) & ~arm.gaps).any(axis=1))


# ---- the study as a whole ----


@dataclass(frozen=True, slots=True)
class Balance:
    """One covariate: the largest standardised difference of an arm to the reference, before and after."""

    column: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far arms overlap.

    Parameters
    ----------
    patients, effective
        By arm: its patients, and how many they are worth (Kish) under the weights that the population asks
        for, at most as many.
    outside, outside_share
        How many of the population's patients lie outside common support, and their share, 0 to 1.
    separation
        How well covariates tell each arm from the reference: AUROC, 0.5 is not at all.
    histogram
        By arm but the reference: shares of the reference's patients and of its own, each in twenty bins of
        the chance of the arm against the reference.
    balance
        One entry a covariate.
    lowest
        The chance of an arm, 0 to 1, below which a patient lies outside common support.
    """

    patients: tuple[int, ...]
    effective: tuple[float, ...]
    outside: int
    outside_share: float
    separation: tuple[float, ...]
    histogram: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
    balance: tuple[Balance, ...]
    lowest: float


def overlap(
    rows: Matrix, arm: Whole, chances: Floats, population: Population, *, outside: Mask, lowest: float
) -> Overlap:
    """Describe the overlap of the arms of a study.

    Parameters
    ----------
    outside
        For each patient of the population that was asked for, whether he or she is outside common support.
    """
    arms = chances.shape[1]
    pull = weights_of_arms(arm, chances, population.ratio)
    count = np.bincount(arm, minlength=arms)
    return Overlap(
        tuple(map(int, count)),
        tuple(float(w.sum() ** 2 / max((w**2).sum(), 1e-300)) for w in pull.T),
        int(outside.sum()),
        float(outside.mean()) if len(outside) else 0.0,
        tuple(_separation(arm, chances, one) for one in range(1, arms)),
        tuple(_histogram(arm, chances, one) for one in range(1, arms)),
        tuple(_balance(rows, arm, pull)),
        lowest,
    )


def _pair(arm: Whole, chances: Floats, one: int) -> tuple[Mask, Floats]:
    of_pair = (arm == 0) | (arm == one)
    e = chances[of_pair]
    return of_pair, e[:, one] / np.maximum(e[:, one] + e[:, 0], 1e-12)


def _separation(arm: Whole, chances: Floats, one: int) -> float:
    of_pair, e = _pair(arm, chances, one)
    return auroc(arm[of_pair] == one, e)


def _histogram(arm: Whole, chances: Floats, one: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    of_pair, e = _pair(arm, chances, one)
    treated = arm[of_pair] == one
    bins = np.linspace(0, 1, _BARS + 1)
    shares = [np.histogram(e[mask], bins)[0] / max(1, mask.sum()) for mask in (~treated, treated)]
    return tuple(map(float, shares[0])), tuple(map(float, shares[1]))


def _balance(rows: Matrix, arm: Whole, pull: Floats) -> list[Balance]:
    flags = (arm[:, None] == np.arange(pull.shape[1])).astype(np.float64)
    found = []
    for place, column in enumerate(rows.columns):
        alone = Matrix((column,), rows.values[:, [place]])
        features = Flags(alone)(alone)
        if features.shape[1]:
            found.append(Balance(column.name, _apart(features, flags, flags), _apart(features, pull, flags)))
    return found


def _apart(features: Floats, weights: Floats, flags: Floats) -> float:
    """The largest standardised difference of an arm to the reference over a column's features."""
    means = weights.T @ features / np.maximum(weights.sum(axis=0), 1e-300)[:, None]
    plain = flags.T @ features / flags.sum(axis=0)[:, None]
    spread = flags.T @ features**2 / flags.sum(axis=0)[:, None] - plain**2
    scale = np.sqrt(np.maximum((spread[1:] + spread[:1]) / 2, 0.0))
    gap = np.abs(means[1:] - means[:1])
    return float(np.where(scale > 0, gap / np.where(scale > 0, scale, 1.0), 0.0).max(initial=0.0))
