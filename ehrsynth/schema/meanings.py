"""What a column's values mean in an expression, and the words and dates that a person writes for them."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal

from ehrsynth.errors import unknown
from ehrsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    LearntColumn,
)

Family = Literal["number", "word", "boolean", "date", "datetime", "literal"]

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - tables hold moments without a time zone
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?")
_WORD_EXAMPLES = 10
_SAID = {
    "number": "a number",
    "word": "a category",
    "boolean": "true or false",
    "date": "a date",
    "datetime": "a date with a time",
    "literal": "a word",
}
STEP = {"date": "days", "datetime": "seconds"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a bound value means: its family, its unit if it is a time, and its column if it is one itself."""

    family: Family
    unit: str = ""
    column: LearntColumn | None = None

    def __str__(self) -> str:
        said = _SAID[self.family] + (f" of {self.unit}" if self.unit else "")
        return f"column {self.column.name!r} ({said})" if self.column else said


def word_value(column: LearntColumn, word: str) -> float:
    """The number in expression space behind a word that a person wrote in a schema or an expression.

    Categories and codes as listed, booleans by their words (or true and false), dates as 2020-01-31,
    datetimes as 2020-01-31T14:30:00 (a date alone is its midnight), numbers as digits. Bounds are not
    checked.

    Raises
    ------
    ValueError
        If the column has no such value; the message says what is allowed.
    """
    return number_meant(meaning_of(column), word)


def number_meant(meaning: Meaning, word: str) -> float:
    """As `word_value`, for a value that is no column itself."""
    match meaning.family:
        case "word" | "boolean":
            known = known_words(meaning.column)
            if word not in known:
                raise ValueError(unknown_word(f"value of {meaning}:", word, tuple(known)))
            return float(known[word])
        case "date":
            return float(_moment(meaning, word, _DATE, "2020-01-31").toordinal() - _EPOCH.toordinal())
        case "datetime":
            return (_moment(meaning, word, _DATETIME, "2020-01-31T14:30:00") - _EPOCH).total_seconds()
    try:
        return float(word)
    except ValueError:
        message = f"{meaning} takes digits, not {word!r}"
        raise ValueError(message) from None


def known_words(column: LearntColumn | None) -> dict[str, int]:
    """The words that a category, code or boolean takes, with the number behind each."""
    if isinstance(column, BooleanColumn):
        return {"true": 1, "false": 0} | {column.true: 1, column.false: 0}
    values = column.values if isinstance(column, CategoryColumn | CodeColumn) else ()
    return {word: place for place, word in enumerate(values)}


def _moment(meaning: Meaning, word: str, form: re.Pattern[str], example: str) -> dt.datetime:
    try:
        if form.fullmatch(word):
            return dt.datetime.fromisoformat(word)
    except ValueError:
        pass  # a day that no calendar has
    message = f'{meaning}: {word!r} is none; write it as "{example}"'
    raise ValueError(message)


def unknown_word(what: str, given: str, known: tuple[str, ...]) -> str:
    """As `ehrsynth.errors.unknown`, with ten of the known names at most."""
    said = unknown(what, given, known)
    if len(known) <= _WORD_EXAMPLES:
        return said
    _, _, meant = said.partition(" Did you mean ")
    listed = f"{', '.join(known[:_WORD_EXAMPLES])} and {len(known) - _WORD_EXAMPLES} more"
    return f"unknown {what} {given!r}; known: {listed}." + (f" Did you mean {meant}" if meant else "")


def meaning_of(column: LearntColumn) -> Meaning:
    """What a column's values mean in an expression."""
    match column:
        case CategoryColumn() | CodeColumn():
            return Meaning("word", column=column)
        case BooleanColumn():
            return Meaning("boolean", column=column)
        case DateColumn():
            return Meaning("date", column=column)
        case DatetimeColumn():
            return Meaning("datetime", column=column)
        case DurationColumn():
            return Meaning("number", column.unit, column)
    return Meaning("number", column=column)


def same_unit(one: str, other: str) -> bool:
    """Whether two units agree; a number without one takes any."""
    return one == other or not one or not other
