"""Average effects: doubly robust, with intervals that come from the patients learnt from and from no others.

The mean of arm a over a population is the models' mean there, corrected by the weighted residuals of the
patients who were in that arm (augmented inverse probability weighting: Robins, Rotnitzky and Zhao 1994;
crosswise fitted: Chernozhukov et al. 2018, doi 10.1111/ectj.12097). It is right when either the outcome
models or the chances of the arms are. Its error comes from each patient's influence, summed by site where
there are sites. Synthetic patients add nothing to it: however many are drawn, the patients learnt from stay
as few.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.statistics import Estimate
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.question import Estimand

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

FEWEST = 20  # patients of each arm that an average of a group needs: of fewer its error is not to be had
_FEWEST_SITES = 10  # fewer say little about how sites differ: the error is then that of patients


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Whom an average is about.

    Parameters
    ----------
    members
        n: how much each patient of the study counts in the population, at least 0.
    ratio
        n: how much commoner patients like this are in the population than in the study.
    outside
        Mean outcomes of the arms in patients who are not of the study (rows x arms), where the population is
        one of these; None where it is made of the study's patients.
    independent
        Real patients behind the rows of `outside`: what their sampling adds to the error.
    """

    members: Floats
    ratio: Floats
    outside: Floats | None = None
    independent: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Average:
    """Means of the arms, and what each patient contributes to them (influences: n x arms, mean 0).

    A mean is NaN where nobody is in the arm.

    `spread` is the covariance that the sampling of patients outside the study adds, arms x arms.
    """

    means: Floats
    influence: Floats
    spread: Floats
    groups: Whole | None

    def variance(self, weights: Floats) -> float:
        """The variance of a sum of the arms' means with these weights."""
        psi = self.influence @ weights
        n = len(psi)
        if self.groups is not None:
            sums = np.bincount(self.groups, psi)
            sums = sums[np.bincount(self.groups) > 0]
            found = float((sums**2).sum()) / n**2 * len(sums) / max(1, len(sums) - 1)
        else:
            found = float((psi**2).sum()) / n**2 * n / max(1, n - 1)
        return found + float(weights @ self.spread @ weights)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the error: sites less one, or patients who contribute less one an arm."""
        if self.groups is not None:
            return max(1, int((np.bincount(self.groups) > 0).sum()) - 1)
        return max(1, int((np.abs(self.influence) > 0).any(axis=1).sum()) - self.influence.shape[1])

    def of(self, weights: Floats, level: float) -> "Effect":
        """A sum of the arms' means, with its interval."""
        used = weights != 0  # an arm with nobody has no mean, and spoils no contrast of two others
        value, error = float(self.means[used] @ weights[used]), float(np.sqrt(self.variance(weights)))
        if np.isnan(value):
            return Effect(*([float("nan")] * 5))
        half = float(stats.t.ppf(0.5 + level / 2, self.freedom)) * error
        chance = 2 * float(stats.t.sf(abs(value) / error, self.freedom)) if error > 0 else 1.0
        return Effect(value, value - half, value + half, error, chance)

    def arm(self, number: int, level: float) -> "Effect":
        """The mean of one arm."""
        return self.of(np.eye(len(self.means))[number], level)

    def contrast(self, number: int, level: float) -> "Effect":
        """One arm less the reference."""
        unit = np.eye(len(self.means))
        return self.of(unit[number] - unit[0], level)


@dataclass(frozen=True, slots=True)
class Effect:
    """An average with its interval, its standard error, and the p-value of no effect."""

    value: float
    low: float
    high: float
    error: float
    p_value: float

    @property
    def estimate(self) -> Estimate:
        """Without error and p-value."""
        return Estimate(self.value, self.low, self.high)


def study_population(
    patients: Patients, chances: Floats, inside: Mask, estimand: Estimand, *, arm: int = 1
) -> Population:
    """The population of an estimand within the study.

    Parameters
    ----------
    chances
        n x arms.
    inside
        Patients on common support: no other counts.
    arm
        The arm whose patients are the treated.
    """
    if estimand == "all":
        return Population(inside.astype(np.float64), inside.astype(np.float64))
    one = arm if estimand == "treated" else 0
    return Population((inside & (patients.arm == one)).astype(np.float64), inside * chances[:, one])


