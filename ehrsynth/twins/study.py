"""The whole of a twin study: a table and a question in, averages, models, diagnostics and refusals out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.strata import Stratum
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.tables.origin import refuse_synthetic
from ehrsynth.tables.values import to_values
from ehrsynth.twins.average import (
    Average,
    Effect,
    Population,
    average,
    unadjusted,
    within,
)
from ehrsynth.twins.calibration import Calibration, Coverage, calibrate, cover
from ehrsynth.twins.coupling import Coupled, couple
from ehrsynth.twins.drawing import quantiles
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.evidence import Evidence, evidence, with_constant_effect
from ehrsynth.twins.fitting import FOLDS, Crosswise, fit_crosswise
from ehrsynth.twins.model import TwinModel, twin_model
from ehrsynth.twins.overlap import Overlap, Support, Supported, overlap
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.populations import Populations, outside, outsiders
from ehrsynth.twins.propensity import lowest_chance
from ehrsynth.twins.question import Question
from ehrsynth.twins.refusals import (
    Refusal,
    failed_refuters,
    imbalance,
    no_individual_effects,
    poor_overlap,
    settled,
    small_arms,
)
from ehrsynth.twins.refutation import REPEATS, Refuter, refute
from ehrsynth.twins.sensitivity import EValue, e_value
from ehrsynth.twins.subgroups import subgroups

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_COUPLED = 1_000  # patients over whom bounds of coupling are averaged


@dataclass(frozen=True, slots=True)
class Options:
    """How a question is answered.

    Parameters
    ----------
    level
        Of every interval.
    repeats
        Of each refuter.
    accepted
        Refusals that are overridden, by name.
    individual
        Whether effects of single patients are asked for; where they are not, not having them is no refusal.
    """

    candidates: Candidates = field(default_factory=Candidates)
    level: float = 0.9
    folds: int = FOLDS
    repeats: int = REPEATS
    accepted: frozenset[str] = frozenset()
    individual: bool = True

    def with_generators(self, generators: Mapping[str, AbstractGenerator]) -> "Options":
        """The same with generators among the candidates."""
        return replace(self, candidates=replace(self.candidates, generators=dict(generators)))


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
class Study:
    """A question's answer.

    `refusals` concern all outcomes; each outcome has its own besides. `supported` tells any patient's
    support.
    """

    question: Question
    options: Options
    patients: Patients
    support: Support
    supported: Supported
    overlap: Overlap
    outcomes: tuple[OutcomeStudy, ...]
    refusals: tuple[Refusal, ...]
    groups: tuple[Stratum, ...]

    def stopped(self, outcome: OutcomeStudy) -> tuple[Refusal, ...]:
        """Why no number of an outcome may be told; empty where numbers may."""
        return tuple(r for r in (*self.refusals, *outcome.refusals) if r.stops)

    @property
    def every_refusal(self) -> tuple[Refusal, ...]:
        """All refusals, overridden ones too."""
        return (*self.refusals, *(r for outcome in self.outcomes for r in outcome.refusals))

    @property
    def refused(self) -> bool:
        """Whether anything that was asked for is withheld."""
        return any(not r.overridden for r in self.every_refusal)


def twin_study(
    table: pd.DataFrame,
    question: Question,
    *,
    options: Options | None = None,
    target: pd.DataFrame | None = None,
    seed: int,
    progress: Progress | None = None,
) -> Study:
    """Answer a question about a table.

    Parameters
    ----------
    table
        As `ehrsynth.tables.read_table` gives it for the question's schema.
    target
        Patients to whom averages are standardised, with the covariates' columns; default: the study's own.
    seed
        Equal seeds give equal answers on the same machine.

    Raises
    ------
    NotEnoughData, Refused
        If an arm has no patient, or fewer than 10: nothing can be fitted then.
    RequestError
        If the table is itself synthetic.
    """
    refuse_synthetic(table)
    options, report = options or Options(), progress or silent
    report(0.0, "reading patients")
    patients = patients_of(table, question)
    fitted = _fitted(patients, question, options, seed, part(report, 0.0, 0.7))
    lowest = lowest_chance(len(patients))
    arms, chances = len(question.arms), fitted[0].said.chances
    supported = Supported(
        patients.covariates, patients.arm, arms, lowest=lowest, seed=derived_seed(seed, "support")
    )
    support = supported.of(patients.covariates, chances)
    population = Populations(patients, question, ~support.outside, outsiders(target, question), seed)
    found = overlap(
        patients.covariates,
        patients.arm,
        chances,
        population.of(fitted[0], 1),
        outside=outside(support, supported, population, fitted[0]),
        lowest=lowest,
    )
    groups = subgroups(question, [patients.covariates])
    controls = _controls(table, question, patients)
    outcomes = []
    for number, one in enumerate(fitted):
        start, stop = (0.7 + 0.3 * k / len(fitted) for k in (number, number + 1))
        setting = _Setting(question, options, ~support.outside, groups, controls, seed)
        outcomes.append(_outcome(one, patients, population, setting, part(report, start, stop)))
    refusals = settled(_refusals(patients, question, found), options.accepted)
    report(1.0, "done")
    return Study(question, options, patients, support, supported, found, tuple(outcomes), refusals, groups)


def _fitted(
    patients: Patients, question: Question, options: Options, seed: int, report: Progress
) -> tuple[Crosswise, ...]:
    count = len(question.outcomes)
    return tuple(
        fit_crosswise(
            patients,
            question,
            outcome.name,
            candidates=options.candidates,
            seed=derived_seed(seed, "outcome", outcome.name),
            folds=options.folds,
            progress=part(report, number / count, (number + 1) / count),
        )
        for number, outcome in enumerate(question.outcomes)
    )


def _refusals(patients: Patients, question: Question, found: Overlap) -> Iterator[Refusal]:
    yield from imbalance(patients, question)
    yield from poor_overlap(found, question)


# ---- one outcome ----


@dataclass(frozen=True, slots=True, eq=False)
class _Setting:
    question: Question
    options: Options
    inside: Mask
    groups: tuple[Stratum, ...]
    controls: tuple[tuple[str, Floats], ...]
    seed: int


def _outcome(
    fitted: Crosswise,
    patients: Patients,
    populations: Populations,
    setting: _Setting,
    report: Progress,
) -> OutcomeStudy:
    question, options, name = setting.question, setting.options, fitted.outcome.name
    arms, seed = len(question.arms), derived_seed(setting.seed, "finish", name)
    held = evidence(fitted, patients, outcomes=len(question.outcomes))
    told = held.individual or "individual-effects" in options.accepted
    refused = settled(no_individual_effects(held, name), options.accepted) if options.individual else ()
    kept = fitted if told else with_constant_effect(fitted)
    by_arm = [populations.of(fitted, arm) for arm in range(1, arms)]
    averages = [average(fitted, patients, one) for one in by_arm]
    report(0.1, f"{name}: intervals")
    model = twin_model(kept, patients, averages[0], by_arm[0], seed=seed)
    refuters = refute(
        fitted,
        patients,
        randomised=question.randomised,
        controls=setting.controls,
        inside=setting.inside,
        seed=seed,
        repeats=options.repeats,
        progress=part(report, 0.3, 0.9),
    )
    refused += settled(_outcome_refusals(patients, question, refuters, name), options.accepted)
    target = fitted.target
    known = tuple(int(((patients.arm == a) & (target.weights > 0)).sum()) for a in range(arms))
    return OutcomeStudy(
        model=model,
        levels=_levels(averages, options.level),
        effects=tuple(_effects(fitted, patients, by_arm, setting)),
        e_values=tuple(_e_values(fitted, averages, options.level)),
        evidence=held,
        calibration=calibrate(model, patients),
        coverage=cover(model, patients, setting.groups, options.level),
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
    fitted: Crosswise, patients: Patients, by_arm: list[Population], setting: _Setting
) -> Iterator[GroupEffect]:
    everyone = np.ones(len(patients), np.bool_)
    for name, mask in (("all patients", everyone), *((g.name, g.masks[0]) for g in setting.groups)):
        for arm, population in enumerate(by_arm, 1):
            count = int((mask & setting.inside & np.isin(patients.arm, (0, arm))).sum())
            mine = within(population, mask) if population.outside is None else population
            if population.outside is not None and name != "all patients":
                continue
            effect = average(fitted, patients, mine).contrast(arm, setting.options.level)
            plain = unadjusted(fitted, patients, mask).contrast(arm, setting.options.level)
            yield GroupEffect(name, arm, effect, plain, count)


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


def _coupled(model: TwinModel, patients: Patients, setting: _Setting) -> tuple[Coupled, ...]:
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


def _controls(table: pd.DataFrame, question: Question, patients: Patients) -> tuple[tuple[str, Floats], ...]:
    if not question.negative_control:
        return ()
    values = to_values(table, question.schema.subset(question.negative_control))
    return tuple((name, values[name][patients.rows]) for name in question.negative_control)
