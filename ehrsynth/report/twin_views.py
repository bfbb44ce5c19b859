"""The parts of the twins' page, each from the answer's plain values: text, tables and charts of one thing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ehrsynth.report.charts import interval_pair
from ehrsynth.report.twin_charts import calibration_chart, overlap_chart

Values = Mapping[str, Any]
_MOST_BALANCE = 15


def _percent(one: Values) -> bool:
    return one["kind"] in {"binary", "horizon"}


def number(value: float | None, one: Values) -> str:
    """A number on the outcome's scale: shares in percentage points."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if _percent(one) else f"{value:.3g}"


def points(value: float | None, one: Values) -> str:
    """A difference on the outcome's scale: of shares in points."""
    if value is None or not _percent(one):
        return number(value, one)
    return f"{100 * value:+.1f}"


def _interval(value: Values, one: Values) -> str:
    return f"{number(value['value'], one)} ({number(value['low'], one)} to {number(value['high'], one)})"


def _difference(value: Values, one: Values) -> str:
    return f"{points(value['value'], one)} ({points(value['low'], one)} to {points(value['high'], one)})"


def unit(one: Values) -> str:
    """What a difference is counted in."""
    return "points" if _percent(one) else one["unit"] or "units of the outcome"


def drawn(label: str, grey: Values | None, value: Values, span: tuple[float, float] | None = None) -> Markup:
    """A value with its interval, above it another in grey where there is one; both with low and high."""
    shown = [v for v in (grey, value) if v is not None]
    ends = [float(v[n]) for v in shown for n in ("low", "high") if v[n] is not None]
    if len(ends) < 2 * len(shown):
        return Markup("")
    span = span or (min([0.0, *ends]), max([0.0, *ends]))
    triples = [None if v is None else (v["low"], v["value"], v["high"]) for v in (grey, value)]
    assert triples[1] is not None  # noqa: S101 - the value is always there
    return interval_pair(label, triples[0], triples[1], span)


def outcome(one: Values, answer: Values, few: int) -> Values:
    """Everything of one outcome; above 0, `few` keeps diagnostics and groups of so few patients inside."""
    found = {
        "name": one["outcome"],
        "described": one["described"],
        "withheld": one.get("withheld", []),
        "training_n": one["training_n"],
        "refuters": [] if few else [_refuter(r) for r in one["refuters"]],
        "calibration": [] if few else [_calibration(c) for c in one["calibration"]],
        "coverage": [_coverage(c) for c in one["predictive_coverage"]["groups"] if c["patients"] > few],
        "promise": one["predictive_coverage"]["promise"],
        "unit": unit(one),
        "values": [] if few else _values(one),
        "models": [(n, f"{w:.2f}") for n, w in one["models"]["effect"].items() if w > 0.005],  # noqa: PLR2004
        "evidence": _evidence(one["evidence"]),
        "effects": [],
        "left_out": [],
        "arms": [],
        "coupling": [],
        "e_values": [],
    }
    if found["withheld"]:
        return found
    effects = [e for e in one["average_effects"] if e["patients"] > few]
    ends = [e[n] for e in effects for n in ("low", "high")]
    span = (min([0.0, *ends]), max([0.0, *ends]))
    return found | {
        "arms": [(arm, _interval(v, one), v["label"]) for arm, v in one["arms"].items()],
        "effects": [_effect(e, one, span) for e in effects],
        "left_out": [] if few else one["groups_left_out"],
        "e_values": list(_e_values(one, answer)),
        "coupling": [_coupling(c, one) for c in one["coupling"]],
    }


def _values(one: Values) -> Sequence[tuple[str, Sequence[str]]]:
    """The share of each value of an ordinal outcome in each arm."""
    shares = one.get("shares_of_values") or {}
    return [(value, [f"{100 * share:.1f} %" for share in row.values()]) for value, row in shares.items()]


def _effect(effect: Values, one: Values, span: tuple[float, float]) -> Values:
    return {
        "contrast": effect["contrast"],
        "group": effect["group"],
        "patients": f"{effect['patients']:,}",
        "value": _difference(effect, one),
        "unadjusted": _difference(effect["unadjusted"], one),
        "label": effect["label"],
        "drawn": drawn(f"{effect['contrast']}, {effect['group']}", effect["unadjusted"], effect, span),
    }


def _e_values(one: Values, answer: Values) -> Iterator[Values]:
    for contrast, value in zip(answer["question"]["contrasts"], one["e_values"], strict=True):
        if value is not None:
            how = "risk ratio" if value["exact"] else "risk ratio that stands in for a difference of means"
            text = f"{how} {value['ratio']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
            yield {
                "contrast": contrast,
                "point": f"{value['point']:.2f}",
                "limit": f"{value['limit']:.2f}",
                "how": text,
            }


