"""The report: one HTML file that loads nothing, from values alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.report.decision import Check, Decision
from ehrsynth.report.facts import facts
from ehrsynth.report.guarantee import meaning
from ehrsynth.report.models import combined, effects, importance, judges, likeness, predictions, sites
from ehrsynth.report.numbers import EMPTY, limit_text, measured, tiles
from ehrsynth.report.numbers import risks as risk_views
from ehrsynth.report.numbers import scores as score_views
from ehrsynth.report.patients import curves, groups, implausible, off_in_spread, table_one
from ehrsynth.report.pictures import Heats, cards, heats
from ehrsynth.report.privacy import crosswalk, kept, second_opinions, together
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.rendering import rendered
from ehrsynth.report.words import GLOSSARY
from ehrsynth.schema import Schema


def render(
    decision: Decision,
    provenance: Provenance,
    evaluation: Evaluation,
    schema: Schema,
    *,
    shareable: bool,
    small_cell: int = 10,
) -> str:
    """The report as one self-contained HTML page.

    Parameters
    ----------
    shareable
        False: the internal report, which shows real patients' statistics in full. True: the version that
        may leave: cells of 1 to `small_cell` patients are not shown, neither are counts of attacks that
        succeeded, copied rows, the seed or the command; under differential privacy nothing that was
        measured on real patients is shown, because the guarantee covers the synthetic table alone.
    small_cell
        The largest count of patients that is not shown.
    """
    page = _page(decision, provenance, evaluation, schema, shareable=shareable, small_cell=small_cell)
    return rendered("page.html.j2", page)


@dataclass(frozen=True, slots=True)
class _Audience:
    """Who reads: what they may see."""

    shareable: bool
    shows_real: bool
    small_cell: int


def _page(
    decision: Decision,
    provenance: Provenance,
    evaluation: Evaluation,
    schema: Schema,
    *,
    shareable: bool,
    small_cell: int,
) -> dict[str, Any]:
    who = _Audience(shareable, not (shareable and provenance.guarantee), small_cell)
    if shareable:
        decision, provenance = decision.shareable, provenance.shareable
    columns = cards(evaluation, schema, shareable=shareable, shows_real=who.shows_real, small_cell=small_cell)
    pairs = heats(evaluation, schema) if who.shows_real else Heats((), (), 0, 0)
    scores = list(score_views(evaluation, shareable=shareable)) if who.shows_real else []
    risks = list(risk_views(evaluation, decision, shareable=shareable)) if who.shows_real else []
    page = {
        **_head(decision, provenance, schema, who),
        "tiles": list(tiles(evaluation, decision, shareable=shareable)) if who.shows_real else [],
        "checks": _checks(decision) if who.shows_real else [],
        "policy": provenance.policy,
        "meaning": None if provenance.guarantee is None else meaning(provenance.guarantee),
        **_patients(evaluation, schema, who),
        "changed_before": bool(provenance.actions),
        **_models(evaluation, provenance, who),
        "columns_intro": _columns_intro(who),
        "cards": columns,
        "hides_cells": any(card.hides for card in columns),
        "heats": pairs.pictures,
        "worst_pairs": pairs.worst,
        "pairs_intro": _pairs_intro(pairs),
        "scores": scores,
        "risks": risks,
        "together": together(evaluation, decision, shareable=shareable) if who.shows_real else None,
        "second_opinions": [] if shareable else second_opinions(evaluation),
        "crosswalk": crosswalk(decision, shows_real=who.shows_real),
        "kept": kept(released=decision.released or not who.shows_real),
        "facts": facts(provenance),
        "provenance_intro": _provenance_intro(who, provenance),
        "glossary": GLOSSARY,
    }
    return page | {"parts": list(_parts(page))}


def _patients(evaluation: Evaluation, schema: Schema, who: _Audience) -> Mapping[str, Any]:
    given, shows_real = {"shareable": who.shareable}, who.shows_real
    lines = table_one(evaluation, schema, **given, shows_real=shows_real, small_cell=who.small_cell)
    return {
        "table_one": lines,
        "off_in_spread": off_in_spread(lines),
        "curves": curves(evaluation, schema, shows_real=not who.shareable),
        "implausible": implausible(evaluation, schema, shows_real=not who.shareable),
        "groups": groups(evaluation, schema, **given) if shows_real else None,
    }


def _models(evaluation: Evaluation, provenance: Provenance, who: _Audience) -> Mapping[str, Any]:
    if not who.shows_real:
        return {
            "effects": None,
            "combined": None,
            "judges": None,
            "predictions": None,
            "sites": None,
            "importance": [],
            "likeness": [],
        }
    return {
        "effects": effects(evaluation, shareable=who.shareable),
        "combined": combined(evaluation, provenance, shareable=who.shareable),
        "judges": judges(evaluation),
        "predictions": predictions(evaluation),
        "sites": sites(evaluation, shareable=who.shareable),
        "importance": importance(evaluation),
        "likeness": likeness(evaluation, shareable=who.shareable),
    }


def _head(decision: Decision, provenance: Provenance, schema: Schema, who: _Audience) -> Mapping[str, Any]:
    shown = _verdict(decision, provenance) if who.shows_real else _under_guarantee(provenance)
    return {
        **shown,
        "audience": "shareable" if who.shareable else "internal",
        "shows_real": who.shows_real,
        "small_cell": who.small_cell,
        "heading": schema.title or schema.name,
        "guarantee": _guarantee(provenance),
        "day": provenance.date[:10],
        "version": provenance.versions.get("ehrsynth", ""),
    }


def _verdict(decision: Decision, provenance: Provenance) -> Mapping[str, Any]:
    return {
        "verdict": decision.verdict,
        "headline": "This table may be shared." if decision.released else "This table must not be shared.",
        "lead": _lead(decision, provenance),
        "reasons": decision.reasons,
    }


def _under_guarantee(provenance: Provenance) -> Mapping[str, Any]:
    """What stands at the head where nothing may be said that was decided by looking at patients."""
    made = f"{provenance.rows.synthetic:,} synthetic patients, made by “{provenance.generator}”."
    headline = "Synthetic patients with a formal guarantee."
    return {"verdict": "guaranteed", "headline": headline, "lead": made, "reasons": ()}


def _lead(decision: Decision, provenance: Provenance) -> str:
    rows, real = provenance.rows, provenance.rows.patients
    made = f"{rows.synthetic:,} synthetic patients"
    made += f", made by “{provenance.generator}”" if provenance.generator else ""
    beside = "from" if provenance.generator else "beside"
    made += f" {beside} a table of {real:,} real ones." if real is not None else "."
    if decision.released:
        return f"All {len(decision.checks)} checks of the policy passed. {made}"
    few = len(decision.failed)
    return f"{few} of {len(decision.checks)} checks {'says' if few == 1 else 'say'} no. {made}"


def _guarantee(provenance: Provenance) -> str:
    given = provenance.guarantee
    if given is None:
        return (
            "No formal guarantee: the table was tested with attacks, "
            "and a test cannot prove that nothing leaks."
        )
    return (
        f"Differentially private for each patient: epsilon {given.epsilon:g}, delta {given.delta:g} "
        f"({given.accountant}). The guarantee covers the synthetic table alone."
    )


def _checks(decision: Decision) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    said: set[str] = set()
    for check in decision.checks:
        # The three risks share one limit: its source is said once.
        again = check.citation in said
        said.add(check.citation)
        rows.append(_check(check) | ({"citation": "As above."} if again else {}))
    return rows


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "explanation": check.explanation,
        "measured": measured(check.value),
        "limit": EMPTY if check.limit is None else f"{check.comparison} {limit_text(check.limit)}",
        "passed": check.passed,
        "computed": check.computed,
        "source": check.source,
        "citation": check.citation,
    }


def _columns_intro(who: _Audience) -> str:
    if not who.shows_real:
        return "Synthetic patients alone: real ones are shown inside the hospital only."
    text = (
        "How often each value occurs and how often it is missing, as shares of all patients. The first and "
        "the last bar of a histogram reach to the bounds."
    )
    if who.shareable:
        text += (
            f" Counts of 1 to {who.small_cell} real patients, and those that give them away, are not shown."
        )
    return text


def _pairs_intro(pairs: Heats) -> str:
    text = "How strongly each pair of columns is associated, 0 (pale) to 1 (dark); and what differs."
    if pairs.shown < pairs.all:
        text += (
            f" Of {pairs.all} columns, the {pairs.shown} that take part in the largest differences are drawn."
        )
    return text


def _provenance_intro(who: _Audience, provenance: Provenance) -> str:
    if who.shareable:
        return (
            "What is needed to judge the table. The seed, the command, the hashes of the real data, the "
            "model, the counts of copied rows and of successful attacks, and every count of few patients "
            "stay inside the hospital: with them an outsider could test for one patient."
        )
    needed = "What is needed to make the same table again."
    if provenance.guarantee is not None:
        # The seed on this page is that of the rows drawn and of what was measured.
        needed = "How the table was made. It cannot be made again: the seed of the noise is kept nowhere."
    return (
        f"{needed} The seed and the command on this page, and the whole folder “internal”, stay inside the "
        "hospital."
    )


def _parts(page: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The pages, one for each reader; the name of a page is the name of its template."""
    if page["checks"]:
        yield "checks", "Checks"
    yield "clinician", "For the clinician"
    if page["scores"] or page["heats"]:
        yield "statistician", "For the statistician"
    yield "privacy", "For the privacy officer"
    yield "provenance", "Provenance"
