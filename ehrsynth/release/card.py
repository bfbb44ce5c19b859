"""The model card of a release: what the table is, what it is for and not for, in Markdown."""

from collections.abc import Iterator

from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.release.manifest import guarantee_in_words
from ehrsynth.report.coverage import population_inference
from ehrsynth.report.decision import Decision
from ehrsynth.report.guarantee import NO_MEANING
from ehrsynth.report.numbers import EMPTY, INTERNAL_SCORES, interval, limit_text
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.words import RISKS, SCORES, title
from ehrsynth.schema import Schema


def card(decision: Decision, provenance: Provenance, evaluation: Evaluation, schema: Schema) -> str:
    """The model card as Markdown; it may be shared: it says nothing that the shareable report does not."""
    public = provenance.shareable
    parts = (
        _what(public, schema),
        _made(public),
        _measured(decision.shareable, public, evaluation),
        _use(),
        _limits(public),
        _licence(public),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _what(provenance: Provenance, schema: Schema) -> Iterator[str]:
    yield f"# Synthetic patients: {schema.title or schema.name}"
    yield ""
    yield (
        f"{provenance.rows.synthetic:,} synthetic patients, {len(schema.columns)} columns, one row per "
        "patient. No row stands for a real person. `schema.yaml` says what each column means."
    )
    if provenance.copies > 1:
        yield ""
        valid = population_inference(provenance.generator, provenance.recipe)
        yield (
            f"There are {provenance.copies:,} copies of so many patients each, drawn from one model: do an "
            f"analysis on every copy and combine them. {valid}"
        )
    if schema.description:
        yield ""
        yield schema.description.strip()


def _made(provenance: Provenance) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    maker = f"ehrsynth {provenance.versions.get('ehrsynth', '')}".rstrip()
    yield f"- Generator: `{provenance.generator}` of {maker}"
    guarantee = guarantee_in_words(provenance)
    yield f"- {guarantee[0].upper()}{guarantee[1:]}"
    if provenance.rows.train is not None:
        yield (
            f"- It learnt from {provenance.rows.train:,} patients; {provenance.rows.holdout:,} others were "
            "held out to test it"
        )
    yield f"- Made on {provenance.date[:10]}"
    for action in provenance.actions:
        yield f"- Before learning: {action}"
    if provenance.guessed:
        yield f"- {len(provenance.guessed)} items of the schema were guessed from the data"


def _measured(decision: Decision, provenance: Provenance, evaluation: Evaluation) -> Iterator[str]:
    yield "## What was measured"
    yield ""
    if provenance.guarantee is not None:
        yield (
            "Whatever was measured on real patients lies outside the guarantee and stays inside the hospital."
        )
        return
    yield f"{decision.sentence} Policy: {provenance.policy}. `report.html` explains each number."
    yield ""
    yield "| Measure | Synthetic | 95 % interval | Real against real | Best |"
    yield "|---|---|---|---|---|"
    for name, score in evaluation.scores.items():
        if name in INTERNAL_SCORES or score.value is None:
            continue
        reference = EMPTY if score.reference is None else f"{score.reference:.3f}"
        best = SCORES[name].best if name in SCORES else f"{score.better}"
        found = f"{score.value:.3f} | {interval(score.low, score.high)} | {reference}"
        yield f"| {title(name)} | {found} | {best} |"
    yield ""
    yield "| Risk | At most | Limit | What it means |"
    yield "|---|---|---|---|"
    yield from _risks(decision, evaluation)


def _risks(decision: Decision, evaluation: Evaluation) -> Iterator[str]:
    """What the gate held against a limit: another number of the same attack would contradict the report."""
    checks = {check.name: check for check in decision.checks}
    for name in evaluation.risks:
        check = checks.get(title(name))
        if check is not None and check.value is not None and check.limit is not None:
            plain = RISKS[name].plain if name in RISKS else "What this attack gains over its control."
            yield f"| {check.name} | {check.value:.2f} | {limit_text(check.limit)} | {plain} |"


def _use() -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "Meant for: writing and testing software, teaching, planning a study, trying out an analysis."
    yield ""
    yield (
        "Not meant for: a decision about a person; a published effect estimate without a check on the real "
        "table; training another generator (a copy of a copy); finding out who someone is."
    )


def _limits(provenance: Provenance) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "- Rare groups are learnt from few patients, so they are drawn least faithfully."
    yield "- An association between more than two columns may be weaker than in the real table."
    if provenance.guarantee is None:
        yield (
            "- There is no formal guarantee. The table was tested with attacks; a test can find a leak and "
            "cannot prove that there is none."
        )
    else:
        yield "- The guarantee covers this table; it adds up with every other release from the same patients."
        yield (
            "- Noise makes tests of hypotheses find what is not there more often than they say (inflated "
            "type-I error), the more so the smaller epsilon is."
        )
        if provenance.guarantee.epsilon > NO_MEANING:
            yield f"- An epsilon above {NO_MEANING:g} gives no meaningful worst-case bound."
    yield "- Intervals and significance computed from synthetic rows do not hold for real patients."


def _licence(provenance: Provenance) -> Iterator[str]:
    yield "## The data's licence and attribution"
    yield ""
    yield provenance.citation or "The schema names no source: ask whoever released this table."
    if provenance.attribution:
        yield ""
        yield provenance.attribution
    yield ""
    yield "The licence of the real data may bind what is made from it: where this is silent, ask its holder."
