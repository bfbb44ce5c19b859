"""The results of a release or an evaluation as plain JSON values, for a machine."""

from dataclasses import fields
from typing import Any

from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.files import plain
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance


def as_json(decision: Decision, provenance: Provenance, evaluation: Evaluation) -> dict[str, Any]:
    """Everything that was decided and measured, as JSON values: internal, for it describes real patients.

    The first key is "decision"; a number that is not finite becomes null.
    """
    return {
        "decision": decision.verdict,
        "sentence": decision.sentence,
        "reasons": list(decision.reasons),
        "checks": [check.as_json() for check in decision.checks],
        "scores": {name: plain(_whole(score)) for name, score in evaluation.scores.items()},
        "risks": {name: plain(_whole(risk)) for name, risk in evaluation.risks.items()},
        "combined": plain(evaluation.combined),
        "second_opinions": {name: plain(_whole(risk)) for name, risk in evaluation.second_opinions.items()},
        "bound": None if evaluation.bound is None else plain(evaluation.bound.as_json()),
        "provenance": plain(provenance.as_json()),
    }


def _whole(value: Score | Risk) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value) if f.name != "evidence"}
