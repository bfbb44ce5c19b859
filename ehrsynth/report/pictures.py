"""Columns and pairs as they stand on the page: one small chart a column, one heat map a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.evaluation.summaries import ColumnSummary
from ehrsynth.report.charts import bar_pair, heat_map, histogram, percent
from ehrsynth.report.numbers import EMPTY
from ehrsynth.schema import Schema
from ehrsynth.schema.columns import BooleanColumn, CategoryColumn, CodeColumn, Column

_SHOWN_VALUES = 12
_SHOWN_COLUMNS = 40
_SHOWN_PAIRS = 10


@dataclass(frozen=True, slots=True)
class Card:
    """One column on the page. `hides`: some of its cells are not shown."""

    name: str
    what: str
    chart: Markup
    absent: Markup | None
    note: str
    score: float | None
    hides: bool


@dataclass(frozen=True, slots=True)
class Heats:
    """The three heat maps, the pairs that differ most, and how many of all columns are drawn."""

    pictures: tuple[Mapping[str, Any], ...]
    worst: tuple[Mapping[str, Any], ...]
    shown: int
    all: int


def _card(column: Column, summary: ColumnSummary, score: float | None, *, shows_real: bool) -> Card:
    if not shows_real:
        unknown = (None,) * len(summary.labels)
        summary = replace(summary, real=unknown, real_missing=None)
    listed = isinstance(column, CategoryColumn | CodeColumn | BooleanColumn)
    drawn = (_listed if listed else _numeric)(column, summary, shows_real=shows_real)
    # None is a share that is not shown, which is not the same as none at all.
    missing = summary.synthetic_missing != 0 or (shows_real and summary.real_missing != 0)
    return Card(
        name=column.name,
        what=_what(column),
        chart=drawn[0],
        absent=_absent(summary, shows_real=shows_real) if missing else None,
        note=drawn[1],
        score=score,
        hides=shows_real and (None in summary.real or summary.real_missing is None),
    )


def _what(column: Column) -> str:
    unit = getattr(column, "unit", "")
    kind = f"{column.kind}, {unit}" if unit else column.kind
    return f"{column.description} ({kind})" if column.description else kind


def _absent(summary: ColumnSummary, *, shows_real: bool) -> Markup:
    real, made = summary.real_missing, summary.synthetic_missing
    bars = bar_pair("missing", real, made, 1.0, shows_real=shows_real)
    return bars + _shares(real, made, shows_real=shows_real)


def _numeric(column: Column, summary: ColumnSummary, *, shows_real: bool) -> tuple[Markup, str]:
    labels = summary.labels
    drawn = histogram(column.name, labels, summary.real, summary.synthetic, shows_real=shows_real)
    if not labels:
        return drawn, ""
    ends = Markup('<div class="ends"><span>{}</span><span>{}</span></div>').format(labels[0], labels[-1])
    return drawn + ends, ""


def _listed(column: Column, summary: ColumnSummary, *, shows_real: bool) -> tuple[Markup, str]:
    names = column.labels if isinstance(column, CategoryColumn) else {}
    rows = list(zip(summary.labels, summary.real, summary.synthetic, strict=True))
    shown = rows
    if len(rows) > _SHOWN_VALUES:
        # By the synthetic share alone: the real order would tell of hidden cells.
        order = sorted(range(len(rows)), key=lambda i: -(rows[i][2] or 0.0))
        shown = [rows[i] for i in order[:_SHOWN_VALUES]]
    top = max([s for _, *both in shown for s in both if s is not None], default=0.0) or 1.0
    items = []
    for label, real, made in shown:
        text = f"{label}: {names[label]}" if names.get(label, label) != label else label
        bars = bar_pair(text, real, made, top, shows_real=shows_real)
        item = Markup('<li><span title="{}">{}</span>{}{}</li>')
        items.append(
            item.format(text, names.get(label, label), bars, _shares(real, made, shows_real=shows_real))
        )
    note = f"The {len(shown)} most frequent of {len(rows)} values." if len(shown) < len(rows) else ""
    return Markup('<ul class="cats">{}</ul>').format(Markup("").join(items)), note


def _shares(real: float | None, made: float | None, *, shows_real: bool) -> Markup:
    first, second = (EMPTY if share is None else percent(share) for share in (real, made))
    return Markup('<span class="shares" aria-hidden="true"><i>{}</i> <b>{}</b></span>').format(
        first if shows_real else "", second
    )


def matrix(pairs: Sequence[Mapping[str, Any]], names: Sequence[str], which: str) -> list[list[float | None]]:
    """The pairs as a square table, None where a pair was not measured."""
    place = {name: i for i, name in enumerate(names)}
    table: list[list[float | None]] = [[None] * len(names) for _ in names]
    for pair in pairs:
        i, j = place.get(pair["first"]), place.get(pair["second"])
        if i is not None and j is not None:
            table[i][j] = table[j][i] = pair[which]
    return table


def heats(evaluation: Evaluation, schema: Schema) -> Heats:
    """The association of each pair of columns, in the schema's order: real, synthetic, and what differs.

    With many columns, those of the largest differences are drawn.
    """
    score = evaluation.scores.get("pair_trends")
    pairs = [] if score is None else [_pair(entry) for entry in score.details.get("pairs", ())]
    paired = {name for pair in pairs for name in (pair["first"], pair["second"])}
    names = [name for name in schema.names if name in paired]
    if not pairs:
        return Heats((), (), 0, 0)
    known = sorted((p for p in pairs if p["difference"] is not None), key=lambda p: -p["difference"])
    drawn = names if len(names) <= _SHOWN_COLUMNS else _in_largest(known, names)
    pictures = (
        _heat("Real patients", "strength of association", "real", pairs, drawn),
        _heat("Synthetic patients", "strength of association", "synthetic", pairs, drawn),
        _heat("Difference", "0 none, 1 total", "difference", pairs, drawn),
    )
    return Heats(pictures, tuple(known[:_SHOWN_PAIRS]), len(drawn), len(names))


def _pair(entry: Mapping[str, Any]) -> dict[str, Any]:
    # 1 less the score, not the difference of two strengths: it sees a change of sign too.
    alike = entry.get("score")
    return {**entry, "difference": None if alike is None else 1 - alike}


def _in_largest(known: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    kept: set[str] = set()
    for pair in known:
        if len(kept | {pair["first"], pair["second"]}) > _SHOWN_COLUMNS:
            break
        kept |= {pair["first"], pair["second"]}
    return [name for name in names if name in kept]


def _heat(
    title: str, text: str, which: str, pairs: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    chart = heat_map(f"{title}: {text} of each pair of columns", names, matrix(pairs, names, which), which)
    return {"title": title, "text": text, "chart": chart}


def cards(
    evaluation: Evaluation, schema: Schema, *, shareable: bool, shows_real: bool, small_cell: int
) -> list[Card]:
    """One card for each learnt column, in the schema's order."""
    shapes = evaluation.scores.get("column_shapes")
    known = {} if shapes is None else {e["column"]: e["score"] for e in shapes.details.get("columns", ())}
    made = []
    for summary in evaluation.suppressed(small_cell) if shareable else evaluation.columns:
        column = schema.column(summary.name)
        score = known.get(summary.name) if shows_real else None
        made.append(_card(column, summary, score, shows_real=shows_real))
    return made
