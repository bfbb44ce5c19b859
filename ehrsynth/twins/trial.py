"""The trial check: does a cohort of twins show what the other half of a randomised trial showed?

Models are fitted on one half of the trial (of its sites, where it has them). Every contrast that they
simulate in the other half's patients is held against the randomised contrast there, over all patients and in
each group, and so is every arm's level: a cohort whose outcomes know nothing of the patient can have a right
contrast and wrong levels. The interval of each difference holds both halves' errors. Rejections are at one
family-wise level of 5 % (Holm), half of it for contrasts and half for levels. A cell that passes may have
passed for want of patients: the difference that it would have found with a chance of 0.8 stands beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import Estimate, holm, normal_quantile
from ehrsynth.twins.average import FEWEST as LEAST_LEARNT
from ehrsynth.twins.average import Average, Effect, plain_means
from ehrsynth.twins.patients import Patients, Target

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

LEVEL = 0.05
FEWEST = 50  # patients of each arm that a group needs in the other half
TOO_FEW = f"fewer than {FEWEST} patients an arm in a half"
FEWEST_SITES = 4
ALL = "all patients"
_POWER = 0.8
What = Literal["contrast", "level"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of the simulation against the same of the trial.

    Parameters
    ----------
    arm
        The arm, or the arm that is held against the reference.
    difference
        Simulated less randomised, with its 95 % interval.
    detectable
        The difference that this cell would have rejected with a chance of 0.8.
    """

    what: What
    group: str
    arm: int
    simulated: float
    randomised: Estimate
    difference: Estimate
    p_value: float
    adjusted: float
    detectable: float
    patients: int

    @property
    def passed(self) -> bool:
        """Whether the trial does not contradict it."""
        return self.adjusted >= LEVEL / 2


@dataclass(frozen=True, slots=True)
class TrialCheck:
    """The check of one outcome: every cell, and groups that were too small.

    Without a cell nothing was compared: the check is not computed, which is no pass.
    """

    outcome: str
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]
    split: str

    @property
    def computed(self) -> bool:
        """Whether anything was compared."""
        return bool(self.cells)

    @property
    def passed(self) -> bool:
        """Whether something was compared, and the trial contradicts no cell."""
        return self.computed and all(cell.passed for cell in self.cells)

    @property
    def failed(self) -> tuple[Cell, ...]:
        """The cells that the trial contradicts."""
        return tuple(cell for cell in self.cells if not cell.passed)


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """What a cohort says of one group.

    Parameters
    ----------
    means
        n x arms: mean outcome of each of the cohort's patients of this group in each arm.
    errors
        What is known of the same group from the patients learnt from, whose sampling is the simulation's
        error. None where they are too few to tell it.
    """

    group: str
    means: Floats
    errors: Average | None


def halves(patients: Patients, *, seed: int) -> tuple[Mask, str]:
    """Which patients belong to the first half, and how the trial was cut.

    Sites go whole to the half that is smaller so far, in random order; patients are cut at random within arms
    where there are fewer than four sites.
    """
    rng = numpy_generator(seed, "trial halves")
    sites = np.unique(patients.site) if patients.site is not None else np.zeros(0, np.int64)
    first = np.zeros(len(patients), np.bool_)
    if patients.site is not None and len(sites) >= FEWEST_SITES:
        sizes = [0, 0]
        for site in rng.permutation(sites):
            rows = patients.site == site
            half = int(sizes[0] > sizes[1])
            first |= rows if half == 0 else False
            sizes[half] += int(rows.sum())
        return first, f"by site ({len(sites)} sites)"
    for arm in np.unique(patients.arm):
        rows = rng.permutation(np.flatnonzero(patients.arm == arm))
        first[rows[: len(rows) // 2]] = True
    return first, "by patient: the trial has no four sites"


def check(
    simulated: Sequence[Simulated],
    target: Target,
    other: Patients,
    groups: Sequence[Mask],
    *,
    split: str,
) -> TrialCheck:
    """Hold a simulation against the patients of the other half.

    Parameters
    ----------
    simulated
        The whole cohort first, then its groups.
    target, other
        The outcome and the patients of the half that was not learnt from.
    groups
        The same groups among them.
    """
    arms = simulated[0].means.shape[1]
    cells, left_out = [], []
    for one, mask in zip(simulated, groups, strict=True):
        if one.errors is None:
            left_out.append(
                f"{one.group}: fewer than {LEAST_LEARNT} patients in an arm of the half learnt from"
            )
            continue
        weights = target.weights * mask
        count = np.bincount(other.arm[weights > 0], minlength=arms)
        if count.min() < FEWEST or not len(one.means):
            left_out.append(f"{one.group}: fewer than {FEWEST} patients in an arm of the other half")
            continue
        seen = plain_means(other, target.values, weights, arms)
        both, unit = (one.errors, seen), np.eye(arms)
        whole = int(count.sum())
        cells += [
            _cell("level", one, arm, unit[arm], both=both, patients=int(count[arm])) for arm in range(arms)
        ]
        cells += [
            _cell("contrast", one, arm, unit[arm] - unit[0], both=both, patients=whole)
            for arm in range(1, arms)
        ]
    return TrialCheck(target.outcome.name, _adjusted(cells), tuple(left_out), split)


def _cell(
    what: What, one: Simulated, arm: int, weights: Floats, *, both: tuple[Average, Average], patients: int
) -> Cell:
    value = float(one.means.mean(axis=0) @ weights)
    ours, theirs = (half.of(weights, 0.95) for half in both)
    error = float(np.hypot(ours.error, theirs.error))
    freedom = _freedom((ours, both[0].freedom), (theirs, both[1].freedom))
    gap = value - theirs.value
    half = float(stats.t.ppf(0.975, freedom)) * error
    p_value = 2 * float(stats.t.sf(abs(gap) / error, freedom)) if error > 0 else float(gap == 0)
    return Cell(
        what,
        one.group,
        arm,
        value,
        theirs.estimate,
        Estimate(gap, gap - half, gap + half),
        p_value,
        1.0,
        error,
        patients,
    )


def _freedom(*parts: tuple[Effect, int]) -> float:
    """Welch and Satterthwaite."""
    variances = [(effect.error**2, freedom) for effect, freedom in parts]
    total = sum(v for v, _ in variances)
    below = sum(v**2 / freedom for v, freedom in variances)
    return total**2 / below if below > 0 else 1e6


def _adjusted(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Holm within contrasts and within levels; `detectable` becomes a difference."""
    found = list(cells)
    for what in ("contrast", "level"):
        places = [k for k, cell in enumerate(found) if cell.what == what]
        if not places:
            continue
        needed = normal_quantile(1 - LEVEL / 2 / len(places)) + float(stats.norm.ppf(_POWER))
        for place, p in zip(places, holm([found[k].p_value for k in places]), strict=True):
            cell = found[place]
            found[place] = replace(cell, adjusted=float(p), detectable=needed * cell.detectable)
    return tuple(found)
