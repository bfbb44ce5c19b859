"""Scores and risks as they stand on the page: rounded, drawn, and said in plain words."""

import math
from collections.abc import Iterator
from typing import Any

from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.report.charts import gauge, percent
from ehrsynth.report.decision import Check, Decision
from ehrsynth.report.words import RISKS, SCORES, title

# The end of the scale where it is not 1.
_TOP = {"effect_estimates": 3.0}
# Scores that count real patients who were copied: their number may be 1 to 10.
INTERNAL_SCORES = frozenset({"copied_rows"})
EMPTY = "\u2013"


def measured(value: float | None) -> str:
    """A number as it stands in a table.

    >>> measured(1000), measured(0.0312), measured(0.0)
    ('1,000', '0.031', '0')
    """
    if value is None:
        return EMPTY
    if value == int(value):
        return f"{int(value):,}"
    text = f"{value:.3f}"
    return text if float(text) else f"{value:.1g}"


def limit_text(value: float) -> str:
    """A limit as it was given.

    >>> limit_text(0.09), limit_text(1000.0)
    ('0.09', '1,000')
    """
    return f"{value:,.6g}"


def rounded_up(value: float) -> float:
    """A risk to two digits, never understated: from it no count of attacks can be worked back.

    >>> rounded_up(0.031), rounded_up(0.03), rounded_up(0.0)
    (0.04, 0.03, 0.0)
    """
    return math.ceil(round(100 * value, 6)) / 100


def interval(low: float | None, high: float | None) -> str:
    """An interval in words."""
    if low is None or high is None:
        return EMPTY
    return f"{low:.3f} to {high:.3f}"


def why(reason: str) -> str:
    """Why something was not measured, as a sentence.

    >>> why("not measurable here: one column"), why("")
    ('Not measurable here: one column.', 'Not measured here: no reason was given.')
    """
    text = reason.strip().removesuffix(".") or "no reason was given"
    if not text.startswith("not measur"):
        text = f"not measured here: {text}"
    return f"{text[0].upper()}{text[1:]}."


def scores(evaluation: Evaluation, *, shareable: bool) -> Iterator[dict[str, Any]]:
    """One row of the table of scores for each score that this reader may see."""
    for name, score in evaluation.scores.items():
        if shareable and name in INTERNAL_SCORES:
            continue
        words = SCORES.get(name)
        yield {
            "title": title(name),
            "plain": words.plain if words else "",
            "best": words.best if words else _best(score),
            "number": None if score.value is None else f"{score.value:.3f}",
            "interval": interval(score.low, score.high),
            "reference": EMPTY if score.reference is None else f"{score.reference:.3f}",
            "gauge": None if score.value is None else _score_gauge(score),
            "reason": why(score.reason),
        }


def _best(score: Score) -> str:
    return {"higher": "Higher is better.", "lower": "Lower is better.", "half": "0.5 is best."}[score.better]


def _score_gauge(score: Score) -> Any:
    value = 0.0 if score.value is None else score.value
    said = f"{title(score.name)}: {value:.3f}"
    if score.low is not None and score.high is not None:
        said += f", 95 % interval {score.low:.3f} to {score.high:.3f}"
    if score.reference is not None:
        said += f"; real against real {score.reference:.3f}"
    top = max(_TOP.get(score.name, 1.0), score.high or 0.0)
    return gauge(said, value, score.low, score.high, span=(0.0, top), mark=score.reference)


def risks(evaluation: Evaluation, decision: Decision, *, shareable: bool) -> Iterator[dict[str, Any]]:
    """One block for each risk; what may be shared is the upper end alone, rounded up.

    The upper end is the one that the gate looked at: the simultaneous one where there is one.
    """
    limit = risk_limit(decision)
    checks = {check.name: check for check in decision.checks}
    for name, risk in evaluation.risks.items():
        words, check = RISKS.get(name), checks.get(title(name))
        bounded = check is not None and evaluation.bound is not None and evaluation.bound.of(name)
        if check is not None and bounded:
            said = _bounded_risk(risk, check, shareable=shareable)
        else:
            said = _shared_risk(risk, limit) if shareable else _whole_risk(risk, limit)
        plain = words.plain if words else "What this attack gains over its control."
        yield {"title": title(name), "plain": plain, **said}


