"""Does held-out evidence say that the effect differs between patients, and differs as the models say?

Compared on patients whom neither the models nor the weights of the candidates saw: the R-loss of the combined
effect, of a constant effect, and of none. An individual effect may be told only where the combined effect
loses less than a constant one, and its deviations from the constant go along with what was seen (the slope of
the best linear predictor, one-sided: Chernozhukov et al. 2025, doi 10.3982/ECTA19303).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.statistics import Estimate
from ehrsynth.twins.average import clusters
from ehrsynth.twins.effects import Part
from ehrsynth.twins.fitting import Crosswise, Shares, combine, constant_of, r_residuals, said_by
from ehrsynth.twins.patients import Patients

Floats = NDArray[np.float64]

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """How the combined effect does against simpler ones, on patients not seen.

    Parameters
    ----------
    against_constant, against_zero
        Mean loss of the simpler effect less that of the combined one, with its 95 % interval; above 0 is
        better than the simpler effect. In squared units of the outcome.
    constant_against_zero
        The same for a constant effect against none.
    slope
        1: deviations are as large as told; 0: they say nothing. With its 95 % interval.
    p_value
        One-sided, of a slope of 0 or less; times the number of outcomes that were asked about, at most 1.
    """

    against_constant: Estimate
    against_zero: Estimate
    constant_against_zero: Estimate
    slope: Estimate
    p_value: float

    @property
    def individual(self) -> bool:
        """Whether effects of single patients may be told."""
        return self.against_constant.value > 0 and self.p_value < LEVEL


def evidence(fitted: Crosswise, patients: Patients, *, outcomes: int = 1) -> Evidence:
    """Weigh the combined effect against a constant one and against none.

    Parameters
    ----------
    outcomes
        How many the study asks about: the more there are, the likelier one shows differences by chance. They
        share the level (Bonferroni).
    """
    left, slopes, constant = _held_out(fitted, patients)
    weight, groups = fitted.target.weights, clusters(patients.site)
    zero, flat, combined = (weight * (left - s) ** 2 for s in (np.zeros(len(left)), constant, slopes))
    apart = slopes - constant
    power = float((weight * apart**2).mean())
    if power <= 1e-12 * max(float((weight * left**2).mean()), 1e-300):
        nothing = Estimate(0.0, 0.0, 0.0)
        return Evidence(nothing, _mean(zero - flat, groups)[0], _mean(zero - flat, groups)[0], nothing, 1.0)
    value = float((weight * apart * (left - constant)).mean()) / power
    influence = weight * apart * (left - constant - value * apart) / power
    around, error = _mean(influence, groups)
    slope = Estimate(value, value + around.low - around.value, value + around.high - around.value)
    alone = float(stats.t.sf(value / error, _freedom(len(left), groups))) if error > 0 else 1.0
    return Evidence(
        _mean(flat - combined, groups)[0],
        _mean(zero - combined, groups)[0],
        _mean(zero - flat, groups)[0],
        slope,
        min(1.0, outcomes * alone),
    )


def _held_out(fitted: Crosswise, patients: Patients) -> tuple[Floats, Floats, Floats]:
    """Residual of the R-loss, and what the combined and the constant effect say of it, weights not seen."""
    whole = Part(patients.covariates, patients.arm, fitted.target.values, fitted.target.weights)
    fold, constant = fitted.unseen.fold, constant_of(fitted.names)
    left, combined, flat = (np.empty(len(fold)) for _ in range(3))
    for number in range(int(fold.max()) + 1):
        own = fold == number
        shares = combine(fitted.unseen, whole, ~own)
        residual, candidates = r_residuals(fitted.unseen, whole, shares)
        left[own] = residual[own]
        combined[own] = candidates[own] @ shares.effects
        flat[own] = candidates[own, constant]
    return left, combined, flat


def _mean(values: Floats, groups: NDArray[np.int64] | None) -> tuple[Estimate, float]:
    """The mean with its 95 % interval, by site where there are sites; and its standard error."""
    mean, n = float(values.mean()), len(values)
    psi = values - mean
    if groups is not None:
        sums = np.bincount(groups, psi)
        error = float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1))) / n
    else:
        error = float(psi.std(ddof=1)) / np.sqrt(n)
    half = float(stats.t.ppf(0.975, _freedom(n, groups))) * error
    return Estimate(mean, mean - half, mean + half), error


def _freedom(n: int, groups: NDArray[np.int64] | None) -> int:
    """Degrees of freedom of an error: sites less one, where it is by site; as for average effects."""
    return max(1, (n if groups is None else len(np.unique(groups))) - 1)


def with_constant_effect(fitted: Crosswise) -> Crosswise:
    """The same models, the effect held constant: what is left where individual effects are refused."""
    only = np.zeros(len(fitted.names))
    only[constant_of(fitted.names)] = 1.0
    shares: Shares = replace(fitted.shares, effects=only)
    said = said_by(fitted.unseen, shares, fitted.outcome)
    # The effect of a fold is that of its own constant: one number for all folds.
    return replace(fitted, shares=shares, said=said)