def contributing(patients: Patients, weights: Floats, arms: int) -> Whole:
    """How many patients of each arm have a weight above 0."""
    return np.bincount(patients.arm[weights > 0], minlength=arms)


def within(population: Population, group: Mask) -> Population:
    """The same population's patients of one group."""
    return replace(population, members=population.members * group, ratio=population.ratio * group)


def average(fitted: Crosswise, patients: Patients, population: Population) -> Average:
    """The means of all arms in a population."""
    e, mu, target = fitted.said.chances, fitted.said.plain, fitted.target
    n, arms = mu.shape
    pull = weights_of_arms(patients.arm, e, target.weights * population.ratio)
    residual = np.where(target.weights > 0, target.values - mu[np.arange(n), patients.arm], 0.0)
    total = np.maximum(pull.sum(axis=0), 1e-300)
    correction = (pull * residual[:, None]).sum(axis=0) / total
    influence = n * pull * (residual[:, None] - correction) / total
    spread = np.zeros((arms, arms))
    if population.outside is None:
        counted = max(float(population.members.sum()), 1e-300)
        plain = population.members @ mu / counted
        influence += n * population.members[:, None] * (mu - plain) / counted
    else:
        plain = population.outside.mean(axis=0)
        spread = np.cov(population.outside.T, ddof=1).reshape(arms, arms) / max(1, population.independent)
    return Average(plain + correction, influence, spread, clusters(patients.site))


def clusters(site: Whole | None) -> Whole | None:
    """Sites, where there are enough for an error by site."""
    return site if site is not None and len(np.unique(site)) >= _FEWEST_SITES else None


def weights_of_arms(arm: Whole, chances: Floats, weights: Floats) -> Floats:
    """N x arms: what each patient stands for in the own arm, 0 in the others."""
    flags = arm[:, None] == np.arange(chances.shape[1])
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(flags & (weights > 0)[:, None], weights[:, None] / chances, 0.0))


def unadjusted(fitted: Crosswise, patients: Patients, group: Mask) -> Average:
    """The plain means of the arms among some patients: what a trial compares."""
    target, arms = fitted.target, fitted.said.plain.shape[1]
    return plain_means(patients, target.values, target.weights * group, arms)


def plain_means(patients: Patients, values: Floats, weights: Floats, arms: int) -> Average:
    """The weighted means of the arms, with each patient's influence; NaN for an arm with nobody."""
    flags = (patients.arm[:, None] == np.arange(arms)) * weights[:, None]
    total = np.maximum(flags.sum(axis=0), 1e-300)
    known = np.where(weights > 0, values, 0.0)
    means = known @ flags / total
    influence = len(known) * flags * (known[:, None] - means) / total
    means = np.where((flags > 0).any(axis=0), means, np.nan)
    return Average(means, influence, np.zeros((arms, arms)), clusters(patients.site))


def density_ratio(study: Matrix, others: Matrix, *, seed: int) -> Floats:
    """How much commoner patients like each of the study's are among the others; mean about 1.

    The odds of belonging to the others, by logistic regression and boosted trees that did not see the
    patient.
    """
    from ehrsynth.twins.effects import mean_of, stratified_folds
    from ehrsynth.twins.learners import learn_classes

    folds, found = 5, np.empty(len(study))
    both = Matrix(study.columns, np.vstack([study.values, others.values]))
    label = np.repeat([0, 1], [len(study), len(others)])
    fold = stratified_folds(label, folds, seed)
    for number in range(folds):
        rest, own = both.rows(fold != number), np.flatnonzero(fold[: len(study)] == number)
        models = tuple(
            learn_classes(name, rest, label[fold != number], 2, seed=seed) for name in ("linear", "boosted")
        )
        chance = np.clip(mean_of(models, study.rows(own))[:, 1], 1e-6, 1 - 1e-6)
        found[own] = chance / (1 - chance) * len(study) / len(others)
    return found