def risk_limit(decision: Decision) -> float | None:
    """The limit of the first attack."""
    limits = [c.limit for c in decision.checks if c.comparison == "at most" and c.limit and c.limit < 1]
    return limits[0] if limits else None


def _bounded_risk(risk: Risk, check: Check, *, shareable: bool) -> dict[str, Any]:
    if check.value is None:
        return {"number": "Not measurable here", "gauge": "", "text": check.explanation}
    upper = measured(check.value)
    label = f"{check.name}: at most {upper}"
    drawn = gauge(
        label, check.value, 0.0, check.value, span=_span(check.limit, check.value), limit=check.limit
    )
    against = "" if check.limit is None else f"; the limit is {limit_text(check.limit)}"
    text = f"The largest upper end that could be judged; all hold together{against}."
    if shareable:
        text += " It is rounded up. The counts behind it are kept inside."
    elif risk.value is not None:
        text += f" On its own {risk.value:.3f}, 95 % interval {interval(risk.low, risk.high)}. {_tried(risk)}"
    return {"number": f"at most {upper}", "gauge": drawn, "text": text}


def _tried(risk: Risk) -> str:
    """How often the attack succeeded, on whom."""
    ranked = risk.details.get("tpr")
    if ranked:
        found = [f"{percent(one['tpr'])} at {100 * one['fpr']:g} % false alarms" for one in ranked]
        area = risk.details.get("auroc")
        shown = f" AUROC {area['value']:.3f}, {interval(area['low'], area['high'])}." if area else ""
        shown += _in_f1(risk)
        return (
            f"Of {risk.n_attacks:,} training patients it recognises {' and '.join(found)}, which "
            f"{risk.n_control:,} unseen ones set.{shown}"
        )
    if risk.attack is None or risk.control is None:
        return ""
    text = (
        f"The attack succeeds in {percent(risk.attack)} of {risk.n_attacks:,} tries on training "
        f"patients and in {percent(risk.control)} of {risk.n_control:,} on unseen ones."
    )
    if risk.baseline is not None:
        text += f" A guess without the table succeeds in {percent(risk.baseline)}."
    return text


def _in_f1(risk: Risk) -> str:
    """Membership disclosure in the measure of its paper; nothing for other attacks."""
    curve = risk.details.get("f1")
    if not curve:
        return ""
    best, naive = max(curve, key=lambda one: one["gain"]), risk.details["f1_of_calling_everybody_a_member"]
    share, source = risk.details["sampling_fraction"], risk.details["population_is"]
    return (
        f" In F1, where {percent(share)} of those attacked are members (population: {source}): "
        f"{best['f1']:.3f} at best, {naive:.3f} for calling everybody a member."
    )


def _span(limit: float | None, *ends: float | None) -> tuple[float, float]:
    top = max([2 * (limit or 0.0), *(1.1 * e for e in ends if e is not None)], default=0.0)
    return 0.0, min(1.0, top) or 1.0


def _whole_risk(risk: Risk, limit: float | None) -> dict[str, Any]:
    if risk.value is None:
        return {"number": "Not measured", "gauge": "", "text": why(risk.reason)}
    said = f"{title(risk.name)}: {risk.value:.3f}, 95 % interval {interval(risk.low, risk.high)}"
    drawn = gauge(said, risk.value, risk.low, risk.high, span=_span(limit, risk.high), limit=limit)
    text = f"95 % interval {interval(risk.low, risk.high)}. {_tried(risk)}"
    return {"number": f"{risk.value:.3f}", "gauge": drawn, "text": text}


def _shared_risk(risk: Risk, limit: float | None) -> dict[str, Any]:
    if risk.value is None or risk.high is None:
        return {"number": "Not measured", "gauge": "", "text": why(risk.reason)}
    upper = rounded_up(risk.high)
    said = f"{title(risk.name)}: at most {upper:.2f}"
    drawn = gauge(said, upper, 0.0, upper, span=_span(limit, upper), limit=limit)
    return {
        "number": f"at most {upper:.2f}",
        "gauge": drawn,
        "text": "The upper end of the 95 % interval, rounded up. The counts behind it are kept inside.",
    }


