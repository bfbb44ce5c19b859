"""What is found about one outcome of a twin study, and what of it may be told."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.strata import Strata
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.twins.average import (
    FEWEST,
    Average,
    Effect,
    Population,
    average,
    contributing,
    unadjusted,
    within,
)
from ehrsynth.twins.calibration import Calibration, Coverage, calibrate, cover
from ehrsynth.twins.coupling import Coupled, couple
from ehrsynth.twins.drawing import quantiles
from ehrsynth.twins.evidence import Evidence, evidence, with_constant_effect
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.model import TwinModel, twin_model
from ehrsynth.twins.options import Options
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.populations import Populations
from ehrsynth.twins.question import Question
from ehrsynth.twins.refusals import (
    Refusal,
    failed_refuters,
    no_individual_effects,
    settled,
    small_arms,
)
from ehrsynth.twins.refutation import Refuter, refute
from ehrsynth.twins.sensitivity import EValue, e_value

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ALL = "all patients"
_FEW = f"fewer than {FEWEST} patients of an arm with a known outcome on common support"
_COUPLED = 1_000  # patients over whom bounds of coupling are averaged


@dataclass(frozen=True, slots=True)
class GroupEffect:
    """One contrast in one group: the doubly robust effect, and the plain difference of the arms."""

    group: str
    arm: int
    effect: Effect
    unadjusted: Effect
    patients: int


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeStudy:
    """Everything about one outcome.

    Parameters
    ----------
    levels
        The mean of each arm in the population, with its interval.
    effects
        Each contrast over all patients first, then in each group.
    left_out
        Groups without a number, each with the reason, and with the contrast where others are told.
    coupled
        For each contrast, bounds that no data can narrow.
    spread
        The standard deviation of the outcome.
    individual
        Whether effects of single patients are asked for and may be told.
    """

    model: TwinModel
    levels: tuple[Effect, ...]
    effects: tuple[GroupEffect, ...]
    left_out: tuple[str, ...]
    e_values: tuple[EValue | None, ...]
    evidence: Evidence
    calibration: tuple[Calibration, ...]
    coverage: tuple[Coverage, ...]
    refuters: tuple[Refuter, ...]
    coupled: tuple[Coupled, ...]
    refusals: tuple[Refusal, ...]
    known: tuple[int, ...]
    events: tuple[int, ...] | None
    spread: float
    individual: bool

    @property
    def name(self) -> str:
        """The outcome's name."""
        return self.model.outcome.name


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What all outcomes of one study share.

    Parameters
    ----------
    inside
        Patients within the support of every arm.
    controls
        Negative controls by name, a value for each patient.
    """

    question: Question
    options: Options
    inside: Mask
    groups: Strata
    controls: tuple[tuple[str, Floats], ...]
    seed: int


def study_outcome(
    fitted: Crosswise,
    patients: Patients,
    populations: Populations,
    setting: Setting,
    *,
    progress: Progress,
) -> OutcomeStudy:
    """Everything about one outcome, from its models: averages, intervals, refuters, refusals.

    Parameters
    ----------
    fitted
        The outcome's models, crosswise.
    populations
        Whom averages are about.
    """
    question, options, name = setting.question, setting.options, fitted.outcome.name
    arms, seed = len(question.arms), derived_seed(setting.seed, "finish", name)
    held = evidence(fitted, patients, outcomes=len(question.outcomes))
    told = held.individual or "individual-effects" in options.accepted
    refused = settled(no_individual_effects(held, name), options.accepted) if options.individual else ()
    kept = fitted if told else with_constant_effect(fitted)
    by_arm = [populations.of(fitted, arm) for arm in range(1, arms)]
    averages = [average(fitted, patients, one) for one in by_arm]
    progress(0.1, f"{name}: intervals")
    model = twin_model(kept, patients, averages[0], by_arm[0], seed=seed)
    refuters = refute(
        fitted,
        patients,
        randomised=question.randomised,
        controls=setting.controls,
        inside=setting.inside,
        seed=seed,
        repeats=options.repeats,
        progress=part(progress, 0.3, 0.9),
    )
    refused += settled(_outcome_refusals(patients, question, refuters, name), options.accepted)
    effects, left_out = _effects(fitted, patients, by_arm, setting)
    target = fitted.target
    known = tuple(int(((patients.arm == a) & (target.weights > 0)).sum()) for a in range(arms))
    return OutcomeStudy(
        model=model,
        levels=_levels(averages, options.level),
        effects=effects,
        left_out=left_out,
        e_values=tuple(_e_values(fitted, averages, options.level)),
        evidence=held,
        calibration=calibrate(model, patients),
        coverage=cover(model, patients, setting.groups.measured, options.level),
        refuters=refuters,
        coupled=_coupled(model, patients, setting),
        refusals=refused,
        known=known,
        events=_events(fitted, patients, arms),
        spread=_spread(fitted),
        individual=options.individual and told,
    )


def _outcome_refusals(
    patients: Patients, question: Question, refuters: tuple[Refuter, ...], name: str
) -> Iterator[Refusal]:
    yield from small_arms(patients, question, name)
    yield from failed_refuters(refuters, question, name)


def _levels(averages: list[Average], level: float) -> tuple[Effect, ...]:
    return (averages[0].arm(0, level), *(one.arm(k, level) for k, one in enumerate(averages, 1)))


def _effects(
    fitted: Crosswise, patients: Patients, by_arm: list[Population], setting: Setting
) -> tuple[tuple[GroupEffect, ...], tuple[str, ...]]:
    """The effects, and the groups that are too small for one."""
    # Groups are of the study's own patients: where others are the population, there are none.
    own = by_arm[0].outside is None
    groups = setting.groups.measured if own else ()
    found, left_out = [], [f"{name}: {why}" for name, why in setting.groups.left_out.items() if own]
    everyone, known = np.ones(len(patients), np.bool_), fitted.target.weights > 0
    for name, mask in ((ALL, everyone), *((g.name, g.masks[0]) for g in groups)):
        for arm, population in enumerate(by_arm, 1):
            # Of all patients, refusals say what stands in the way: arms that are small or hardly overlap.
            few = contributing(patients, mask * known * population.ratio, arm + 1)[[0, arm]].min()
            if few < FEWEST and name != ALL:
                left_out.append(f"{name}, {setting.question.contrasts[arm - 1]}: {_FEW}")
                continue
            count = int((mask & setting.inside & np.isin(patients.arm, (0, arm))).sum())
            mine = within(population, mask) if own else population
            effect = average(fitted, patients, mine).contrast(arm, setting.options.level)
            plain = unadjusted(fitted, patients, mask).contrast(arm, setting.options.level)
            found.append(GroupEffect(name, arm, effect, plain, count))
    return tuple(found), tuple(left_out)


def _e_values(fitted: Crosswise, averages: list[Average], level: float) -> Iterator[EValue | None]:
    for arm, found in enumerate(averages, 1):
        yield e_value(found, arm, level, event=fitted.outcome.event, spread=_spread(fitted))


def _spread(fitted: Crosswise) -> float:
    known = fitted.target.weights > 0
    return float(fitted.target.values[known].std()) if known.any() else 0.0


def _events(fitted: Crosswise, patients: Patients, arms: int) -> tuple[int, ...] | None:
    if not fitted.outcome.event:
        return None
    target = fitted.target
    came = (target.weights > 0) & (np.where(target.weights > 0, target.values, 0.0) > 0.5)  # noqa: PLR2004
    return tuple(int((came & (patients.arm == arm)).sum()) for arm in range(arms))


def _coupled(model: TwinModel, patients: Patients, setting: Setting) -> tuple[Coupled, ...]:
    rng = numpy_generator(setting.seed, "coupling", model.outcome.name)
    rows = np.sort(rng.permutation(np.flatnonzero(setting.inside))[:_COUPLED])
    if not len(rows):
        return ()
    found = quantiles(model, patients.covariates.rows(rows))
    sizes = [0 if model.outcome.discrete else len(scores.fold) for scores in model.scores]
    return tuple(
        couple(found, arm, setting.options.level, residuals=min(sizes[0], sizes[arm]))
        for arm in range(1, len(model.scores))
    )
