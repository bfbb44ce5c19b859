"""The twins' report: one HTML page from the answer's plain values, as `page` makes one of a release."""

from collections.abc import Iterator

from ehrsynth.report.facts import facts
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.rendering import rendered
from ehrsynth.report.twin_views import Values, check, drawn, outcome, points, support, trial, unit

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
    page = {**_head(answer, provenance, shareable=shareable), **_body(answer, shareable, small_cell)}
    page |= {
        "policy": provenance.policy,
        "facts": _facts(provenance),
        "glossary": GLOSSARY,
        "provenance_intro": _intro(answer),
    }
    return rendered("page.html.j2", {**page, "parts": list(_parts(page))})


def _head(answer: Values, provenance: Provenance, *, shareable: bool) -> Values:
    refused = answer["verdict"] not in {"answered", "answered in part"}
    withheld = [o["outcome"] for o in answer["outcomes"] if "withheld" in o]
    whose = "synthetic patients" if answer["cohort"]["synthetic"] else "real patients: these patients' data"
    if answer["outcomes"] and len(withheld) == len(answer["outcomes"]):
        headline = "These data cannot answer the question."
    elif answer["verdict"] == "answered in part":
        few, of = answer["cohort"]["withheld"], answer["cohort"]["patients"]
        headline = f"Answered in part: not for {few:,} of {of:,} patients of the cohort."
    elif answer["verdict"] == "average only":
        headline = "Answered on average: no effect of a single patient is told."
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
    reasons += [
        f"The trial check was not computed for {c['outcome']}: {c['reason']}."
        for c in answer["trial_check"]
        if c["verdict"] == "not computed"
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
                "number": points(effect["value"], one),
                "over": False,
                "gauge": drawn(effect["contrast"], None, effect),
                "text": (
                    f"Average effect in {unit(one)}, {answer['level']:.0%} interval"
                    f" {points(effect['low'], one)} to {points(effect['high'], one)}; {effect['label']}."
                ),
            }


def _body(answer: Values, shareable: bool, small_cell: int) -> Values:  # noqa: FBT001 - inside only
    question = answer["question"]
    few = small_cell if shareable else 0
    return {
        "level": f"{answer['level']:.0%}",
        "question": list(question_facts(question)),
        "assumptions": answer["identification"],
        "outcomes": [outcome(one, answer, few) for one in answer["outcomes"]],
        "checks": [] if answer["release"] is None else [check(c) for c in answer["release"]["checks"]],
        "trial": [trial(check, answer, few) for check in answer["trial_check"]],
        "support": None if shareable else support(answer),
        "refusals": answer["refusals"],
        "cohort": answer["cohort"],
    }


def question_facts(question: Values) -> Iterator[tuple[str, str]]:
    """What was asked, as names and texts."""
    yield "Treatment", f"{question['treatment']}: {', '.join(question['contrasts'])}"
    yield "Outcomes", "; ".join(question["outcomes"])
    yield "Design", question["design"]
    yield "Whom an average is about", _whom(question)
    yield "Adjusted for", ", ".join(question["covariates"])
    if question["negative_controls"]:
        yield "Negative controls", ", ".join(question["negative_controls"])


def _whom(question: Values) -> str:
    target = question["target"]
    if target is None:
        return f"{question['estimand']}; {question['population']}"
    kind = "synthetic patients" if target["synthetic"] else "patients"
    left = target["outside_support"]
    more = f" ({left:,} more lie outside support and are left out)" if left else ""
    return f"{target['patients']:,} {kind} of a target table{more}; {question['population']}"


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
