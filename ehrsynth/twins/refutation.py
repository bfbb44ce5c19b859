"""Attempts to refute: what should change nothing, or leave nothing, is done a thousand times.

- **Placebo treatment**: arms drawn anew by their chance given covariates. No effect may be left.
- **Random common cause**: a covariate of pure noise is added. The effect may not move.
- **Subset**: four fifths of the patients. The effect may not move.
- **Negative control**: a covariate that treatment cannot have changed is taken as the outcome. No effect may
  be left. This is the one that can notice what was not measured; it needs the user to name such a column.

A refuter fails where its p-value, adjusted over all refuters (Holm), is below 0.01. For the first three it
says how far out the expected value (nothing, or the effect itself) lies among the estimates. They are made
with the quick estimator of `quick`, on at most 2,000 patients: they try the adjustment, not the learners.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import holm
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.quick import Quick, quick_effect

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEVEL = 0.01
REPEATS = 1_000
PLACEBO = "placebo treatment"
COMMON_CAUSE = "random common cause"
SUBSET = "subset"
CONTROL = "negative control"
_MOST = 2_000
_SUBSET = 0.8


@dataclass(frozen=True, slots=True)
class Refuter:
    """One attempt.

    Parameters
    ----------
    expected, mean, spread
        What the estimates should lie around, their mean, and their standard deviation.
    p_value, adjusted
        By itself, and over all refuters.
    false_positives
        For placebo treatments: how often the quick interval at 95 % missed nothing; 0.05 is right.
    """

    name: str
    contrast: int
    expected: float
    mean: float
    spread: float
    p_value: float
    adjusted: float
    repeats: int
    false_positives: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the effect was refuted."""
        return self.adjusted < LEVEL


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """One contrast's patients, as the quick estimator wants them."""

    design: Floats
    treated: Mask
    values: Floats
    weights: Floats
    chance: Floats
    randomised: bool

    def estimate(self) -> Quick:
        return quick_effect(self.design, self.treated, self.values, self.weights, randomised=self.randomised)

    def of(self, rows: NDArray[np.int64]) -> "_Trial":
        return _Trial(
            self.design[rows],
            self.treated[rows],
            self.values[rows],
            self.weights[rows],
            self.chance[rows],
            self.randomised,
        )


def refute(  # noqa: PLR0913 - what is tried, on whom, and how often
    fitted: Crosswise,
    patients: Patients,
    *,
    randomised: bool,
    controls: Sequence[tuple[str, Floats]] = (),
    inside: Mask,
    seed: int,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> tuple[Refuter, ...]:
    """Try every refuter on every contrast of one outcome.

    Parameters
    ----------
    controls
        Negative controls: name and values, NaN where not known.
    inside
        Patients on common support: no other is used.
    """
    report, found = progress or silent, []
    arms = fitted.said.means.shape[1]
    with threadpool_limits(1):
        for arm in range(1, arms):
            rng = numpy_generator(seed, "refute", fitted.outcome.name, str(arm))
            trial = _trial(fitted, patients, arm, inside, randomised=randomised, rng=rng)
            for place, make in enumerate((_placebo, _common_cause, _subset)):
                report((3 * (arm - 1) + place) / (3 * (arms - 1)), f"{fitted.outcome.name}: refuting")
                found.append(make(trial, arm, repeats, rng))
            rows = np.flatnonzero(inside & np.isin(patients.arm, (0, arm)))
            for name, values in controls:
                found.append(
                    _negative_control(
                        name, values[rows], arm, _whole(fitted, patients, arm, rows, randomised=randomised)
                    )
                )
    adjusted = holm([one.p_value for one in found])
    return tuple(replace(one, adjusted=float(p)) for one, p in zip(found, adjusted, strict=True))


def _trial(
    fitted: Crosswise,
    patients: Patients,
    arm: int,
    inside: Mask,
    *,
    randomised: bool,
    rng: np.random.Generator,
) -> _Trial:
    rows = np.flatnonzero(inside & np.isin(patients.arm, (0, arm)) & (fitted.target.weights > 0))
    rows = np.sort(rng.permutation(rows)[:_MOST])
    return _whole(fitted, patients, arm, rows, randomised=randomised)


def _whole(
    fitted: Crosswise, patients: Patients, arm: int, rows: NDArray[np.int64], *, randomised: bool
) -> _Trial:
    covariates: Matrix = patients.covariates.rows(rows)
    e = fitted.said.chances[rows]
    chance = e[:, arm] / np.maximum(e[:, arm] + e[:, 0], 1e-12)
    return _Trial(
        Flags(covariates)(covariates),
        patients.arm[rows] == arm,
        fitted.target.values[rows],
        fitted.target.weights[rows],
        chance,
        randomised,
    )


def _placebo(trial: _Trial, arm: int, repeats: int, rng: np.random.Generator) -> Refuter:
    def once() -> Quick:
        if trial.randomised:
            treated = rng.permutation(trial.treated)
        else:
            treated = rng.random(len(trial.chance)) < trial.chance
        return replace(trial, treated=treated).estimate()

    found = _repeated(once, repeats)
    missed = float(np.mean(np.abs(found[:, 0]) > stats.norm.ppf(0.975) * found[:, 1]))
    return replace(_judged(PLACEBO, arm, found[:, 0], 0.0), false_positives=missed)


def _common_cause(trial: _Trial, arm: int, repeats: int, rng: np.random.Generator) -> Refuter:
    def once() -> Quick:
        noise = rng.normal(size=(len(trial.design), 1))
        return replace(trial, design=np.hstack([trial.design, noise])).estimate()

    return _judged(COMMON_CAUSE, arm, _repeated(once, repeats)[:, 0], trial.estimate().value)


def _subset(trial: _Trial, arm: int, repeats: int, rng: np.random.Generator) -> Refuter:
    n = len(trial.treated)

    def once() -> Quick:
        return trial.of(rng.permutation(n)[: int(_SUBSET * n)]).estimate()

    return _judged(SUBSET, arm, _repeated(once, repeats)[:, 0], trial.estimate().value)


def _negative_control(name: str, values: Floats, arm: int, trial: _Trial) -> Refuter:
    known = ~np.isnan(values)
    quick = replace(trial, values=values, weights=known.astype(np.float64)).estimate()
    p_value = 2 * float(stats.norm.sf(abs(quick.value) / quick.error)) if quick.error > 0 else 1.0
    return Refuter(f"{CONTROL}: {name}", arm, 0.0, quick.value, quick.error, p_value, p_value, 1)


def _repeated(once: Callable[[], Quick], repeats: int) -> Floats:
    found = np.array([once() for _ in range(repeats)])
    return np.asarray(found[~np.isnan(found).any(axis=1)])


def _judged(name: str, arm: int, found: Floats, expected: float) -> Refuter:
    """How far out the expected value lies among the estimates, itself counted as one of them."""
    if not len(found):
        return Refuter(name, arm, expected, float("nan"), float("nan"), 1.0, 1.0, 0)
    beyond = 1 + int(min((found <= expected).sum(), (found >= expected).sum()))
    p_value = min(1.0, 2 * beyond / (len(found) + 1))
    if beyond == 1 and found.std() > 0:
        # Beyond every estimate: their number bounds the rank from below, and many contrasts ask for less.
        p_value = min(p_value, 2 * float(stats.norm.sf(abs(expected - found.mean()) / found.std())))
    return Refuter(name, arm, expected, float(found.mean()), float(found.std()), p_value, p_value, len(found))
