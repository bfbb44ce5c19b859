"""The statistician's page: effects, the judges of the two-sample test, and predictions, in numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.report.charts import Interval, interval_pair, percent
from ehrsynth.report.coverage import population_inference
from ehrsynth.report.numbers import EMPTY
from ehrsynth.report.provenance import Provenance

# As a number: SciPy's statistics change the warning filters of whoever imports ehrsynth.
_Z = 1.959963984540054  # of a two-sided 95 % interval
_MOST = 8  # columns shown for each outcome
_SCALES = {
    "logistic": "logistic regression: logarithms of odds ratios",
    "cox": "Cox regression: logarithms of hazard ratios",
    "linear": "linear regression: units of the outcome",
}


def effects(evaluation: Evaluation, *, shareable: bool) -> dict[str, Any] | None:
    """Every regression's coefficients; None where none was made.

    What may be shared has the synthetic estimates alone with the overlap to one digit: an estimate on real
    patients with its error can give the counts of a small table away.
    """
    score = evaluation.scores.get("effect_estimates")
    if score is None or not score.details.get("studies"):
        return None
    studies = [_study(one, shareable=shareable) for one in score.details["studies"].values()]
    left_out = {f"{name}: not fitted": why for name, why in score.details.get("left_out", {}).items()}
    return {
        "studies": studies,
        "left_out": left_out,
        "summary": _summary(score.details["mean"], score.details["mean_of_holdout"]),
    }


def _summary(synthetic: Mapping[str, Any], holdout: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = (
        ("Mean standardised difference", "standardised_difference"),
        ("Mean ratio of standard errors", "ratio_of_errors"),
        ("Mean overlap of the 95 % intervals", "overlap"),
        ("Sign and significance agree (shown, never decides)", "significance_agrees"),
    )
    return [(words, _number(synthetic.get(name)), _number(holdout.get(name))) for words, name in rows]


def _study(entry: Mapping[str, Any], *, shareable: bool) -> dict[str, Any]:
    found = [one for one in entry["coefficients"] if _reach(one["synthetic"]) is not None]
    span = _span(
        [_reach(one[w]) for one in found for w in (("synthetic",) if shareable else ("real", "synthetic"))]
    )
    rows, cases = entry["rows"], entry["complete_cases"]
    counted = ", ".join(f"{cases[n]:,} of {rows[n]:,} {n}" for n in cases)
    return {
        "outcome": entry["outcome"],
        "scale": _SCALES[entry["regression"]],
        "cases": "" if shareable else f"Complete cases: {counted}.",
        "rows": [_effect(one, span, shareable=shareable) for one in entry["coefficients"]],
        "left_out": sorted(entry["left_out"].items()),
    }


def _effect(one: Mapping[str, Any], span: tuple[float, float], *, shareable: bool) -> dict[str, Any]:
    made, real = _reach(one["synthetic"]), None if shareable else _reach(one["real"])
    against = one["synthetic_against_real"]
    said = f"{one['term']}: synthetic {_estimate(made)}"
    said += "" if shareable else f", real {_estimate(real)}"
    overlap = against["overlap"]
    row = {
        "term": one["term"],
        "synthetic": _estimate(made),
        "overlap": EMPTY if overlap is None else (f"{overlap:.1f}" if shareable else f"{overlap:.2f}"),
        "drawn": "" if made is None else interval_pair(said, real, made, span),
    }
    if shareable:
        return row
    return row | {
        "real": _estimate(real),
        "holdout": _estimate(_reach(one["holdout"])),
        "difference": _number(against["standardised_difference"]),
        "ratio": _number(against["ratio_of_errors"]),
    }


def _reach(found: Mapping[str, Any]) -> Interval | None:
    if found["estimate"] is None or found["error"] is None:
        return None
    half = _Z * found["error"]
    return found["estimate"] - half, found["estimate"], found["estimate"] + half


def _estimate(reach: Interval | None) -> str:
    return EMPTY if reach is None else f"{reach[1]:.2f} ({reach[0]:.2f} to {reach[2]:.2f})"


def _span(reaches: Sequence[Interval | None]) -> tuple[float, float]:
    """The ends of the picture: wide enough for the estimates, not for an interval without end."""
    known = [reach for reach in reaches if reach is not None]
    most = 2 * max((abs(value) for _, value, _ in known), default=1.0) or 1.0
    low = min((max(-most, low) for low, _, _ in known), default=-1.0)
    return min(0.0, low), max(0.0, max((min(most, high) for _, _, high in known), default=1.0))


def combined(evaluation: Evaluation, provenance: Provenance, *, shareable: bool) -> dict[str, Any] | None:
    """What several copies say together of each effect, and which inference is valid; None for one copy."""
    found = evaluation.combined
    if not found or not found["studies"]:
        return None
    share = found["share_held"]
    return {
        "copies": found["copies"],
        "valid": population_inference(provenance.generator, provenance.recipe),
        "held": "" if shareable or share is None else percent(share),
        "of": found["coefficients"],
        "studies": [
            {
                "outcome": one["outcome"],
                "scale": _SCALES[one["regression"]],
                "rows": [_of_copies(c, shareable=shareable) for c in one["coefficients"]],
            }
            for one in found["studies"].values()
        ],
    }


def _of_copies(one: Mapping[str, Any], *, shareable: bool) -> dict[str, str]:
    row = {
        "term": one["term"],
        "estimate": _number(one["estimate"]),
        "original": _ends(one["original"]),
        "population": _ends(one["population"]),
    }
    return row if shareable else row | {"real": _number(one["real"])}


def _ends(ends: Sequence[float | None]) -> str:
    return EMPTY if None in ends else f"{ends[0]:.2f} to {ends[1]:.2f}"


def judges(evaluation: Evaluation) -> dict[str, Any] | None:
    """How well each judge told synthetic from real patients, and by which columns."""
    score = evaluation.scores.get("classifier_two_sample")
    if score is None or not score.details.get("learners"):
        return None
    return {
        "rows": [
            {
                "judge": name.replace("_", " ").capitalize(),
                "value": _number(one["value"]),
                "interval": f"{_number(one['low'])} to {_number(one['high'])}",
                "reference": _number(one.get("reference")),
            }
            for name, one in score.details["learners"].items()
        ],
        "columns": [
            {"column": one["column"], "share": percent(one["share"])}
            for one in score.details.get("telling_columns", ())
        ],
    }


def predictions(evaluation: Evaluation) -> dict[str, Any] | None:
    """For each outcome and learner: learnt from synthetic patients, learnt from real ones."""
    score = evaluation.scores.get("train_synthetic_test_real")
    if score is None or not score.details.get("outcomes"):
        return None
    rows = [
        _prediction(outcome, learner, entry, found)
        for outcome, entry in score.details["outcomes"].items()
        for learner, found in entry["learners"].items()
    ]
    left_out = {name: one["reason"] for name, one in score.details.get("left_out", {}).items()}
    return {"measure": score.details["measure"], "rows": rows, "left_out": sorted(left_out.items())}


def _prediction(
    outcome: str, learner: str, entry: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, str]:
    risks = entry.get("risks", {}).get(learner, {})
    made, real = (risks.get(side) or {} for side in ("synthetic", "reference"))
    return {
        "outcome": outcome,
        "learner": learner.replace("_", " "),
        "value": f"{_number(found['value'])} ({_number(found['reference'])})",
        "interval": f"{_number(found['low'])} to {_number(found['high'])}",
        **{
            name: f"{_number(made.get(name))} ({_number(real.get(name))})"
            if made.get(name) is not None
            else EMPTY
            for name in ("auprc", "brier", "calibration_slope")
        },
    }


def sites(evaluation: Evaluation, *, shareable: bool) -> dict[str, Any] | None:
    """Each site predicted from the patients of the others; None where the schema has no site."""
    score = evaluation.scores.get("train_synthetic_test_real")
    found = None if score is None else score.details.get("sites")
    if not found or not found["measured"]:
        return None
    rows = [
        ("All these sites, on average", found["mean"]),
        *((one["site"], one) for one in found["measured"]),
    ]
    return {
        "column": found["column"],
        "rows": [
            {
                "site": name,
                "value": f"{_number(one['value'])} ({_number(one['reference'])})",
                "interval": f"{_number(one['low'])} to {_number(one['high'])}",
                "difference": _number(one["difference"]["value"]),
            }
            for name, one in rows
        ],
        "too_small": 0 if shareable else found["too_small"],
    }


def importance(evaluation: Evaluation) -> list[dict[str, Any]]:
    """For each outcome the columns that its models look at most: shares of importance, real and synthetic."""
    score = evaluation.scores.get("feature_importance")
    outcomes = {} if score is None else score.details.get("outcomes", {})
    return [
        {
            "outcome": outcome,
            "rows": [
                {n: one[n] if n == "column" else percent(one[n]) for n in ("column", "real", "synthetic")}
                for one in sorted(found["columns"], key=lambda one: -(one["real"] + one["synthetic"]))[:_MOST]
            ],
        }
        for outcome, found in outcomes.items()
    ]


def likeness(evaluation: Evaluation, *, shareable: bool) -> list[dict[str, str]]:
    """Precision, recall, density, coverage; authenticity, which tells of copies, inside only."""
    score = evaluation.scores.get("precision_recall")
    found = {} if score is None else score.details.get("measures", {})
    return [
        {
            "name": name.capitalize(),
            "value": _number(one["value"]),
            "interval": f"{_number(one['low'])} to {_number(one['high'])}",
            "reference": _number(one.get("reference")),
        }
        for name, one in found.items()
        if not (shareable and name == "authenticity")
    ]


def _number(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.3f}"
