"""The interval of a conditional average effect: what patients like this gain on average, and how surely.

Three sources are added. How much the folds' models differ is the error of sampling (a delete-a-group
jackknife, Efron and Stein 1981; each patient's own spread and the mean spread count half each, since five
folds say little of one patient). What all candidates may have missed is learnt from the residuals of the
R-loss,

    y - m(x) - (1{a} - e(x)) tau(x) = (1{a} - e(x)) delta(x) + noise,

with delta a Gaussian process of linear and of smooth kernels (the smooth ones by random features: Rahimi and
Recht 2007). Its size is not set to its likeliest value, which is often nil, but averaged over all sizes by
their marginal likelihood, each share of the residual variance up to a half being as likely beforehand. And
what held-out patients show to have been missed in leaves, such as a jump (`leaves`).

It rests on effects that change smoothly with covariates, or by leaves large enough to be seen: no interval of
a conditional effect can be had without such an assumption (Barber 2020, doi 10.1214/20-EJS1749), and around a
jump it holds the effect less often than it says (reports/twins/jumps.md). It is never made from conformal
intervals, which are about outcomes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.fitting import Crosswise, Said
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.residuals import r_loss

Floats = NDArray[np.float64]

_FREQUENCIES = 300
_LENGTHS = (1.0, 4.0)  # squared, in units of the mean squared distance's half
_SHARES: Floats = np.concatenate([[0.0], np.linspace(0.0025, 0.5, 60)])
_NEGLIGIBLE = np.log(1e-4)
_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class _Kernel:
    """Features whose product is the kernel: the flags themselves, or cosines of them."""

    frequencies: Floats | None

    def __call__(self, flags: Floats) -> Floats:
        width = max(1, flags.shape[1])
        if self.frequencies is None:
            return np.asarray(flags / np.sqrt(width))
        angle = flags @ self.frequencies / np.sqrt(width)
        waves = np.hstack([np.cos(angle), np.sin(angle)])
        return np.asarray(waves / np.sqrt(self.frequencies.shape[1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Posterior:
    """For one kernel: the axes of the features; for each share of the variance its weight and size."""

    kernel: _Kernel
    axes: Floats
    values: Floats
    share: Floats  # of the effect's scale, one a size
    noise: Floats
    variance: Floats
    log_weight: Floats


class Missed:
    """What the effect of one arm may have missed: a variance for any patient."""

    def __init__(self, fitted: Crosswise, patients: Patients, arm: int, *, seed: int) -> None:
        slope, residual, weights, rows = r_loss(fitted, patients, arm)
        self._flags = Flags(patients.covariates)
        features = self._flags(patients.covariates)[rows]
        rng = numpy_generator(seed, "missed effect", str(arm))
        frequencies = [None, *(_frequencies(features.shape[1], length, rng) for length in _LENGTHS)]
        self._posteriors = [
            _posterior(_Kernel(one), features, slope, residual, weights=weights) for one in frequencies
        ]
        top = max(float(one.log_weight.max()) for one in self._posteriors)
        self._total = (
            float(logsumexp(np.concatenate([one.log_weight for one in self._posteriors]) - top)) + top
        )

    def variance(self, rows: Matrix) -> Floats:
        """The posterior variance of what was missed, averaged over kernels and sizes."""
        flags = self._flags(rows)
        pieces = np.split(flags, range(_AT_ONCE, len(flags), _AT_ONCE))
        return np.concatenate(
            [
                sum((self._of(one, piece) for one in self._posteriors), np.zeros(len(piece)))
                for piece in pieces
            ]
        )

    def _of(self, one: _Posterior, flags: Floats) -> Floats:
        weight = one.log_weight - self._total
        kept = np.flatnonzero(weight > _NEGLIGIBLE)
        if not len(kept):
            return np.zeros(len(flags))
        features = one.kernel(flags)
        along = (features @ one.axes) ** 2
        whole = (features**2).sum(axis=1)
        found = np.zeros(len(flags))
        for k in kept:
            size = one.share[k]
            shrunk = size * one.values / (size * one.values + one.noise[k])
            found += np.exp(weight[k]) * one.variance[k] * size * (whole - along @ shrunk)
        return np.maximum(found, 0.0)


def _frequencies(width: int, length: float, rng: np.random.Generator) -> Floats:
    return np.asarray(rng.normal(size=(width, _FREQUENCIES)) / np.sqrt(length))


def _posterior(
    kernel: _Kernel, features: Floats, slope: Floats, residual: Floats, *, weights: Floats
) -> _Posterior:
    """The marginal likelihood of each size, the scale of the noise integrated out (Jeffreys)."""
    root = np.sqrt(weights)
    design = kernel(features) * (slope * root)[:, None]
    wanted = residual * root
    values, axes = np.linalg.eigh(design.T @ design)
    values = np.maximum(values, 0.0)
    n, live = len(wanted), values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)
    along = np.zeros(len(values))
    along[live] = (axes[:, live].T @ (design.T @ wanted)) ** 2 / values[live]
    rest = max(float(wanted @ wanted) - float(along.sum()), 0.0)
    typical = float(values.sum()) / n or 1.0
    size, noise = _SHARES / typical, np.asarray(1 - _SHARES)
    scaled = size[:, None] * values[live][None] + noise[:, None]
    outside = n - int(live.sum())
    quadratic = (along[live] / scaled).sum(axis=1) + rest / noise
    log_weight = -0.5 * np.log(scaled).sum(axis=1) - 0.5 * outside * np.log(noise)
    log_weight = log_weight - 0.5 * n * np.log(np.maximum(quadratic, 1e-300))
    return _Posterior(kernel, axes, values, size, noise, quadratic / n, log_weight)


def error_of_sampling(by_fold: tuple[Said, ...]) -> Floats:
    """The jackknife variance of the effects, n x (arms - 1), each patient's own drawn half to the mean."""
    effects = np.stack([said.effects for said in by_fold])
    folds = len(effects)
    own = (folds - 1) * effects.var(axis=0)
    return np.asarray(0.5 * own + 0.5 * own.mean(axis=0))


def interval(value: Floats, variance: Floats, level: float, folds: int) -> tuple[Floats, Floats]:
    """Intervals by Student's t.

    A patient's own spread over K folds has K - 1 degrees of freedom; half of it drawn to the mean has 4 (K -
    1) (Satterthwaite).
    """
    half = float(stats.t.ppf(0.5 + level / 2, 4 * (folds - 1))) * np.sqrt(variance)
    return value - half, value + half
