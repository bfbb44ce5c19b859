"""The whole of a twin study: a table and a question in, averages, models, diagnostics and refusals out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.strata import Stratum
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed
from ehrsynth.tables.origin import refuse_synthetic
from ehrsynth.tables.values import to_values
from ehrsynth.twins.fitting import Crosswise, fit_crosswise
from ehrsynth.twins.options import Options
from ehrsynth.twins.outcome_study import OutcomeStudy, Setting, study_outcome
from ehrsynth.twins.overlap import Overlap, Support, Supported, overlap
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.populations import Outsiders, Populations, outside, outsiders, with_support
from ehrsynth.twins.propensity import lowest_chance
from ehrsynth.twins.question import Question
from ehrsynth.twins.refusals import (
    Refusal,
    check_support,
    imbalance,
    poor_overlap,
    settled,
)
from ehrsynth.twins.subgroups import subgroups

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A question's answer.

    `refusals` concern all outcomes; each outcome has its own besides. `supported` tells any patient's
    support. `target` are the patients of another table whom averages are over; None: the study's own.
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
    target: Outsiders | None = None

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
        Patients to whom averages are standardised, with the columns of `Question.target_schema`; default: the
        study's own. Of them, those of the population that was asked for are meant.
    seed
        Equal seeds give equal answers on the same machine.

    Raises
    ------
    NotEnoughData, Refused
        If an arm has no patient, or fewer than 10, or fewer than 2 on common support, or the target table has
        nobody there: nothing can be fitted or averaged then.
    RequestError
        If the table is itself synthetic, or there is a target table and averages are not to be of "all".
    """
    refuse_synthetic(table)
    options, report = options or Options(), progress or silent
    report(0.0, "reading patients")
    patients = patients_of(table, question)
    others = outsiders(target, question)
    fitted = _fitted(patients, question, options, seed, part(report, 0.0, 0.7))
    lowest = lowest_chance(len(patients))
    arms, chances = len(question.arms), fitted[0].said.chances
    supported = Supported(
        patients.covariates, patients.arm, arms, lowest=lowest, seed=derived_seed(seed, "support")
    )
    support = supported.of(patients.covariates, chances)
    check_support(patients, ~support.outside, question)
    others = with_support(others, supported, fitted[0])
    population = Populations(patients, question, ~support.outside, others, seed)
    found = overlap(
        patients.covariates,
        patients.arm,
        chances,
        population.of(fitted[0], 1),
        outside=outside(support, population),
        lowest=lowest,
    )
    groups = subgroups(question, [patients.covariates])
    controls = _controls(table, question, patients)
    outcomes = []
    for number, one in enumerate(fitted):
        start, stop = (0.7 + 0.3 * k / len(fitted) for k in (number, number + 1))
        setting = Setting(question, options, ~support.outside, groups, controls, seed)
        own = part(report, start, stop)
        outcomes.append(study_outcome(one, patients, population, setting, progress=own))
    refusals = settled(_refusals(patients, question, found), options.accepted)
    report(1.0, "done")
    told = tuple(outcomes)
    return Study(
        question, options, patients, support, supported, found, told, refusals, groups.measured, others
    )


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


def _controls(table: pd.DataFrame, question: Question, patients: Patients) -> tuple[tuple[str, Floats], ...]:
    if not question.negative_control:
        return ()
    values = to_values(table, question.schema.subset(question.negative_control))
    return tuple((name, values[name][patients.rows]) for name in question.negative_control)
