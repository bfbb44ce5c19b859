"""The page of private twins, for both readers: what the model says, what it cost, and what nobody checked."""

from collections.abc import Iterator, Mapping
from typing import Any

from ehrsynth.report.decision import Decision
from ehrsynth.report.facts import facts
from ehrsynth.report.guarantee import meaning
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.rendering import rendered
from ehrsynth.report.twin_views import check, number, points, unit
from ehrsynth.report.twins import question_facts

Values = Mapping[str, Any]

GLOSSARY = (
    (
        "Twin",
        "What the private model gives patients like this one under an arm. No patient has a real twin.",
    ),
    (
        "Simulated difference",
        "The mean of one arm's twins less that of the reference arm's. It has no interval here.",
    ),
    ("Epsilon", "What one patient's presence can change at most; smaller is safer, and noisier."),
)


def render_private_twins(answer: Values, provenance: Provenance, decision: Decision | None) -> str:
    """The report as one self-contained page.

    Parameters
    ----------
    answer
        What `ehrsynth.twins.results.private_json` gives, with the cohort, as plain values.
    decision
        The gate's decision, for the page that stays inside. None: the page that may leave, which holds
        nothing that was measured on patients, the decision included.
    """
    provenance = provenance.shareable if decision is None else provenance
    page = {**_head(answer, provenance, decision), **_body(answer, provenance, decision)}
    return rendered("page.html.j2", {**page, "parts": list(_parts(page))})


def _head(answer: Values, provenance: Provenance, decision: Decision | None) -> Values:
    made = f"{answer['cohort']['patients']:,} twins of synthetic patients, made by “{provenance.generator}”"
    given = provenance.guarantee
    said = "" if given is None else f"epsilon {given.epsilon:g}, delta {given.delta:g} ({given.accountant})"
    return {
        "verdict": "guaranteed" if decision is None else decision.verdict,
        "audience": "shareable" if decision is None else "internal",
        "headline": "Twins with a formal guarantee of privacy, and none about effects.",
        "heading": f"Twins: {provenance.title or provenance.data}",
        "lead": f"{made}. {'' if decision is None else decision.sentence}",
        "guarantee": f"Differentially private for each patient: {said}. {answer['intended_use']}",
        "reasons": () if decision is None else decision.reasons,
        "tiles": [],
        "day": provenance.date[:10],
        "version": provenance.versions.get("ehrsynth", ""),
    }


def _body(answer: Values, provenance: Provenance, decision: Decision | None) -> Values:
    return {
        "question": list(question_facts(answer["question"])),
        "assumptions": answer["identification"],
        "not_checked": answer["not_checked"],
        "noise": answer["noise"],
        "outcomes": [_outcome(one) for one in answer["outcomes"]],
        "meaning": None if provenance.guarantee is None else meaning(provenance.guarantee),
        "checks": [] if decision is None else [check(c) for c in decision.as_json()["checks"]],
        "policy": provenance.policy,
        "facts": facts(provenance),
        "glossary": GLOSSARY,
        "provenance_intro": "Everything on this page but the policy's checks follows from the private model.",
    }


def _outcome(one: Values) -> Values:
    return {
        "name": one["outcome"],
        "described": one["described"],
        "unit": unit(one),
        "arms": [(arm, number(value, one)) for arm, value in one["simulated_means"].items()],
        "differences": [
            (contrast, points(value, one)) for contrast, value in one["simulated_differences"].items()
        ],
    }


def _parts(page: Values) -> Iterator[tuple[str, str]]:
    yield "twins_private", "Twins"
    if page["checks"]:
        yield "checks", "Release"
    yield "provenance", "Provenance"
