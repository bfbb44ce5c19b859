"""Numbers in expression space become the words of a file: the way back from `ehrsynth.tables.parsing`.

Each distinct value is spelt once and read back at once: a format that loses something (two-digit years, a
value that is also a missing code) is an error and not a silent change.
"""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, assert_never

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import DataError
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.tables.parsing import parse_words
from ehrsynth.tables.values import to_values

Words = NDArray[Any]

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - tables hold local time without a zone
_ISO_FORMS = {"weeks": "P{}W", "days": "P{}D", "hours": "PT{}H", "minutes": "PT{}M", "seconds": "PT{}S"}


def table_words(
    table: pd.DataFrame, schema: Schema, *, quote: Callable[[str], str] | None = None
) -> dict[str, Words]:
    """Each column of a table as the words that a file holds, empty for missing.

    Parameters
    ----------
    table
        As in memory (see `ehrsynth.schema.columns`).
    quote
        Applied to each distinct word, the empty one included.

    Raises
    ------
    DataError
        If columns are absent, of another type, or hold values that their format cannot say; all are listed.
    """
    quote = quote or str
    values = to_values(table, schema)
    words: dict[str, Words] = {}
    problems = []
    for column in schema.columns:
        if isinstance(column, IdentifierColumn):
            if column.name not in table.columns:
                problems.append(f"column {column.name!r} is absent")
                continue
            words[column.name] = _identifier_words(table[column.name], quote)
            continue
        positions, distinct = pd.factorize(values[column.name])
        spelt = [spelling(value, column) for value in distinct.tolist()]
        read = parse_words(spelt, column, missing_codes=schema.missing_codes).values
        lost = int(np.isin(positions, np.flatnonzero(read != distinct)).sum())
        if lost:
            problems.append(
                f"column {column.name!r}: {lost:,} values do not survive being written; see that the schema's"
                " format says the whole value and that no missing code lies within the bounds"
            )
        words[column.name] = np.array([*map(quote, spelt), quote("")], dtype=object)[positions]
    if problems:
        raise DataError("the table cannot be written as its schema says", problems)
    return words


def spelling(value: float, column: LearntColumn) -> str:  # noqa: PLR0911 - one a kind
    """The word for one value in expression space: as short as reads back to the same value.

    A number off the column's grid is rounded to it; `table_words` finds that out by reading it back.
    """
    match column:
        case IntegerColumn():
            return str(int(value))
        case NumberColumn():
            return _decimal(value, column.decimals)
        case CategoryColumn() | CodeColumn():
            return column.values[int(value)]
        case BooleanColumn():
            return column.true if value else column.false
        case DateColumn():
            return _moment(_EPOCH + dt.timedelta(days=value), column.format)
        case DatetimeColumn():
            return _moment(_EPOCH + dt.timedelta(seconds=value), column.format)
        case DurationColumn():
            return _duration(value, column)
        case _:
            assert_never(column)


def _decimal(value: float, decimals: int) -> str:
    word = f"{value:.{decimals}f}"
    word = word.rstrip("0").rstrip(".") if "." in word else word
    return "0" if word == "-0" else word


def _moment(moment: dt.datetime, form: str) -> str:
    # The C library writes the year 999 with three digits, which do not read back.
    form = re.sub("%(.)", lambda m: f"{moment.year:04d}" if m[1] == "Y" else m[0], form)
    return moment.strftime(form)


def _duration(value: float, column: DurationColumn) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    match column.format:
        case "number":
            return _decimal(value, column.decimals)
        case "HH:MM":
            return f"{sign}{int(size) // 60:02d}:{int(size) % 60:02d}"
        case "HH:MM:SS":
            return f"{sign}{int(size) // 3600:02d}:{int(size) // 60 % 60:02d}:{int(size) % 60:02d}"
        case "ISO 8601":
            return sign + _ISO_FORMS[column.unit].format(_decimal(size, column.decimals))


def _identifier_words(series: "pd.Series[Any]", quote: Callable[[str], str]) -> Words:
    return np.array([quote("") if pd.isna(word) else quote(str(word)) for word in series], dtype=object)
