"""A table's words against its schema: every violation at once, by column and count, never a cell value."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.schema import (
    BooleanColumn,
    Constraint,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    Implication,
    Inequality,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.schema.binding import columns_of
from ehrsynth.tables import origin
from ehrsynth.tables.constraints import violations as broken_constraints
from ehrsynth.tables.parsing import Parsed, Problem, StoredAs, parse_words
from ehrsynth.tables.values import values_series

# Keys of a raw table's `attrs`: the type that each column had in the file, and whether a comma may be a
# decimal point.
STORED_AS = "ehrsynth_stored_as"
DECIMAL_COMMA = "ehrsynth_decimal_comma"

_NAMES_SHOWN = 20
_CORRECT = "correct them, or add the words that mean missing to missing_codes"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a table; as text it holds names, counts and what the schema allows.

    `rows` is the number of rows that it concerns; `column` is empty when it concerns several columns.
    """

    column: str
    rows: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One line for a person."""
        where = f"column {self.column!r}: " if self.column else ""
        return f"{where}{self.problem}; {self.remedy}"


def parse_and_check(raw: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, list[Violation]]:
    """Parse a table of words and list everything in it that its schema does not allow.

    Parameters
    ----------
    raw
        As `ehrsynth.tables.read_raw` gives it: every cell a `str`, empty for missing.

    Returns
    -------
    table
        As in memory (see `ehrsynth.schema.columns`). A cell that violates the schema is missing in it, so the
        table is of use only when the list is empty.
    violations
        In the schema's order of columns, then the constraints; empty when the table fits.
    """
    stored_as, comma = raw.attrs.get(STORED_AS, {}), bool(raw.attrs.get(DECIMAL_COMMA, False))
    raw = raw.copy(deep=False)
    raw.attrs = {}  # pandas copies them deeply at every step
    found = _placed(raw, schema)
    problems = list(_names(raw, found, schema))
    columns = {}
    values: dict[str, NDArray[np.float64]] = {}
    for column in schema.columns:
        words = found.get(column.name, pd.Series("", index=raw.index, dtype=object)).to_numpy(object)
        if isinstance(column, IdentifierColumn):
            columns[column.name], own = _identifiers(words, column, schema)
        else:
            at = found[column.name].name if column.name in found else column.name
            stored = stored_as.get(at, "text")
            values[column.name], own = _learnt(words, column, schema, stored, comma=comma)
            columns[column.name] = values_series(values[column.name], column)
        problems += own if column.name in found else []
    problems += _constraints(values, schema, bad={p.column for p in problems})
    index = pd.RangeIndex(len(raw))
    return pd.DataFrame(columns, columns=list(schema.names), index=index), problems


def _placed(raw: pd.DataFrame, schema: Schema) -> dict[str, "pd.Series[Any]"]:
    """The raw columns under the schema's names: equal names first, then equal but for outer spaces."""
    loose = {str(name).strip(): name for name in raw.columns if name not in set(schema.names)}
    placed = {}
    for name in schema.names:
        at = name if name in raw.columns else loose.get(name.strip())
        if at is not None:
            placed[name] = raw[at]
    return placed


def _names(raw: pd.DataFrame, found: dict[str, "pd.Series[Any]"], schema: Schema) -> Iterator[Violation]:
    n = len(raw)
    if not found:
        problem = f"none of the schema's {len(schema.names)} columns is in the header"
        # The header's words are not repeated: where there is no header they are a patient.
        yield Violation("", n, problem, "check that the first line holds the names, and the delimiter")
        return
    # A first line of which little is known may be a patient: then it is counted and not repeated.
    shown = _NAMES_SHOWN if 2 * len(found) >= len(schema.names) else 0
    missing = [name for name in schema.names if name not in found]
    left_out = {c.name.strip() for c in schema.left_out} | {origin.COLUMN}
    used = {series.name for series in found.values()}
    extra = [str(name) for name in raw.columns if name not in used and str(name).strip() not in left_out]
    for name in missing:
        near = get_close_matches(name, extra, n=1) if shown else []
        hint = f"rename {near[0]!r} if it is meant, or" if near else "add it to the file, or"
        yield Violation(name, n, "is missing from the table", f"{hint} take it out of the schema")
    for name in extra[:shown]:
        remedy = "remove it from the table, or list it under left_out in the schema"
        yield Violation(name, n, "is not in the schema", remedy)
    if len(extra) > shown:
        problem = f"{len(extra) - shown}{' more' if shown else ''} column(s) are not in the schema"
        yield Violation("", n, problem, "remove them, or list them under left_out")


def _identifiers(
    words: NDArray[Any], column: IdentifierColumn, schema: Schema
) -> tuple["pd.Series[Any]", list[Violation]]:
    codes = {"", *(code.strip() for code in (*schema.missing_codes, *column.missing_codes))}
    positions, distinct = pd.factorize(words)
    bare = np.array([None if w.strip() in codes else w.strip() for w in distinct], dtype=object)[positions]
    series = pd.Series(bare, name=column.name, dtype=pd.StringDtype())
    empty, problems = int(series.isna().sum()), []
    is_key = "patient_key" in column.roles
    if empty and (is_key or not column.missing):
        what, remedy = _absent(column.name, is_key=is_key)
        problems.append(Violation(column.name, empty, f"{_rows(empty)} {what}", remedy))
    if is_key:
        problems += _repeated(
            column.name, np.asarray(series.value_counts(), np.int64), schema.rows_per_patient
        )
    return series, problems


def _absent(name: str, *, is_key: bool) -> tuple[str, str]:
    if is_key:
        return "without a patient key", "fill it in, or leave these rows out"
    return "without a value", f"fill it in, or say `missing: true` for {name!r} in the schema"