def _coupling(value: Values, one: Values) -> Values:
    def said(bounds: Values, *, share: bool) -> str:
        def form(value: float) -> str:
            return f"{100 * value:.0f} %" if share else number(value, one)

        inner = f"{form(bounds['low'])} to {form(bounds['high'])}"
        return f"{inner} (with sampling {form(bounds['outer_low'])} to {form(bounds['outer_high'])})"

    rows = [
        ("Share whose outcome is higher", said(value["share_higher"], share=True)),
        ("Share whose outcome is lower", said(value["share_lower"], share=True)),
        (
            "Standard deviation of individual effects",
            said(value["spread_of_individual_effects"], share=False),
        ),
    ]
    rows += [
        (f"Share with an effect above {b['threshold']:.3g}", said(b, share=True))
        for b in value["share_beyond"]
    ]
    return {"contrast": value["contrast"], "rows": rows, "label": value["label"]}


def _evidence(value: Values) -> Sequence[tuple[str, str]]:
    def said(estimate: Values) -> str:
        return f"{estimate['value']:.3g} ({estimate['low']:.3g} to {estimate['high']:.3g})"

    return [
        ("Gain over a constant effect", said(value["against_constant"])),
        ("Gain over no effect", said(value["against_zero"])),
        ("Gain of a constant effect over none", said(value["constant_against_zero"])),
        (
            "Slope of what was seen on what was told (1 is right)",
            f"{said(value['slope'])}, p = {value['p_value']:.2g}",
        ),
    ]


def _refuter(one: Values) -> Values:
    rate = one["false_positives"]
    return {
        "name": one["name"],
        "contrast": one["contrast"],
        "expected": f"{one['expected']:.3g}",
        "found": f"{one['mean']:.3g} ± {one['spread']:.2g}" if one["mean"] is not None else "-",
        "p": f"{one['adjusted']:.2g}",
        "failed": one["failed"],
        "note": "" if rate is None else f"its 95 % interval missed nothing in {100 * rate:.1f} %",
    }


def _calibration(one: Values) -> Values:
    slope = "-" if one["slope"] is None else f"{one['slope']:.2f}"
    return {
        "arm": one["arm"],
        "text": f"slope {slope}, intercept {one['intercept']:.2f}",
        "chart": calibration_chart(one["arm"], one["fifths"]),
    }


def _coverage(one: Values) -> Values:
    value = one["value"]
    said = f"{100 * value['value']:.1f} % ({100 * value['low']:.1f} to {100 * value['high']:.1f})"
    return {"arm": one["arm"], "group": one["group"], "value": said, "patients": f"{one['patients']:,}"}


def check(check: Values) -> Values:
    """One of the gate's checks."""
    limit = "-" if check["limit"] is None else f"{check['comparison']} {check['limit']:g}"
    return {
        **check,
        "measured": "-" if check["value"] is None else f"{check['value']:.3g}",
        "limit": limit,
        "computed": check["value"] is not None and check["limit"] is not None,
    }


def trial(check: Values, answer: Values, few: int) -> Values:
    """One outcome's trial check."""
    one = next(o for o in answer["outcomes"] if o["outcome"] == check["outcome"])
    cells = [c for c in check["cells"] if c["patients"] > few]
    return {
        "outcome": check["outcome"],
        "verdict": check["verdict"],
        "reason": check["reason"],
        "split": check["split"],
        "error_rates": check["error_rates"],
        "left_out": [] if few else check["left_out"],
        "cells": [
            {
                "group": c["group"],
                "what": f"{'effect' if c['what'] == 'contrast' else 'level'}: {c['arm']}",
                "simulated": (points if c["what"] == "contrast" else number)(c["simulated"], one),
                "randomised": (_difference if c["what"] == "contrast" else _interval)(c["randomised"], one),
                "difference": _difference(c["difference"], one),
                "p": f"{c['adjusted']:.2g}",
                "detectable": points(c["detectable"], one),
                "passed": c["passed"],
                "drawn": drawn(f"{c['group']}: simulated less randomised", None, c["difference"]),
            }
            for c in cells
        ],
    }


def support(answer: Values) -> Values:
    """How far the arms overlap."""
    overlap, question = answer["overlap"], answer["question"]
    charts = [
        {"contrast": contrast, "auroc": f"{auroc:.2f}", "chart": overlap_chart(contrast, *histogram)}
        for contrast, auroc, histogram in zip(
            question["contrasts"], overlap["separation"], overlap["histogram"], strict=True
        )
    ]
    arms = [
        {"arm": arm, "patients": f"{n:,}", "effective": f"{e:,.0f}", "share": f"{100 * e / max(1, n):.1f} %"}
        for arm, n, e in zip(question["arms"], overlap["patients"], overlap["effective"], strict=True)
    ]
    balance = sorted(overlap["balance"], key=lambda b: -b["before"])[:_MOST_BALANCE]
    return {
        "charts": charts,
        "arms": arms,
        "outside": f"{overlap['outside']:,} ({100 * overlap['outside_share']:.1f} %)",
        "lowest": f"{overlap['lowest']:.3f}",
        "balance": [(b["column"], f"{b['before']:.2f}", f"{b['after']:.2f}") for b in balance],
        "left_out": [(why, f"{n:,}") for why, n in answer["patients"]["left_out"].items() if n],
    }
