"""What a twins' job finds out: the study, the cohort, the trial's check and, for what may leave, attacks."""

from dataclasses import dataclass

import pandas as pd

from ehrsynth.errors import NotEnoughData, Refused
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed
from ehrsynth.release.gate import facts_of
from ehrsynth.release.policy import Policy
from ehrsynth.release.reading import columns_of
from ehrsynth.release.twin_gate import attack_pairs, twin_checks
from ehrsynth.release.twin_patients import TwinPatients
from ehrsynth.release.twin_request import Wanted
from ehrsynth.report.decision import Decision
from ehrsynth.tables import read_table
from ehrsynth.twins.cohort import Cohort, twin_cohort
from ehrsynth.twins.options import Options
from ehrsynth.twins.pairs import pairs
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.populations import of_population
from ehrsynth.twins.question import Question
from ehrsynth.twins.study import Study, twin_study
from ehrsynth.twins.trial import TrialCheck
from ehrsynth.twins.trial_run import cohort_check, trial_check


@dataclass(frozen=True, slots=True, eq=False)
class TwinAnswers:
    """Everything that was found; without an evaluation and a decision where nothing may leave."""

    study: Study
    cohort: Cohort
    checks: tuple[TrialCheck, ...]
    evaluation: Evaluation | None
    decision: Decision | None


def answers(real: TwinPatients, wanted: Wanted, policy: Policy, progress: Progress) -> TwinAnswers:
    """Answer for real patients, or for as many synthetic ones as are wanted.

    Raises
    ------
    NotEnoughData, Refused
        If a side of the patients cannot answer the question.
    """
    options = wanted.options.with_generators({name: outcome_recipe(name) for name in wanted.candidates})
    if wanted.synthetic is None:
        return _of_real_patients(real, wanted, options, progress)
    return _of_synthetic_patients(real, wanted, options, policy, progress)


def outcome_recipe(name: str) -> AbstractGenerator:
    """The recipe of a generator as an outcome model: it is learnt once a fold, so the quick form of it."""
    return recipe(name, {"learner": "boosted"} if name == "autoregressive" else {})


def _of_real_patients(real: TwinPatients, wanted: Wanted, options: Options, report: Progress) -> TwinAnswers:
    question, seed = real.question, real.hidden.seed
    target = None
    if wanted.target is not None:
        target = of_population(read_table(wanted.target, question.target_schema), question)
    until = 0.6 if wanted.trial else 0.9
    study = twin_study(
        real.learnt,
        question,
        options=options,
        target=target,
        seed=derived_seed(seed, "twins"),
        progress=part(report, 0.02, until),
    )
    cohort = twin_cohort(
        study,
        target,
        draws=wanted.draws,
        seed=derived_seed(seed, "cohort"),
        progress=part(report, until, until + 0.05),
    )
    checks: tuple[TrialCheck, ...] = ()
    if wanted.trial:
        checks = trial_check(
            real.learnt,
            question,
            options=options,
            seed=derived_seed(seed, "trial"),
            progress=part(report, until + 0.05, 0.96),
        )
    return TwinAnswers(study, cohort, checks, None, None)


def _of_synthetic_patients(
    real: TwinPatients, wanted: Wanted, options: Options, policy: Policy, report: Progress
) -> TwinAnswers:
    question, seed = real.question, real.hidden.seed
    assert real.cut is not None  # noqa: S101 - a candidate has patients whom nothing saw
    study = twin_study(
        real.learnt,
        question,
        options=options,
        seed=derived_seed(seed, "twins"),
        progress=part(report, 0.02, 0.45),
    )
    control = _seen_by_none(real.cut.control, question)
    together = real.cut.checked is real.cut.control
    checked = control if together else _seen_by_none(real.cut.checked, question)
    report(0.45, f"drawing {wanted.synthetic:,} synthetic patients")
    covariates = question.covariate_schema
    chosen = recipe(wanted.generator, dict(wanted.settings))
    # Those of the population that was asked for, and of an arm.
    learnt = columns_of(real.learnt, covariates).iloc[study.patients.rows].reset_index(drop=True)
    model = chosen.fit(learnt, covariates, seed=derived_seed(seed, "generator"))
    made = model.sample(wanted.synthetic or 1, seed=derived_seed(seed, "sample")).table
    cohort = twin_cohort(
        study, made, draws=wanted.draws, seed=derived_seed(seed, "cohort"), progress=part(report, 0.5, 0.55)
    )
    checks: tuple[TrialCheck, ...] = ()
    if question.randomised and cohort.outcomes:
        fitted = [(t.outcome.model.fitted, t.prediction.means) for t in cohort.outcomes]
        checks = cohort_check(
            fitted, cohort.rows, ours=study.patients, theirs=checked, question=question, split=real.cut.how
        )
    evaluation = None
    if cohort.outcomes:
        tables = pairs(cohort, study.patients, control, question)
        evaluation = attack_pairs(tables, policy, real.hidden, part(report, 0.55, 0.95))
    facts = facts_of(real.table, len(real.cut.control), question.schema, policy)
    decision = Decision.from_checks(
        twin_checks(study, cohort, checks, evaluation, policy=policy, facts=facts, theirs=control)
    )
    return TwinAnswers(study, cohort, checks, evaluation, decision)


def _seen_by_none(table: pd.DataFrame, question: Question) -> Patients:
    try:
        return patients_of(table, question)
    except (NotEnoughData, Refused) as error:
        summary = f"too few patients are left to hold the twins against: {error.summary}"
        raise type(error)(summary) from error