def _learnt(
    words: NDArray[Any], column: LearntColumn, schema: Schema, stored: StoredAs, *, comma: bool
) -> tuple[NDArray[np.float64], list[Violation]]:
    positions, distinct = pd.factorize(words)
    parsed = parse_words(
        [str(word) for word in distinct],
        column,
        missing_codes=schema.missing_codes,
        stored_as=stored,
        decimal_comma=comma,
    )
    counts = np.bincount(positions, minlength=len(distinct))
    problems = _column_violations(parsed, counts, column)
    empty, is_key = int(counts[parsed.missing].sum()), "patient_key" in column.roles
    if empty and (is_key or not column.missing):
        what, remedy = _absent(column.name, is_key=is_key)
        problems.append(Violation(column.name, empty, f"{_rows(empty)} {what}", remedy))
    if is_key:
        held = _counts_of_keys(parsed.values[positions])
        problems += _repeated(column.name, held, schema.rows_per_patient)
    return parsed.values[positions], problems


def _counts_of_keys(values: NDArray[np.float64]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.unique(values[~np.isnan(values)], return_counts=True)[1]
    return counts


def _repeated(name: str, counts: NDArray[np.int64], most: int) -> Iterator[Violation]:
    rows, patients = int(counts[counts > most].sum()), int((counts > most).sum())
    if rows:
        keys = f"{patients:,} patient key{'' if patients == 1 else 's'}"
        problem = f"{_rows(rows)} share {keys}: ehrsynth takes {taken(most)}"
        kept = "one row" if most == 1 else f"{most} rows"
        yield Violation(name, rows, problem, f"keep or summarise {kept} of each patient")


def taken(most: int) -> str:
    """How many rows of a patient a schema takes, in words."""
    return "one row per patient so far" if most == 1 else f"at most {most} rows per patient here"


def _column_violations(parsed: Parsed, counts: NDArray[Any], column: LearntColumn) -> list[Violation]:
    rows: Counter[Problem] = Counter()
    words: Counter[Problem] = Counter()
    for problem, count in zip(parsed.problems, counts.tolist(), strict=True):
        if problem is not None:
            rows[problem] += count
            words[problem] += 1
    found = []
    for problem in Problem:
        if rows[problem]:
            what, remedy = _said(problem, column)
            different = f" ({words[problem]:,} different)" if words[problem] > 1 else ""
            text = f"{_rows(rows[problem])} with {what}{different}"
            found.append(Violation(column.name, rows[problem], text, remedy))
    return found


def _said(problem: Problem, column: LearntColumn) -> tuple[str, str]:
    """What the cells hold, and what to do about it."""
    if problem is Problem.FOREIGN:
        return _foreign(column)
    if problem is Problem.BOUNDS:
        low, high = getattr(column, "minimum", None), getattr(column, "maximum", None)
        return f"a value outside {low} to {high}", "correct them, or widen the column's bounds"
    return {
        Problem.TEXT: ("text instead of a number", _CORRECT),
        Problem.DECIMAL_COMMA: (
            "a decimal comma",
            "write points; commas are read only where semicolons separate and the column has no points",
        ),
        Problem.THOUSANDS: (
            "points as between thousands, in a file that semicolons separate",
            "write the digits alone, or declare kind: number if the points are decimal points",
        ),
        Problem.INFINITE: ("an infinite number", _CORRECT),
        Problem.TOO_LARGE: (
            "a number above 2^53, which a computer's number does not hold exactly",
            "if it names something, declare kind: identifier; else use a larger unit",
        ),
        Problem.NOT_WHOLE: (
            "a number that is not whole",
            "round them, or declare kind: number with decimals",
        ),
        Problem.DECIMALS: (
            f"more than {getattr(column, 'decimals', 0)} decimals",
            "round them, or declare more decimals",
        ),
        Problem.FORMAT: (
            f"a value that is not of the form {_form(column)}",
            f"write all in one form; {_CORRECT}",
        ),
        Problem.TIME_OF_DAY: ("a time of day in a date", "cut it off, or declare kind: datetime"),
        Problem.SUBSECOND: ("fractions of a second", "round them to seconds"),
        Problem.ZONE: ("a time zone", "convert them to local time without a zone"),
    }[problem]


def _foreign(column: LearntColumn) -> tuple[str, str]:
    if isinstance(column, BooleanColumn):
        return f"a word that is neither {column.true!r} nor {column.false!r}", _CORRECT
    what = f"a word that is not one of the column's {column.size:,} values"
    return what, "add it to values, or to missing_codes if it means missing"


def _form(column: LearntColumn) -> str:
    match column:
        case DateColumn() | DatetimeColumn() | DurationColumn():
            return column.format
        case IntegerColumn() | NumberColumn():
            return "number"
        case _:
            return column.kind


def _constraints(values: dict[str, NDArray[np.float64]], schema: Schema, *, bad: set[str]) -> list[Violation]:
    """Broken constraints, but those of columns that are wrong in themselves: their cells are missing here."""
    found: list[Violation] = []
    for constraint, rows in broken_constraints(values, schema):
        if rows and not columns_of(constraint) & bad:
            problem = f"{_rows(rows)} against the constraint {_rule(constraint)}"
            found.append(Violation("", rows, problem, "correct them, or correct the constraint"))
    return found


def _rule(constraint: Constraint) -> str:
    match constraint:
        case Inequality():
            return f"{constraint.low!r} {'<' if constraint.strict else '<='} {constraint.high!r}"
        case Implication():
            return f"if {constraint.if_} then {constraint.then}"
        case _:
            names = ", ".join(map(repr, sorted(columns_of(constraint))))
            return f"{constraint.kind.replace('_', ' ')} of {names}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
