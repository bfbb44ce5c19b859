"""A study's answer as plain values for JSON, each number labelled by what stands behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ehrsynth.statistics import Estimate
from ehrsynth.twins.average import Effect
from ehrsynth.twins.cohort import Cohort
from ehrsynth.twins.conformal import shares_of
from ehrsynth.twins.coupling import COUPLING, Coupled
from ehrsynth.twins.error_rates import measured_error_rates
from ehrsynth.twins.jump_rates import measured_jumps
from ehrsynth.twins.outcome_study import OutcomeStudy
from ehrsynth.twins.outcomes import Outcome
from ehrsynth.twins.populations import Outsiders
from ehrsynth.twins.question import Question
from ehrsynth.twins.refusals import Refusal, outside_support, settled
from ehrsynth.twins.refutation import Refuter
from ehrsynth.twins.study import Study
from ehrsynth.twins.trial import TOO_FEW, Cell, TrialCheck

VALIDATED = "validated by arms: patients of each arm show it"
ASSUMED = (
    "validated by arms; an effect only if no confounder is unmeasured and every covariate was measured before"
    " treatment, which no data can show"
)
SMOOTH = (
    "validated by arms on average; for one patient it assumes that effects change smoothly with covariates:"
    " around a jump, for instance at an age, it holds less often than it says; "
)
ANSWERED = ("answered", "answered in part")  # verdicts that are no refusal
INTENDED = (
    "For planning research and for checking models, not for deciding on a patient's treatment: a twin says"
    " what patients like this one did on average, and how widely they differed."
)

NOT_CHECKED = (
    "Overlap, balance and support: nothing says whether the arms had patients like each of these twins.",
    "The size of the arms and the number of events: an arm of few patients is mostly noise here.",
    "Placebo treatment, other refuters, calibration, and whether effects differ between patients at all.",
    "The trial check: no randomised patient was held against these numbers.",
    "How far the numbers may be off: every interval of an effect or of an outcome rests on patients.",
)
NOISE = (
    "These are the private model's numbers. They carry the noise that hides each patient: it can draw effects"
    " towards nil, and it can make them up. They are for trying out analyses, not for reading off an effect."
)

ASSUMPTIONS = {
    "randomised": (
        "Arms were allotted by chance, with the probabilities given or observed.",
        "Every covariate was measured before treatment, so that treatment cannot have changed it.",
        "A patient's outcome depends on the own arm alone, and an arm is one treatment (consistency).",
        "Patients whose outcome is not known are like the known ones with the same covariates and arm.",
    ),
    "observational": (
        "No cause of both treatment and outcome is missing from the covariates. No data can show this.",
        "Every covariate was measured before treatment, and not changed by it. No data can show this.",
        "Every patient of the population could have come into every arm (see the overlap).",
        "A patient's outcome depends on the own arm alone, and an arm is one treatment (consistency).",
        "Patients whose outcome is not known are like the known ones with the same covariates and arm.",
    ),
}


def as_json(study: Study, checks: Sequence[TrialCheck] = (), cohort: Cohort | None = None) -> dict[str, Any]:
    """Everything that was found, with nothing that was refused.

    The first key is "verdict"; see `verdict`.
    """
    refusals = [*study.every_refusal, *_outside(study, cohort)]
    return {
        "verdict": verdict(study, checks, cohort),
        "refusals": [refusal_json(one) for one in refusals],
        "question": question_json(study.question, study.target),
        "intended_use": INTENDED,
        "identification": list(ASSUMPTIONS[study.question.design]),
        "level": study.options.level,
        "patients": {
            "used": len(study.patients),
            "by_arm": _by_arm(
                study.question, np.bincount(study.patients.arm, minlength=len(study.question.arms))
            ),
            "left_out": dict(study.patients.left_out),
            "sites": None if study.patients.site is None else len(np.unique(study.patients.site)),
        },
        "overlap": values_of(study.overlap),
        "outcomes": [_outcome(study, one) for one in study.outcomes],
        "trial_check": [check_json(one, study.question) for one in checks],
    }


def verdict(study: Study, checks: Sequence[TrialCheck], cohort: Cohort | None = None) -> str:
    """The answer in a word or two.

    "answered"; "answered in part" where nothing but the numbers of some patients of the cohort is withheld;
    "average only" where effects of single patients are; "refused" where anything else is, or every patient of
    the cohort, or the trial check fails or could not be computed.
    """
    open_ones = {one.name for one in study.every_refusal if not one.overridden}
    withheld = np.zeros(0, np.bool_) if cohort is None else cohort.withheld
    none_left = len(withheld) > 0 and bool(withheld.all())
    if open_ones - {"individual-effects"} or none_left or any(not check.passed for check in checks):
        return "refused"
    if open_ones:
        return "average only"
    return "answered in part" if withheld.any() else "answered"


def _outside(study: Study, cohort: Cohort | None) -> Sequence[Refusal]:
    """Patients of a cohort outside support, whether their numbers were withheld or given all the same."""
    if cohort is None:
        return ()
    found = outside_support(int(cohort.support.outside.sum()), len(cohort))
    return settled(found, study.options.accepted)


def private_json(question: Question, means: Mapping[str, Sequence[float]], *, level: float) -> dict[str, Any]:
    """What a private model says: means of the twins, without interval, and what nobody checked.

    Parameters
    ----------
    means
        By the outcome's name, the mean of each arm's twins. Nothing else that was measured goes in.
    """
    return {
        "verdict": "simulated by a private model",
        "refusals": [],
        "question": question_json(question),
        "intended_use": INTENDED,
        "identification": list(ASSUMPTIONS[question.design]),
        "not_checked": list(NOT_CHECKED),
        "noise": NOISE,
        "level": level,
        "outcomes": [_simulated(question, o, means[o.name]) for o in question.outcomes],
        "trial_check": [],
    }


def _simulated(question: Question, outcome: Outcome, means: Sequence[float]) -> dict[str, Any]:
    return {
        "outcome": outcome.name,
        "kind": outcome.kind,
        "unit": outcome.unit if outcome.kind == "numeric" else "",
        "described": outcome.described,
        "simulated_means": _by_arm(question, means),
        "simulated_differences": {
            contrast: means[arm] - means[0] for arm, contrast in enumerate(question.contrasts, start=1)
        },
    }


def refusal_json(one: Refusal) -> dict[str, Any]:
    """One refusal with its flag and with how often such refusals err."""
    return {
        "name": one.name,
        "outcome": one.outcome or "all",
        "reason": one.reason,
        "overridden": one.overridden,
        "override": one.flag,
        "error_rates": measured_error_rates(one.name),
    }


def question_json(question: Question, target: Outsiders | None = None) -> dict[str, Any]:
    """What was asked; with a target table, how many patients of it averages are over."""
    return {
        "treatment": question.treatment,
        "arms": [arm.name for arm in question.arms],
        "reference": question.arms[0].name,
        "contrasts": list(question.contrasts),
        "outcomes": [outcome.described for outcome in question.outcomes],
        "covariates": list(question.covariates),
        "negative_controls": list(question.negative_control),
        "design": question.design,
        "probabilities": None
        if question.probabilities is None
        else _by_arm(question, question.probabilities),
        "estimand": question.estimand,
        "population": question.where or "all patients",
        "target": None if target is None else _target(target),
        "site": question.site,
    }


def _target(target: Outsiders) -> dict[str, Any]:
    averaged = len(target.supported)
    return {
        "patients": averaged,
        "outside_support": len(target.rows) - averaged,
        "synthetic": target.synthetic,
    }


def _by_arm(question: Question, values: Sequence[Any] | np.ndarray[Any, Any]) -> dict[str, Any]:
    return {arm.name: value for arm, value in zip(question.arms, values, strict=True)}


def _outcome(study: Study, one: OutcomeStudy) -> dict[str, Any]:
    question, fitted = study.question, one.model.fitted
    head = {
        "outcome": one.name,
        "kind": one.model.outcome.kind,
        "unit": one.model.outcome.unit if one.model.outcome.kind == "numeric" else "",
        "described": one.model.outcome.described,
        "patients_with_known_outcome": _by_arm(question, one.known),
        "events": None if one.events is None else _by_arm(question, one.events),
        "training_n": sum(one.known),
        "models": _models(one),
        "refuters": [_refuter(r, question) for r in one.refuters],
        "calibration": [values_of(c) | {"arm": question.arms[c.arm].name} for c in one.calibration],
        "predictive_coverage": {
            "level": study.options.level,
            "promise": _promise(question),
            "groups": [values_of(c) | {"arm": question.arms[c.arm].name} for c in one.coverage],
        },
        "evidence": values_of(one.evidence) | {"individual": one.evidence.individual},
    }
    stopped = study.stopped(one)
    if stopped:
        return head | {"withheld": [r.reason for r in stopped]}
    label = VALIDATED if question.randomised else ASSUMED
    return head | {
        "arms": {
            arm.name: _effect(level) | {"label": label}
            for arm, level in zip(question.arms, one.levels, strict=True)
        },
        "average_effects": [
            {
                "contrast": question.contrasts[e.arm - 1],
                "group": e.group,
                "patients": e.patients,
                **_effect(e.effect),
                "unadjusted": _effect(e.unadjusted),
                "label": label,
            }
            for e in one.effects
        ],
        "shares_of_values": _shares_of_values(study, one),
        "groups_left_out": list(one.left_out),
        "e_values": [None if e is None else values_of(e) for e in one.e_values],
        "individual_effects": SMOOTH + measured_jumps() if one.individual else "not told",
        "coupling": [_coupled(c, question.contrasts[k]) for k, c in enumerate(one.coupled)],
        "left_out_candidates": dict(fitted.left_out),
    }


def _shares_of_values(study: Study, one: OutcomeStudy) -> dict[str, Any] | None:
    """The share of each value of an ordinal outcome in each arm, over supported patients of the study."""
    fitted, outcome = one.model.fitted, one.model.outcome
    if study.target is not None or outcome.kind != "ordinal" or fitted.said.shapes is None:
        return None
    shares = shares_of(one.model.levelled(fitted.said.means), fitted.said.shapes, outcome)
    mean = shares[~study.support.outside].mean(axis=0)
    return {
        level: _by_arm(study.question, [float(v) for v in mean[:, k]])
        for k, level in enumerate(outcome.levels)
    }


def _models(one: OutcomeStudy) -> dict[str, Any]:
    shares = one.model.fitted.shares
    names = one.model.fitted.names
    bases = [name[2:] for name in names if name.startswith("T ")]
    return {
        "effect": {n: float(w) for n, w in zip(names, shares.effects, strict=True)},
        "outcome_by_arm": [{n: float(w) for n, w in zip(bases, row, strict=True)} for row in shares.means],
        "propensity": [float(w) for w in shares.chances],
        "chosen_by": "R-loss and squared error on patients not seen, convex weights",
    }


def _promise(question: Question) -> str:
    if question.randomised:
        return "on average over patients, not for one patient or one group"
    return "approximate (the propensity was estimated), on average over patients"


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "value": effect.value,
        "low": effect.low,
        "high": effect.high,
        "standard_error": effect.error,
        "p_value": effect.p_value,
    }


def _refuter(one: Refuter, question: Question) -> dict[str, Any]:
    found: dict[str, Any] = values_of(one)
    return found | {"contrast": question.contrasts[one.contrast - 1], "failed": one.failed}


def _coupled(one: Coupled, contrast: str) -> dict[str, Any]:
    return {
        "contrast": contrast,
        "label": COUPLING,
        "share_higher": values_of(one.higher),
        "share_lower": values_of(one.lower),
        "spread_of_individual_effects": values_of(one.spread),
        "share_beyond": [{"threshold": t, **values_of(b)} for t, b in one.beyond],
    }


def check_json(one: TrialCheck, question: Question) -> dict[str, Any]:
    """A trial check as a table; its verdict is "passed", "failed" or, with a reason, "not computed"."""
    verdict = "passed" if one.passed else "failed"
    return {
        "outcome": one.outcome,
        "verdict": verdict if one.computed else "not computed",
        "reason": "" if one.computed else TOO_FEW,
        "split": one.split,
        "cells": [_cell(cell, question) for cell in one.cells],
        "left_out": list(one.left_out),
        "error_rates": measured_error_rates("trial-check"),
    }


def _cell(cell: Cell, question: Question) -> Mapping[str, Any]:
    found: dict[str, Any] = values_of(cell)
    arm = question.contrasts[cell.arm - 1] if cell.what == "contrast" else question.arms[cell.arm].name
    found |= {"arm": arm, "passed": cell.passed}
    return found


def values_of(thing: Any) -> Any:
    """A value and everything in it as mappings, lists and plain values."""
    if is_dataclass(thing):
        return {f.name: values_of(getattr(thing, f.name)) for f in fields(thing)}
    if isinstance(thing, Estimate):
        return thing._asdict()
    if isinstance(thing, tuple | list):
        return [values_of(item) for item in thing]
    return thing
