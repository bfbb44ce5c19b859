"""The clinician's page: Table 1, curves over time, implausible patients, and scores within groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.evaluation.summaries import MOST_CELLS, OTHER, SMALL_CELL
from ehrsynth.evaluation.table_one import HIDDEN, Row
from ehrsynth.report.charts import percent, step_curves
from ehrsynth.report.numbers import EMPTY
from ehrsynth.report.words import SCORES, title
from ehrsynth.schema import (
    CategoryColumn,
    Constraint,
    FixedCombination,
    Formula,
    Implication,
    Inequality,
    PresentTogether,
    Schema,
)

_MOST_LEVELS = 12
_MOST_FILTERS = 12
_LISTED, _MEAN, _NOBODY = "n (%)", "mean (SD)", "0 (0.0)"
_SPREAD = (0.8, 1.25)  # a SD outside of it is said in words


@dataclass(frozen=True, slots=True)
class Line:
    """One line of Table 1 as it stands on the page; `level` is empty where it is a column's own."""

    column: str
    level: str
    statistic: str
    real: str
    synthetic: str
    smd: str
    spread: str = EMPTY


def table_one(
    evaluation: Evaluation, schema: Schema, *, shareable: bool, shows_real: bool, small_cell: int
) -> list[Line]:
    """Table 1; of a column with many values the ones that are most frequent among synthetic patients.

    What may be shared tells of real patients with listed values what the column's own picture tells: shares
    without counts, and only where the picture shows them. Two tables that hide different cells would give
    each other's away, and so would exact counts of columns of which one is the sum of others.
    """
    hidden = _hidden(evaluation, small_cell) if shareable else {}
    every = shareable and small_cell > SMALL_CELL
    lines = []
    for name, group in groupby(evaluation.table_one, key=lambda row: row.column):
        # Without real patients a value that no synthetic one has would tell that a real one has it.
        rows = [row for row in group if shows_real or row.synthetic != _NOBODY]
        for row in _most_frequent(rows):
            hides = not shows_real or every or row.level in hidden.get(name, ())
            lines.append(_line(row, schema, hides=hides, counts=not shareable))
    return lines


def _hidden(evaluation: Evaluation, small_cell: int) -> dict[str, set[str]]:
    """By column, every level whose real share is not shown in the column's picture."""
    found: dict[str, set[str]] = {}
    levels: dict[str, set[str]] = {}
    for row in evaluation.table_one:
        levels.setdefault(row.column, set()).add(row.level)
    for column in evaluation.suppressed(small_cell):
        shown = {label for label, share in zip(column.labels, column.real, strict=True) if share is not None}
        if len(column.labels) == MOST_CELLS and column.labels[-1] == OTHER:
            shown.discard(OTHER)  # the rest of many values, not a value of that name
        shown |= {"missing"} if column.real_missing is not None else set()
        found[column.name] = {level for level in levels.get(column.name, ()) if level and level not in shown}
    return found


def _most_frequent(rows: Sequence[Row]) -> Sequence[Row]:
    if len(rows) <= _MOST_LEVELS:
        return rows
    order = sorted(range(len(rows)), key=lambda i: -int(rows[i].synthetic.split()[0]))
    return [rows[i] for i in sorted(order[:_MOST_LEVELS])]


def _line(row: Row, schema: Schema, *, hides: bool, counts: bool) -> Line:
    column = schema.column(row.column)
    labels = column.labels if isinstance(column, CategoryColumn) else {}
    unit = getattr(column, "unit", "")
    name = f"{row.column}, {unit}" if unit and not row.level else row.column
    hides = hides or row.real == HIDDEN
    smd = EMPTY if hides or row.smd is None else f"{row.smd:.2f}"
    real = "not shown" if hides else row.real
    if not (hides or counts) and row.statistic == _LISTED:
        real = f"{real[real.index('(') + 1 : -1]} %"
    # Beside a median the ratio would tell the SD of the real patients, which their extremes make.
    untold = hides or row.spread is None or not (counts or row.statistic == _MEAN)
    spread = EMPTY if untold else _ratio(row.spread or 0.0)
    return Line(name, labels.get(row.level, row.level), row.statistic, real, row.synthetic, smd, spread)


def _labelled(schema: Schema, name: str, level: str) -> str:
    column = schema.column(name)
    return column.labels.get(level, level) if isinstance(column, CategoryColumn) else level


def _ratio(value: float) -> str:
    if value >= 100:  # noqa: PLR2004 - decimals say nothing there
        return f"{value:.0f}"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"  # noqa: PLR2004 - nor are two of them enough here


def off_in_spread(lines: Sequence[Line]) -> list[str]:
    """The columns of Table 1 whose ratio of SD is below 0.8 or above 1.25, with it, as they stand there."""
    least, most = _SPREAD
    told = [line for line in lines if line.spread != EMPTY]
    return [f"{x.column} ({x.spread})" for x in told if not least <= float(x.spread) <= most]


