"""The twins' report: one HTML page from the answer's plain values, as `page` makes one of a release."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ehrsynth.report.charts import interval_pair
from ehrsynth.report.facts import facts
from ehrsynth.report.page import TEMPLATES
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.twin_charts import calibration_chart, overlap_chart

Values = Mapping[str, Any]

GLOSSARY = (
    ("Twin", "What patients like this one did under an arm, drawn many times. No patient has a real twin."),
    (
        "Average effect",
        "The mean outcome if all were in one arm, less the mean if all were in the reference.",
    ),
    (
        "Conditional average effect",
        "The same among patients with the same covariates. Not one patient's effect.",
    ),
    (
        "Predictive interval",
        "Holds the outcome of a patient with the stated chance, on average over patients.",
    ),
    (
        "Individual contrast",
        "One patient's outcome under one arm less that under the other. Nobody ever shows it.",
    ),
    (
        "Coupling",
        "How one patient's two outcomes go together. No data show it, so that bounds are all there is.",
    ),
    (
        "Effective sample size",
        "How many patients an arm is worth once it is weighted to look like the population.",
    ),
    ("Common support", "Patients who could have come into every arm, as far as covariates tell."),
    (
        "E-value",
        "How strongly an unmeasured cause must be tied to both treatment and outcome to explain it all.",
    ),
    (
        "Placebo treatment",
        "Arms drawn anew by chance. If an effect is found all the same, the method invents it.",
    ),
    ("R-loss", "How far outcomes are missed once everything but the effect is taken off; lower is better."),
)


def render_twins(answer: Values, provenance: Provenance, *, shareable: bool, small_cell: int = 10) -> str:
    """The report as one self-contained page.

    Parameters
    ----------
    answer
        What `ehrsynth.twins.results.as_json` gives, with what the job added, as plain values.
    shareable
        True: without seed, command, diagnostics of single covariates, and groups of few patients.
    """
    if shareable:
        provenance = provenance.shareable
    css, _, _ = TEMPLATES.loader.get_source(TEMPLATES, "page.css")  # type: ignore[union-attr]
    page = {**_head(answer, provenance, shareable=shareable), **_body(answer, shareable, small_cell)}
    page |= {
        "policy": provenance.policy,
        "facts": _facts(provenance),
        "glossary": GLOSSARY,
        "provenance_intro": _intro(answer),
    }
    parts = list(_parts(page))
    template = TEMPLATES.get_template("page.html.j2")
    return template.render(page={**page, "parts": parts, "css": Markup(css)})  # noqa: S704 - our own file


def _head(answer: Values, provenance: Provenance, *, shareable: bool) -> Values:
    refused = answer["verdict"] == "refused"
    withheld = [o["outcome"] for o in answer["outcomes"] if "withheld" in o]
    whose = "synthetic patients" if answer["cohort"]["synthetic"] else "real patients: these patients' data"
    if answer["outcomes"] and len(withheld) == len(answer["outcomes"]):
        headline = "These data cannot answer the question."
    elif refused:
        headline = "Answered in part: read what was refused."
    else:
        headline = "Answered, under the assumptions below."
    reasons = [f"{r['name']}: {r['reason']}." for r in answer["refusals"] if not r["overridden"]]
    reasons += [
        f"Overridden by the user ({r['override']}): {r['reason']}."
        for r in answer["refusals"]
        if r["overridden"]
    ]
    reasons += [
        f"The trial contradicts the twins for {c['outcome']}: {sum(not x['passed'] for x in c['cells'])} of"
        f" {len(c['cells'])} numbers."
        for c in answer["trial_check"]
        if c["verdict"] == "failed"
    ]
    release = answer["release"]
    gate = "" if release is None else f" {release['sentence']}"
    return {
        "verdict": "blocked" if refused else "released",
        "audience": "shareable" if shareable else "internal",
        "headline": headline,
        "heading": f"Twins: {provenance.title or provenance.data}",
        "lead": f"{answer['cohort']['patients']:,} twins of {whose}.{gate}",
        "guarantee": answer["intended_use"],
        "reasons": reasons,
        "tiles": list(_tiles(answer)),
        "day": provenance.date[:10],
        "version": provenance.versions.get("ehrsynth", ""),
    }


def _tiles(answer: Values) -> Iterator[Values]:
    for one in [o for o in answer["outcomes"] if "withheld" not in o][:2]:
        for effect in [e for e in one["average_effects"] if e["group"] == "all patients"][:2]:
            yield {
                "title": f"{one['outcome']}: {effect['contrast']}",
                "number": _number(effect["value"], one),
                "over": False,
                "gauge": _drawn(effect["contrast"], None, effect),
                "text": (
                    f"Average effect, {answer['level']:.0%} interval {_number(effect['low'], one)} to"
                    f" {_number(effect['high'], one)}; {effect['label']}."
                ),
            }


def _percent(one: Values) -> bool:
    return one["kind"] in {"binary", "horizon"}


def _number(value: float | None, one: Values) -> str:
    """A number on the outcome's scale: shares in percentage points."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if _percent(one) else f"{value:.3g}"


def _interval(value: Values, one: Values) -> str:
    return f"{_number(value['value'], one)} ({_number(value['low'], one)} to {_number(value['high'], one)})"


