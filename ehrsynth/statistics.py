"""Intervals, corrections and tests: each formula once, with its source.

All intervals are two-sided; `level` is their coverage, 0.95 unless said otherwise.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
_TIE = 1e-12


class Interval(NamedTuple):
    """The two ends of an interval, `low` at most `high`."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def normal_quantile(level: float) -> float:
    """The z of a two-sided interval: 1.96 for level 0.95."""
    _check_level(level)
    return float(stats.norm.ppf(0.5 + level / 2))


def wilson(successes: float, trials: int, *, level: float = 0.95) -> Interval:
    """The score interval of a proportion, 0 to 1 (Wilson 1927, doi 10.1080/01621459.1927.10502953).

    >>> low, high = wilson(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    centre, half = wilson_centre(successes, trials, level=level)
    # At none or all the bound is 0 or 1 exactly; the subtraction leaves a rounding error.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if successes == trials else min(1.0, centre + half))


def wilson_centre(successes: float, trials: float, *, level: float = 0.95) -> tuple[float, float]:
    """Centre and half-width of the Wilson interval, before it is cut to 0 to 1."""
    _check_counts(successes, trials)
    z = normal_quantile(level)
    rate, denominator = successes / trials, 1 + z**2 / trials
    centre = (rate + z**2 / (2 * trials)) / denominator
    half = z * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2)) / denominator
    return centre, float(half)


def clopper_pearson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """The exact interval of a proportion, 0 to 1 (Clopper and Pearson 1934, doi 10.1093/biomet/26.4.404).

    >>> round(clopper_pearson(0, 10).high, 4)
    0.3085
    """
    _check_counts(successes, trials)
    _check_level(level)
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return Interval(float(low), float(high))


def residual_risk(
    attack: float, n_attack: float, control: float, n_control: float, *, level: float = 0.95
) -> Estimate:
    """What an attack wins on members beyond what it wins on non-members, as a share of what was left to win.

    ``(a - c) / (1 - c)`` of the success rates a on members and c on non-members (Giomi et al. 2023,
    doi 10.56553/popets-2023-0055). That is 1 less the ratio of the failure rates: the interval is taken on
    the logarithm of this ratio from the two Wilson intervals (Zou and Donner 2008, doi 10.1002/sim.3095),
    so that it holds its level where the control nearly always succeeds, too.

    Parameters
    ----------
    attack, control
        Numbers of successes on members and on non-members; may be expected numbers.
    n_attack, n_control
        Numbers of attacks, at least 1; may be effective numbers.

    Returns
    -------
    Estimate
        At most 1, lower is safer; below 0 where the control wins more often. It is not cut at 0, its lower
        end is cut at -1. A control that always wins leaves nothing to win: value 0, the interval -1 to 1.
    """
    of_attack = _log_interval(n_attack - attack, n_attack, level)
    of_control = _log_interval(n_control - control, n_control, level)
    if control >= n_control:
        return Estimate(0.0, -1.0, 1.0)
    value = 1 - (1 - attack / n_attack) / (1 - control / n_control)
    ratio = of_attack.value - of_control.value
    down = np.hypot(of_attack.value - of_attack.low, of_control.high - of_control.value)
    up = np.hypot(of_attack.high - of_attack.value, of_control.value - of_control.low)
    low, high = 1 - np.exp(min(1.0, ratio + up)), 1 - np.exp(ratio - down)
    value = max(-1.0, value)
    return Estimate(value, max(-1.0, min(value, float(low))), min(1.0, max(value, float(high))))


def _log_interval(failures: float, trials: float, level: float) -> Estimate:
    """Centre and ends of the Wilson interval of a failure rate, as logarithms."""
    centre, half = wilson_centre(failures, trials, level=level)
    low = float(np.log(centre - half)) if failures > 0 else -np.inf
    return Estimate(float(np.log(centre)), low, float(np.log(min(1.0, centre + half))))


def holm(p_values: ArrayLike) -> Floats:
    """P-values adjusted for many looks: the family-wise level holds (Holm 1979, jstor 4615733).

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or np.isnan(p).any() or (p < 0).any() or (p > 1).any():
        message = "p-values are one row of numbers from 0 to 1"
        raise ValueError(message)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def permutation_maxima(observed: ArrayLike, permuted: ArrayLike) -> Floats:
    """P-values of many statistics against the permutations' largest (Westfall and Young 1993, single step).

    Parameters
    ----------
    observed
        k statistics, larger is more remarkable.
    permuted
        B x k: the same statistics under B permutations of the labels.

    Returns
    -------
    array
        k p-values, 1 / (B + 1) to 1, valid together. The observed labelling counts as one of the B + 1.
    """
    seen, null = np.asarray(observed, np.float64), np.asarray(permuted, np.float64)
    if seen.ndim != 1 or null.ndim != 2 or null.shape[1] != len(seen) or not len(null):  # noqa: PLR2004
        message = f"permuted has shape {null.shape}; it needs (permutations, {len(seen)})"
        raise ValueError(message)
    largest = null.max(axis=1)
    as_large = (largest[:, None] >= seen[None, :] - _TIE).sum(axis=0)
    return np.asarray((1 + as_large) / (1 + len(null)), dtype=np.float64)


