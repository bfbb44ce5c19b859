"""Running the trial check: on two halves of a trial, or on a cohort and patients whom nothing saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.strata import Stratum
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed
from ehrsynth.twins.average import FEWEST, average, contributing, study_population, within
from ehrsynth.twins.evidence import evidence, with_constant_effect
from ehrsynth.twins.fitting import Crosswise, fit_crosswise
from ehrsynth.twins.model import TwinModel, twin_model
from ehrsynth.twins.options import Options
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.question import Question
from ehrsynth.twins.subgroups import subgroups
from ehrsynth.twins.trial import ALL, Simulated, TrialCheck, check, halves

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Means = Callable[[TwinModel, Matrix], Floats]


def trial_check(
    table: pd.DataFrame,
    question: Question,
    *,
    options: Options | None = None,
    simulate: Means | None = None,
    seed: int,
    progress: Progress | None = None,
) -> tuple[TrialCheck, ...]:
    """Fit on one half of a trial and hold what is simulated against the other half, for each outcome.

    Parameters
    ----------
    simulate
        From a model and the other half's covariates to their mean outcomes, n x arms; default: the twins
        themselves. Another one is for trying the check.

    Raises
    ------
    RequestError
        If arms were not randomised: there is no randomised contrast to be held against.
    NotEnoughData, Refused
        If an arm of a half has no patient, or fewer than 10: nothing can be fitted then.
    """
    found = trial_checks(
        table, question, simulate={"": simulate or predicted}, options=options, seed=seed, progress=progress
    )
    return found[""]


def trial_checks(
    table: pd.DataFrame,
    question: Question,
    *,
    simulate: Mapping[str, Means],
    options: Options | None = None,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, tuple[TrialCheck, ...]]:
    """As `trial_check`, of several ways to simulate from the same models, by name."""
    if not question.randomised:
        raise RequestError("the trial check needs randomised arms: say --design randomised, if they were")
    options, report = options or Options(), progress or silent
    first, split = halves(patients_of(table, question), seed=seed)
    # The estimand of a trial is its own patients, both arms.
    question = replace(question, estimand="all")
    rows = patients_of(table, question).rows
    ours, theirs = (patients_of(table.iloc[rows[mask]], question) for mask in (first, ~first))
    groups = subgroups(question, [ours.covariates, theirs.covariates]).measured
    masks = _masks(groups, 1, len(theirs))
    found: dict[str, list[TrialCheck]] = {name: [] for name in simulate}
    for number, outcome in enumerate(question.outcomes):
        start, stop = (k / len(question.outcomes) for k in (number, number + 1))
        fitted, model = half_model(
            ours, question, outcome.name, options=options, seed=seed, progress=part(report, start, stop)
        )
        for name, way in simulate.items():
            means = way(model, theirs.covariates)
            simulated = simulations(fitted, ours, groups, [means[m] for m in masks])
            found[name].append(check(simulated, theirs.targets[outcome.name], theirs, masks, split=split))
    return {name: tuple(checks) for name, checks in found.items()}


def half_model(
    patients: Patients,
    question: Question,
    outcome: str,
    *,
    options: Options,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Crosswise, TwinModel]:
    """One outcome's model without diagnostics; its effect is constant where evidence asks for it."""
    seed = derived_seed(seed, "half", outcome)
    fitted = fit_crosswise(
        patients,
        question,
        outcome,
        candidates=options.candidates,
        seed=seed,
        folds=options.folds,
        progress=progress,
    )
    population = study_population(patients, fitted.said.chances, np.ones(len(patients), np.bool_), "all")
    held = evidence(fitted, patients, outcomes=len(question.outcomes))
    told = "individual-effects" in options.accepted or held.individual
    kept = fitted if told else with_constant_effect(fitted)
    return fitted, twin_model(kept, patients, average(fitted, patients, population), population, seed=seed)


def predicted(model: TwinModel, rows: Matrix) -> Floats:
    """The twins' mean outcomes."""
    return np.asarray(np.mean([model.levelled(said.means) for said in model.fitted.by_fold(rows)], axis=0))


def simulations(
    fitted: Crosswise, patients: Patients, groups: Sequence[Stratum], means: Sequence[Floats]
) -> list[Simulated]:
    """What is simulated of all and of each group, with the error that the patients learnt from leave.

    Parameters
    ----------
    groups
        Their first masks are over the patients learnt from.
    means
        Mean outcomes of the cohort's patients, of all and of each group.
    """
    everyone = study_population(patients, fitted.said.chances, np.ones(len(patients), np.bool_), "all")
    masks = _masks(groups, 0, len(patients))
    names = [ALL, *(group.name for group in groups)]
    found = []
    for name, mean, mask in zip(names, means, masks, strict=True):
        mine, arms = within(everyone, mask), fitted.said.plain.shape[1]
        few = contributing(patients, fitted.target.weights * mine.ratio, arms).min() < FEWEST
        found.append(Simulated(name, mean, None if few else average(fitted, patients, mine)))
    return found


def _masks(groups: Sequence[Stratum], place: int, rows: int) -> list[Mask]:
    return [np.ones(rows, np.bool_), *(group.masks[place] for group in groups)]


def cohort_check(
    fitted: Sequence[tuple[Crosswise, Floats]],
    cohort: Matrix,
    *,
    ours: Patients,
    theirs: Patients,
    question: Question,
    split: str,
) -> tuple[TrialCheck, ...]:
    """Hold a cohort's own numbers against patients whom nothing saw.

    Parameters
    ----------
    fitted
        For each outcome its models, and the cohort's mean outcomes, n x arms.
    cohort
        The cohort's covariates.
    ours, theirs
        The patients learnt from, and patients of the same trial whom nothing saw.
    split
        How the two were told apart, in words.

    Raises
    ------
    RequestError
        If the arms were not randomised.
    """
    if not question.randomised:
        raise RequestError("the trial check needs randomised arms: say --design randomised, if they were")
    groups = subgroups(question, [ours.covariates, theirs.covariates, cohort]).measured
    split = f"patients whom neither generator nor models saw, cut {split}"
    found = []
    for one, means in fitted:
        kept = [means[mask] for mask in _masks(groups, 2, len(cohort))]
        simulated = simulations(one, ours, groups, kept)
        target = theirs.targets[one.outcome.name]
        found.append(check(simulated, target, theirs, _masks(groups, 1, len(theirs)), split=split))
    return tuple(found)
