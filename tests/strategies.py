"""Hypothesis strategies for schemas of every column kind and for tables that fit them.

The tables are built from plain Python values, not by the package's own decoder, so that a round trip
through the package is compared with something that it has not made.
"""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
    Schema,
)

KINDS = ("integer", "number", "category", "code", "boolean", "date", "datetime", "duration")
ODD_NAMES = (
    "blood pressure",
    'the "best"',
    "it's",
    "select",
    "🩺",
    "a,b",
    "a;b",
    "`x`",
    "É",
    "1",
    "x·missing",
)
LARGEST = 2**53
DIGITS = 10**15

# What tends to break: quotes, delimiters, spaces, digits, signs, other scripts. No control characters.
words = st.text("abYZ019 -_.,;:|'\"`\\/#%<=ßİ中🩺", min_size=1, max_size=8)
names = st.sampled_from(ODD_NAMES) | words


def _ordered(elements):
    return st.tuples(elements, elements).map(sorted)


def _near_or_far(limit):
    """Bounds of everyday size, or as far as they go."""
    return _ordered(st.integers(-100, 300)) | _ordered(st.integers(-limit, limit))


@st.composite
def _integer(draw, **common):
    # The widest grid is 2**53 values.
    low, high = draw(_near_or_far(LARGEST // 2 - 1) | _ordered(st.integers(0, LARGEST)).filter(_narrow))
    return IntegerColumn(minimum=low, maximum=high, **common)


def _narrow(bounds):
    return bounds[1] - bounds[0] < LARGEST


def _decimal(ticks, decimals):
    return float(Decimal(ticks).scaleb(-decimals))


@st.composite
def _number(draw, **common):
    decimals = draw(st.integers(0, 9))
    low, high = draw(_near_or_far(DIGITS // 2 - 1))
    return NumberColumn(
        minimum=_decimal(low, decimals), maximum=_decimal(high, decimals), decimals=decimals, **common
    )


@st.composite
def _duration(draw, **common):
    form = draw(st.sampled_from(["number", "HH:MM", "HH:MM:SS", "ISO 8601"]))
    unit = {"HH:MM": "minutes", "HH:MM:SS": "seconds"}.get(form)
    decimals = 0 if unit else draw(st.integers(0, 9))
    unit = unit or draw(st.sampled_from(["seconds", "minutes", "hours", "days", "weeks"]))
    low, high = draw(_ordered(st.integers(0, 10**6)))
    bounds = {"minimum": _decimal(low, decimals), "maximum": _decimal(high, decimals)}
    return DurationColumn(**bounds, decimals=decimals, unit=unit, format=form, **common)


@st.composite
def _category(draw, **common):
    values = draw(st.lists(words, min_size=1, max_size=6, unique=True))
    return CategoryColumn(values=values, ordered=draw(st.booleans()), **common)


_detail = st.just("") | st.integers(0, 99).map(".{}".format)


@st.composite
def _code(draw, **common):
    code = st.builds("{}{}{}".format, st.sampled_from(["", "A", "E"]), st.integers(10, 999), _detail)
    values = draw(st.lists(code, min_size=1, max_size=6, unique=True))
    system = draw(st.sampled_from(["ICD-9", "ICD-10", "ATC", "other"]))
    return CodeColumn(values=values, system=system, **common)


@st.composite
def _boolean(draw, **common):
    true, false = draw(st.sampled_from([("true", "false"), ("Y", "N"), ("1", "0"), ("no", "yes")]))
    return BooleanColumn(true=true, false=false, **common)


@st.composite
def _date(draw, **common):
    low, high = draw(_ordered(st.dates(dt.date(1800, 1, 1), dt.date(2100, 12, 31))))
    return DateColumn(minimum=low, maximum=high, **common)


_moments = st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2100, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)


@st.composite
def _datetime(draw, **common):
    low, high = draw(_ordered(_moments))
    form = draw(st.sampled_from(["%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M"]))
    if "S" not in form:
        low, high = low.replace(second=0), high.replace(second=0)
    return DatetimeColumn(minimum=low, maximum=high, format=form, **common)


_COLUMNS = {
    "integer": _integer,
    "number": _number,
    "category": _category,
    "code": _code,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "duration": _duration,
}


@st.composite
def columns(draw, kinds=KINDS, name=None, missing=None):
    """One learnt column; `name` and `missing` are drawn where they are not given."""
    kind = draw(st.sampled_from(kinds))
    name = draw(names) if name is None else name
    return draw(_COLUMNS[kind](name=name, missing=draw(st.booleans()) if missing is None else missing))


@st.composite
def schemas(draw, *, kinds=KINDS, min_columns=1, max_columns=5, identifier=None):
    """A schema without constraints; `identifier`: with an identifier column among the others or not."""
    chosen = draw(st.lists(names, min_size=min_columns, max_size=max_columns, unique=True))
    made = [draw(columns(kinds=kinds, name=name)) for name in chosen]
    if draw(st.booleans()) if identifier is None else identifier:
        free = next(n for n in ("id", "key", "patient") if n not in chosen)
        made.insert(draw(st.integers(0, len(made))), IdentifierColumn(name=free, pattern="P-###"))
    return Schema(name="drawn", columns=tuple(made))


def _plain(column):
    """A column's values as plain Python ones."""
    match column:
        case IntegerColumn():
            return st.integers(column.minimum, column.maximum)
        case NumberColumn() | DurationColumn():
            low, high = (int(Decimal(repr(bound)).scaleb(column.decimals)) for bound in _ends(column))
            return st.integers(low, high).map(lambda ticks: _decimal(ticks, column.decimals))
        case CategoryColumn() | CodeColumn():
            return st.sampled_from(column.values)
        case BooleanColumn():
            return st.booleans()
        case DateColumn():
            return st.dates(column.minimum, column.maximum)
        case DatetimeColumn():
            exact = {"microsecond": 0} | ({"second": 0} if column.step > 1 else {})
            return st.datetimes(column.minimum, column.maximum).map(lambda m: m.replace(**exact))


def _ends(column):
    return [column.minimum, column.maximum] if "minimum" in type(column).model_fields else None


@st.composite
def _cells(draw, column, n):
    """n cells: spread, heaped on a few values or the bounds, all alike, all missing."""
    value = _plain(column)
    heap = draw(st.lists(value, min_size=1, max_size=2)) + (_ends(column) or [])
    cell = draw(st.sampled_from([value, value | st.sampled_from(heap), st.just(heap[0])]))
    if column.missing:
        cell = draw(st.sampled_from([cell, cell | st.none(), st.none()]))
    return draw(st.lists(cell, min_size=n, max_size=n))


def in_memory(cells, column):
    """Plain Python values as the column that `read_table` would give; None is missing."""
    match column:
        case IntegerColumn():
            array = pd.array(cells, dtype="Int64")
        case CategoryColumn() | CodeColumn():
            ordered = isinstance(column, CategoryColumn) and column.ordered
            array = pd.Categorical(cells, categories=list(column.values), ordered=ordered)
        case BooleanColumn():
            array = pd.array(cells, dtype="boolean")
        case DateColumn() | DatetimeColumn():
            array = np.array(cells, dtype="datetime64[s]")
        case _:
            array = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    return pd.Series(array, name=column.name)


@st.composite
def tables(draw, schema, *, min_rows=0, max_rows=6):
    """A table in memory that fits a schema; identifiers run from 1, as a decoder makes them."""
    n = draw(st.integers(min_rows, max_rows))
    made = {}
    for column in schema.columns:
        if isinstance(column, IdentifierColumn):
            made[column.name] = pd.Series([f"P-{row:03d}" for row in range(1, n + 1)], dtype="string")
        else:
            made[column.name] = in_memory(draw(_cells(column, n)), column)
    return pd.DataFrame(made, columns=list(schema.names), index=pd.RangeIndex(n))


@st.composite
def schemas_with_tables(draw, *, min_rows=0, max_rows=6, **wanted):
    """A schema (as `schemas`) and a table of it."""
    schema = draw(schemas(**wanted))
    return schema, draw(tables(schema, min_rows=min_rows, max_rows=max_rows))