# Heading, what the number means, and what stands beside it.
_CARRYING = {
    "classifier_two_sample": (
        "Real or synthetic?",
        "0.5: a classifier cannot tell them apart. 1: it always can.",
        "Real against real",
    ),
    "train_synthetic_test_real": (
        "Useful for a model?",
        "Models that learnt from synthetic patients, tested on real ones; the mean over the outcomes.",
        "Those that learnt from real patients",
    ),
    "pair_trends": (
        "How columns move together",
        "1: the same associations as in the real table.",
        "Real against real",
    ),
    "column_shapes": (
        "Columns one at a time",
        "1: the same distributions as in the real table.",
        "Real against real",
    ),
}


def tiles(evaluation: Evaluation, decision: Decision, *, shareable: bool) -> Iterator[dict[str, Any]]:
    """The three or four numbers that carry the decision."""
    yield from _risk_tile(evaluation, decision, shareable=shareable)
    found = [name for name in _CARRYING if _measured(evaluation.scores.get(name))]
    for name in found[:3]:
        score, (heading, text, beside) = evaluation.scores[name], _CARRYING[name]
        value = score.value or 0.0
        span = (0.5, 1.0) if score.better == "half" else (0.0, 1.0)
        reference = "" if score.reference is None else f" {beside}: {score.reference:.2f}."
        yield {
            "title": heading,
            "number": f"{value:.2f}",
            "over": False,
            "gauge": gauge(
                f"{heading} {value:.3f}", value, score.low, score.high, span=span, mark=score.reference
            ),
            "text": text + reference,
        }


def _measured(score: Score | None) -> bool:
    return score is not None and score.value is not None


def _risk_tile(evaluation: Evaluation, decision: Decision, *, shareable: bool) -> Iterator[dict[str, Any]]:
    limit = risk_limit(decision)
    bounded = _largest_bound(evaluation, decision)
    known = [(risk.high, name) for name, risk in evaluation.risks.items() if risk.high is not None]
    if bounded is not None:
        upper, limit, name = bounded.value or 0.0, bounded.limit, bounded.name
        what = "upper end that holds for all attacks together"
    elif known:
        upper, name = max(known)
        upper, name, what = (
            rounded_up(upper) if shareable else upper,
            title(name),
            "upper end of its 95 % interval",
        )
    else:
        return
    against = "" if limit is None else f" The limit is {limit_text(limit)}."
    unknown = len(_of_attacks(evaluation, decision)) - len(_known(evaluation, decision))
    if unknown:
        # A small number in front of a no must not be read as all that there is.
        against += f" {unknown} more of the attacks could not be measured, and may be larger."
    yield {
        "title": "Largest risk measured" if unknown else "Largest risk",
        "number": f"{upper:.2f}" if shareable else f"{upper:.3f}",
        "over": limit is not None and upper > limit,
        "gauge": gauge(f"Largest risk {upper:.3f}", upper, None, None, span=_span(limit, upper), limit=limit),
        "text": f"{name}, {what}.{against}",
    }


def _largest_bound(evaluation: Evaluation, decision: Decision) -> Check | None:
    """The attack that the simultaneous bound puts nearest to its limit, or farthest above."""
    known = [check for check in _known(evaluation, decision) if check.name in _bounded_names(evaluation)]
    return max(known, key=lambda check: (check.value or 0.0) / (check.limit or 1e-9), default=None)


def _bounded_names(evaluation: Evaluation) -> set[str]:
    return set() if evaluation.bound is None else {title(one.attack) for one in evaluation.bound.bounds}


def _of_attacks(evaluation: Evaluation, decision: Decision) -> list[Check]:
    """The checks of single attacks, also of those that gave no number."""
    names = {title(name) for name in evaluation.risks} | _bounded_names(evaluation)
    return [check for check in decision.checks if check.name in names]


def _known(evaluation: Evaluation, decision: Decision) -> list[Check]:
    return [check for check in _of_attacks(evaluation, decision) if check.computed]
