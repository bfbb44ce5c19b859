"""Which regressions a schema asks for, and the same design for every table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, is_discrete
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import is_listed, level_name
from ehrsynth.evaluation.utility.regression import Fit, Kind, fit, independent
from ehrsynth.schema import CategoryColumn, LearntColumn, Schema
from ehrsynth.tables.grids import grid

_TWO = 2
_RARE = 20  # patients of each table that a category needs for a coefficient of its own
_MOSTLY = 0.5  # share of patients for whom a covariate may be missing


class Question(NamedTuple):
    """One regression: its outcome, how it is fitted, and the follow-up for Cox."""

    outcome: LearntColumn
    kind: Kind
    time: LearntColumn | None = None


class Data(NamedTuple):
    """One table's complete cases for a question."""

    design: Floats
    outcome: Floats
    time: Floats | None
    rows: int
    among: int

    def part(self, kept: Mask) -> "Data":
        """Some of the patients."""
        time = None if self.time is None else self.time[kept]
        return Data(self.design[kept], self.outcome[kept], time, int(kept.sum()), self.among)

    def fit(self, kind: Kind) -> Fit:
        """The regression on these patients."""
        return fit(kind, self.design, self.outcome, self.time)


class Study(NamedTuple):
    """A question with every table's data on the same terms, what was left out, and why nothing is said."""

    question: Question
    terms: tuple[str, ...]
    tables: tuple[Data, ...]
    left_out: dict[str, str]
    reason: str = ""


class _Term(NamedTuple):
    name: str
    values: tuple[Floats, ...]


def questions(schema: Schema) -> tuple[Question, ...]:
    """A regression for each outcome: at most the protocol's `outcomes`, and Cox where time and event stand.

    Two values: logistic; numbers and ordered categories (their position): linear. Other outcomes have none.
    """
    found = []
    for column in schema.learnt:
        if "outcome" not in column.roles or column.size < _TWO:
            continue
        if column.size == _TWO:
            found.append(Question(column, "logistic"))
        elif not is_discrete(column) or (isinstance(column, CategoryColumn) and column.ordered):
            found.append(Question(column, "linear"))
    found = found[: protocol().outcomes]
    events = [c for c in schema.learnt if "event" in c.roles and is_listed(c)]
    times = [c for c in schema.learnt if "time" in c.roles and not is_discrete(c)]
    return (*found, *(Question(e, "cox", t) for e, t in zip(events[:1], times[:1], strict=False)))


def study(question: Question, schema: Schema, tables: Sequence[Matrix]) -> Study:
    """The question's design for every table.

    Treatments come first, then baseline covariates and protected columns in the schema's order, as many as
    the protocol's `covariates` and `events_each` allow. Numbers are standardised by the first table;
    categories are compared with the first table's most frequent one, rare ones with it. Patients with a value
    missing are left out; so are columns known for less than half, and columns that repeat others.
    """
    left_out: dict[str, str] = {}
    chosen = _baseline(question, schema, tables, left_out)
    terms = [term for column in chosen for term in _terms(column, tables)]
    known = [_known(question, table, chosen) for table in tables]
    most = min((_informative(question, t, k) for t, k in zip(tables, known, strict=True)), default=0)
    room = most // protocol().events_each
    if not terms or not room:
        why = "no baseline column" if not terms else f"fewer than {protocol().events_each} events in a table"
        return Study(question, (), (), left_out, why)
    if len(terms) > room:
        left_out |= {t.name: "too few events for so many coefficients" for t in terms[room:]}
        terms = terms[:room]
    designs = [np.column_stack([term.values[k][kept] for term in terms]) for k, kept in enumerate(known)]
    free = np.logical_and.reduce([independent(design) for design in designs])
    left_out |= {t.name: "repeats other columns" for t, f in zip(terms, free, strict=True) if not f}
    names = tuple(t.name for t, f in zip(terms, free, strict=True) if f)
    data = tuple(
        _data(question, table, design[:, free], kept)
        for table, design, kept in zip(tables, designs, known, strict=True)
    )
    return Study(question, names, data, left_out, "" if names else "no column varies")


def _baseline(
    question: Question, schema: Schema, tables: Sequence[Matrix], left_out: dict[str, str]
) -> list[LearntColumn]:
    after = {"outcome", "time", "event", "site", "patient_key"}
    before = [c for c in schema.learnt if not after & set(c.roles) and c.name != question.outcome.name]
    treatments = [c for c in before if "treatment" in c.roles]
    others = [c for c in before if {"covariate", "protected"} & set(c.roles) and c not in treatments]
    chosen = []
    for column in (*treatments, *others):
        gaps = [np.isnan(t.values[:, t.place(column.name)]).mean() for t in tables if len(t)]
        if max(gaps, default=1.0) > _MOSTLY:
            left_out[column.name] = "missing in more than half of a table's patients"
        else:
            chosen.append(column)
    return chosen[: protocol().covariates]


def _terms(column: LearntColumn, tables: Sequence[Matrix]) -> list[_Term]:
    values = [t.values[:, t.place(column.name)] for t in tables]
    ordered = isinstance(column, CategoryColumn) and column.ordered
    if not is_discrete(column) or (ordered and column.size > _TWO):
        first = values[0][~np.isnan(values[0])]
        centre, spread = (float(first.mean()), float(first.std())) if len(first) else (0.0, 0.0)
        return [_Term(column.name, tuple((v - centre) / (spread or 1.0) for v in values))]
    codes = [grid(column).codes(v) for v in values]
    counts = np.array([np.bincount(c[c >= 0], minlength=column.size) for c in codes])
    base = int(counts[0].argmax())
    return [
        _Term(
            f"{column.name}: {level_name(column, code)}", tuple((c == code).astype(np.float64) for c in codes)
        )
        for code in range(column.size)
        if code != base and counts[:, code].min() >= _RARE
    ]


def _known(question: Question, table: Matrix, chosen: Sequence[LearntColumn]) -> Mask:
    needed = [question.outcome, *chosen, *([question.time] if question.time else [])]
    places = [table.place(column.name) for column in needed]
    return np.asarray(~np.isnan(table.values[:, places]).any(axis=1))


def _outcome(question: Question, table: Matrix, known: Mask) -> Floats:
    values = table.values[known, table.place(question.outcome.name)]
    if question.kind == "linear":
        return np.asarray(values)
    return (grid(question.outcome).codes(values) > 0).astype(np.float64)


def _informative(question: Question, table: Matrix, known: Mask) -> int:
    outcome = _outcome(question, table, known)
    if question.kind == "linear":
        return len(outcome) if len(outcome) and np.ptp(outcome) > 0 else 0
    events = int(outcome.sum())
    return events if question.kind == "cox" else min(events, len(outcome) - events)


def _data(question: Question, table: Matrix, design: Floats, known: Mask) -> Data:
    time: NDArray[np.float64] | None = None
    if question.time is not None:
        time = np.asarray(table.values[known, table.place(question.time.name)])
    outcome = _outcome(question, table, known)
    return Data(design, outcome, time, len(outcome), len(table))