def curves(evaluation: Evaluation, schema: Schema, *, shows_real: bool) -> dict[str, Any] | None:
    """The curves of events over time; None where there are none.

    Real patients' curves are drawn inside only: their steps are single patients, and so are the times at
    which a curve beside them steps.
    """
    score, which = evaluation.scores.get("survival_curves"), "curves"
    which = which if shows_real else "curves_of_synthetic_alone"
    found = score.details.get(which) if score is not None and score.value is not None else None
    if score is None or not found:
        return None
    time = schema.column(score.details["time"])
    unit = str(getattr(time, "unit", ""))
    return {
        "event": score.details["event"],
        "without": _labelled(schema, score.details["event"], score.details.get("without_event", "")),
        "time": time.name,
        "method": score.details["method"],
        "pictures": [_curve(line, found["times"], unit, shows_real=shows_real) for line in found["lines"]],
        "arms": [
            {"arm": one["arm"], "gap": one["value"], "reference": one["reference"]}
            for one in score.details.get("arms", ())
        ],
    }


def _curve(line: Mapping[str, Any], times: Sequence[float], unit: str, *, shows_real: bool) -> dict[str, Any]:
    real, made = line["real"] if shows_real else None, line["synthetic"]
    top = next(edge for edge in (0.05, 0.1, 0.2, 0.5, 1.0) if edge >= max(*made, *(real or ()), 0.0) - 1e-9)
    ends = Markup('<div class="ends"><span>{}</span><span>{}</span></div>').format(
        f"{times[0]:g} {unit}", f"{times[-1]:g} {unit}"
    )
    return {
        "name": line["name"],
        "top": percent(top),
        "chart": step_curves(line["name"], times, real, made, top=top, unit=unit) + ends,
    }


def implausible(evaluation: Evaluation, schema: Schema, *, shows_real: bool) -> dict[str, Any] | None:
    """The synthetic patients whom the schema does not allow, in words; None where nobody looked."""
    score = evaluation.scores.get("constraint_violations")
    if score is None or "rows" not in score.details:
        return None
    rows, broken = score.details["rows"], score.details["broken"]
    if broken:
        said = f"{broken:,} of {rows:,} synthetic patients ({percent(broken / rows)}) could not exist"
        said += ": they break a rule of the schema, or hold a value that their column does not allow."
    else:
        said = f"None of {rows:,} synthetic patients breaks a rule of the schema or a column's bounds."
    if shows_real and score.reference:
        said += f" Of the training patients {percent(score.reference)} do."
    return {"text": said, "rules": _rules(score, schema), "of": len(schema.constraints)}


def _rules(score: Score, schema: Schema) -> list[dict[str, str]]:
    return [
        {
            "rule": one["description"] or in_words(schema.constraints[one["constraint"] - 1]),
            "rows": f"{one['rows']:,}",
        }
        for one in score.details.get("rules", ())
    ]


def in_words(rule: Constraint) -> str:
    """A rule of the schema as a sentence."""
    match rule:
        case Inequality():
            return f"{rule.low} is {'below' if rule.strict else 'at most'} {rule.high}."
        case FixedCombination():
            return f"{' and '.join(rule.columns)} occur together only as the schema lists them."
        case Implication():
            return f"Where {rule.if_}, then {rule.then}."
        case Formula():
            return f"{rule.column} is {rule.equals}."
        case PresentTogether():
            return f"{' and '.join(rule.columns)} are all known or all missing."


def groups(evaluation: Evaluation, schema: Schema, *, shareable: bool) -> dict[str, Any] | None:
    """Scores within groups of patients, and the filters by column; None where no score has groups.

    A group that is too small is named inside only.
    """
    scored = {n: s.details["groups"] for n, s in evaluation.scores.items() if s.details.get("groups")}
    scored = {name: scored[name] for name in SCORES if scored.get(name, {}).get("measured")}
    names = list(dict.fromkeys(one["group"] for found in scored.values() for one in found["measured"]))
    if not names:
        return None
    values = {(n, one["group"]): _value(one) for n, found in scored.items() for one in found["measured"]}
    keys = {name: _columns_of(name, schema) for name in names}
    filters = list(dict.fromkeys(keys.values()))[:_MOST_FILTERS]
    left = {one["group"]: one["reason"] for found in scored.values() for one in found["left_out"]}
    return {
        "scores": [title(name) for name in scored],
        "filters": list(enumerate(filters)),
        "rows": [
            {
                "name": name,
                "filter": filters.index(keys[name]) if keys[name] in filters else -1,
                "values": [values.get((n, name), EMPTY) for n in scored],
            }
            for name in names
        ],
        "left_out": [] if shareable else sorted(left.items()),
        "count": len(left),
    }


def _value(one: Mapping[str, Any]) -> str:
    value, reference = _main(one), one.get("reference")
    if value is None:
        return EMPTY
    return f"{value:.3f}" if not isinstance(reference, float) else f"{value:.3f} ({reference:.3f})"


def _main(one: Mapping[str, Any]) -> float | None:
    if "value" in one:
        found: float | None = one["value"]
        return found
    shares = [one[name]["value"] for name in ("precision", "coverage") if isinstance(one.get(name), Mapping)]
    return min((share for share in shares if share is not None), default=None)


def _columns_of(group: str, schema: Schema) -> str:
    """The column, or the two columns, by which a group is drawn."""
    return " and ".join(_found(group, schema)) or group


def _found(group: str, schema: Schema) -> Iterator[str]:
    for column in sorted(schema.learnt, key=lambda one: -len(one.name)):
        if group.startswith(f"{column.name}: "):
            yield column.name
            break
    for column in sorted(schema.learnt, key=lambda one: -len(one.name)):
        if f" and {column.name}: " in group:
            yield column.name
            break