def _drawn(label: str, grey: Values | None, value: Values, span: tuple[float, float] | None = None) -> Markup:
    shown = [v for v in (grey, value) if v is not None]
    ends = [float(v[n]) for v in shown for n in ("low", "high") if v[n] is not None]
    if len(ends) < 2 * len(shown):
        return Markup("")
    span = span or (min([0.0, *ends]), max([0.0, *ends]))
    triples = [None if v is None else (v["low"], v["value"], v["high"]) for v in (grey, value)]
    assert triples[1] is not None  # noqa: S101 - the value is always there
    return interval_pair(label, triples[0], triples[1], span)


def _body(answer: Values, shareable: bool, small_cell: int) -> Values:  # noqa: FBT001 - inside only
    question = answer["question"]
    few = small_cell if shareable else 0
    return {
        "level": f"{answer['level']:.0%}",
        "question": list(_question(question)),
        "assumptions": answer["identification"],
        "outcomes": [_outcome(one, answer, few) for one in answer["outcomes"]],
        "checks": [] if answer["release"] is None else [_check(c) for c in answer["release"]["checks"]],
        "trial": [_trial(check, answer, few) for check in answer["trial_check"]],
        "support": None if shareable else _support(answer),
        "refusals": answer["refusals"],
        "cohort": answer["cohort"],
    }


def _question(question: Values) -> Iterator[tuple[str, str]]:
    yield "Treatment", f"{question['treatment']}: {', '.join(question['contrasts'])}"
    yield "Outcomes", "; ".join(question["outcomes"])
    yield "Design", question["design"]
    yield "Whom an average is about", f"{question['estimand']}; {question['population']}"
    yield "Adjusted for", ", ".join(question["covariates"])
    if question["negative_controls"]:
        yield "Negative controls", ", ".join(question["negative_controls"])


def _outcome(one: Values, answer: Values, few: int) -> Values:
    found = {
        "name": one["outcome"],
        "described": one["described"],
        "withheld": one.get("withheld", []),
        "training_n": one["training_n"],
        "refuters": [] if few else [_refuter(r) for r in one["refuters"]],
        "calibration": [] if few else [_calibration(c) for c in one["calibration"]],
        "coverage": [_coverage(c) for c in one["predictive_coverage"]["groups"] if c["patients"] > few],
        "promise": one["predictive_coverage"]["promise"],
        "models": [(n, f"{w:.2f}") for n, w in one["models"]["effect"].items() if w > 0.005],  # noqa: PLR2004
        "evidence": _evidence(one["evidence"]),
        "effects": [],
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
        "e_values": list(_e_values(one, answer)),
        "coupling": [_coupling(c, one) for c in one["coupling"]],
    }


def _effect(effect: Values, one: Values, span: tuple[float, float]) -> Values:
    return {
        "contrast": effect["contrast"],
        "group": effect["group"],
        "patients": f"{effect['patients']:,}",
        "value": _interval(effect, one),
        "unadjusted": _interval(effect["unadjusted"], one),
        "label": effect["label"],
        "drawn": _drawn(f"{effect['contrast']}, {effect['group']}", effect["unadjusted"], effect, span),
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
            return f"{100 * value:.0f} %" if share else _number(value, one)

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


def _check(check: Values) -> Values:
    limit = "-" if check["limit"] is None else f"{check['comparison']} {check['limit']:g}"
    return {
        **check,
        "measured": "-" if check["value"] is None else f"{check['value']:.3g}",
        "limit": limit,
        "computed": check["value"] is not None and check["limit"] is not None,
    }


def _trial(check: Values, answer: Values, few: int) -> Values:
    one = next(o for o in answer["outcomes"] if o["outcome"] == check["outcome"])
    cells = [c for c in check["cells"] if c["patients"] > few]
    return {
        "outcome": check["outcome"],
        "passed": check["verdict"] == "passed",
        "split": check["split"],
        "error_rates": check["error_rates"],
        "left_out": [] if few else check["left_out"],
        "cells": [
            {
                "group": c["group"],
                "what": f"{'effect' if c['what'] == 'contrast' else 'level'}: {c['arm']}",
                "simulated": _number(c["simulated"], one),
                "randomised": _interval(c["randomised"], one),
                "difference": _interval(c["difference"], one),
                "p": f"{c['adjusted']:.2g}",
                "detectable": _number(c["detectable"], one),
                "passed": c["passed"],
                "drawn": _drawn(f"{c['group']}: simulated less randomised", None, c["difference"]),
            }
            for c in cells
        ],
    }


def _support(answer: Values) -> Values:
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
    balance = sorted(overlap["balance"], key=lambda b: -b["before"])
    return {
        "charts": charts,
        "arms": arms,
        "outside": f"{overlap['outside']:,} ({100 * overlap['outside_share']:.1f} %)",
        "lowest": f"{overlap['lowest']:.3f}",
        "balance": [(b["column"], f"{b['before']:.2f}", f"{b['after']:.2f}") for b in balance],
        "left_out": [(why, f"{n:,}") for why, n in answer["patients"]["left_out"].items() if n],
    }


def _facts(provenance: Provenance) -> list[tuple[str, tuple[str, ...]]]:
    skipped = set() if provenance.generator else {"Generator", "Settings"}
    return [(name, values) for name, values in facts(provenance) if name not in skipped]


def _intro(answer: Values) -> str:
    whose = "Synthetic patients" if answer["cohort"]["synthetic"] else "The cohort's patients"
    return f"{whose} add nothing to what is known: every interval rests on the patients learnt from."


def _parts(page: Values) -> Iterator[tuple[str, str]]:
    yield "twins_answer", "Answer"
    if page["trial"]:
        yield "twins_trial", "Trial check"
    yield "twins_diagnostics", "Diagnostics"
    if page["checks"]:
        yield "checks", "Release"
    yield "provenance", "Provenance"