def corrected_paired_interval(
    differences: ArrayLike, *, n_train: int, n_test: int, level: float = 0.95
) -> Estimate:
    """The mean difference over repeated random splits, whose overlap widens the interval.

    The variance of the mean is ``(1/J + n_test/n_train) s^2`` instead of ``s^2 / J``, with Student's t of
    J - 1 degrees of freedom (Nadeau and Bengio 2003, doi 10.1023/A:1024068626366).

    Parameters
    ----------
    differences
        One paired difference for each of J splits, at least 2.
    n_train, n_test
        Patients in the training and the test part of a split.
    """
    _check_level(level)
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or len(d) < 2:  # noqa: PLR2004
        message = f"{d.size} differences were given; an interval needs at least 2"
        raise ValueError(message)
    if n_train < 1 or n_test < 1:
        message = "n_train and n_test are at least 1"
        raise ValueError(message)
    spread = np.sqrt((1 / len(d) + n_test / n_train) * d.var(ddof=1))
    half = float(stats.t.ppf(0.5 + level / 2, len(d) - 1) * spread)
    mean = float(d.mean())
    return Estimate(mean, mean - half, mean + half)


def corrected_paired_p(differences: ArrayLike, *, n_train: int, n_test: int) -> float:
    """The two-sided p-value that belongs to `corrected_paired_interval`: of a mean difference of 0.

    1 where all differences are 0, 0 where they are all the same and not 0.
    """
    mean, low, _ = corrected_paired_interval(differences, n_train=n_train, n_test=n_test)
    freedom = np.size(differences) - 1
    spread = (mean - low) / float(stats.t.ppf(0.975, freedom))
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / spread, freedom))


def jackknife(value: float, left_out: ArrayLike, *, level: float = 0.95) -> Estimate:
    """The interval of a smooth statistic from its values with one of G random groups of rows left out.

    Variance ``(G - 1) / G * sum (theta_g - mean)^2``, Student's t of G - 1 degrees of freedom (delete-a-group
    jackknife: Kott 2001, J. Official Statistics 17:521). Groups are the same for every part of the statistic.
    """
    _check_level(level)
    theta = np.asarray(left_out, dtype=np.float64)
    half = float(stats.t.ppf(0.5 + level / 2, len(theta) - 1) * np.sqrt(jackknife_variance(theta)))
    return Estimate(value, value - half, value + half)


def jackknife_variance(left_out: ArrayLike) -> float:
    """The variance behind `jackknife`."""
    theta = np.asarray(left_out, dtype=np.float64)
    groups = len(theta)
    if groups < 2:  # noqa: PLR2004
        message = f"{groups} groups were given; a jackknife needs at least 2"
        raise ValueError(message)
    return float((groups - 1) / groups * np.sum((theta - theta.mean()) ** 2))


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The chance that a positive scores above a negative, ties for half: 0 to 1, 0.5 is a coin.

    >>> auroc([0, 0, 1, 1], [1.0, 2.0, 2.0, 3.0])
    0.875
    """
    return auroc_influence(labels, scores)[0]


def auroc_influence(labels: ArrayLike, scores: ArrayLike) -> tuple[float, Floats]:
    """AUROC and each row's influence on it, whose mean is 0.

    The sum of squared influences over n^2 is the variance of DeLong et al. (1988, doi 10.2307/2531595), by
    mid-ranks as in Sun and Xu (2014, doi 10.1109/LSP.2014.2337313). Influences of several AUROCs over the
    same rows add and subtract, which gives intervals for their means and differences.

    Raises
    ------
    ValueError
        If one of the two labels is missing.
    """
    y, s = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        message = f"{positives} positives and {negatives} negatives: an AUROC needs both"
        raise ValueError(message)
    ranks = stats.rankdata(s)
    below = np.empty_like(
        s
    )  # for a positive the share of negatives below it, for a negative that of positives above
    below[y] = (ranks[y] - stats.rankdata(s[y])) / negatives
    below[~y] = 1 - (ranks[~y] - stats.rankdata(s[~y])) / positives
    value = float(below[y].mean())
    influence = (below - value) * np.where(y, len(y) / positives, len(y) / negatives)
    return value, influence


def auroc_interval(labels: ArrayLike, scores: ArrayLike, *, level: float = 0.95) -> Estimate:
    """AUROC with DeLong's interval, cut to 0 to 1; see `auroc_influence`.

    When the scores separate the labels without a fault DeLong's variance is 0; the interval then is the
    exact one of as many disjoint pairs as there are rows of the rarer label, all in order.
    """
    y = np.asarray(labels).astype(bool)
    value, influence = auroc_influence(y, scores)
    if value in {0.0, 1.0}:
        pairs = int(min(y.sum(), (~y).sum()))
        return Estimate(value, *clopper_pearson(round(value * pairs), pairs, level=level))
    return interval_of_influence(value, influence, bounds=(0.0, 1.0), level=level)


def interval_of_influence(
    value: float, influence: ArrayLike, *, bounds: tuple[float, float], level: float = 0.95
) -> Estimate:
    """The normal interval of a statistic from each row's influence on it, cut to `bounds`."""
    psi = np.asarray(influence, dtype=np.float64)
    half = normal_quantile(level) * float(np.sqrt(np.sum(psi**2))) / len(psi)
    return Estimate(value, max(bounds[0], value - half), min(bounds[1], value + half))


def _check_counts(successes: float, trials: float) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        message = (
            f"{successes} successes of {trials} trials: there is a trial, and no more successes than trials"
        )
        raise ValueError(message)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        message = f"level is {level}; it lies between 0 and 1"
        raise ValueError(message)
