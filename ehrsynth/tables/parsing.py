"""The words of a file become numbers in expression space, one parser a column kind.

Each distinct word is parsed once. A word is either a number, missing, or a `Problem`; no function here
raises or logs, because a message about a word could hold a patient's value.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from fractions import Fraction
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
)
from ehrsynth.schema.columns import DISTINCT_DECIMALS, LARGEST_EXACT, MOST_DECIMALS

StoredAs = Literal["text", "boolean", "integer", "float", "temporal", "duration"]
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", re.ASCII)
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_FLOAT_WORD = re.compile(r"[+-]?\d+\.\d+", re.ASCII)
_CLOCK = re.compile(r"([+-]?)(\d+):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_PART = r"(?:(\d+(?:\.\d*)?){})?"
_ISO_DURATION = re.compile(
    f"([+-]?)P{_PART.format('W')}{_PART.format('D')}"
    f"(?:T{_PART.format('H')}{_PART.format('M')}{_PART.format('S')})?",
    re.ASCII,
)
_ISO_UNITS = (604_800, 86_400, 3600, 60, 1)
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - tables hold local time without a zone
_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)
_MIDNIGHT = dt.time()


class Problem(Enum):
    """Why a word is not a value of its column; `ehrsynth.tables.validation` says it in words."""

    TEXT = auto()
    DECIMAL_COMMA = auto()
    THOUSANDS = auto()
    INFINITE = auto()
    TOO_LARGE = auto()
    NOT_WHOLE = auto()
    DECIMALS = auto()
    BOUNDS = auto()
    FOREIGN = auto()
    FORMAT = auto()
    TIME_OF_DAY = auto()
    SUBSECOND = auto()
    ZONE = auto()


Parser = Callable[[str], float | Problem]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a list of distinct words means, element by element.

    `values` are in expression space, NaN where the word is missing or a problem.
    """

    values: NDArray[np.float64]
    missing: NDArray[np.bool_]
    problems: tuple[Problem | None, ...]


def parse_words(
    words: Sequence[str],
    column: LearntColumn,
    *,
    missing_codes: Collection[str] = (),
    stored_as: StoredAs = "text",
    decimal_comma: bool = False,
) -> Parsed:
    """Parse the distinct words of one column.

    Parameters
    ----------
    words
        All distinct words of the column: whether they look like floats is judged from them together.
    missing_codes
        The schema's codes that mean missing in every column; the column's own are added.
    stored_as
        The type of the column in the file: "text" for a CSV, else what a Parquet file or a frame says.
    decimal_comma
        The file is separated by semicolons, so that a comma may be a decimal point: it is one when no word
        of the column has a point.
    """
    codes = {"", *(code.strip() for code in (*missing_codes, *column.missing_codes))}
    variants = _variants(words, codes, stored_as)
    is_number = isinstance(column, IntegerColumn | NumberColumn | DurationColumn)
    with_comma = decimal_comma and is_number and _all_commas(words, codes)
    whole_with_points = decimal_comma and isinstance(column, IntegerColumn) and stored_as == "text"
    numbers = {float(code) for code in codes if _NUMBER.fullmatch(code)} if is_number else set()
    listed = _listed(column, stored_as)
    parse = _parser(column, stored_as)

    def value(word: str) -> float | Problem | None:
        if listed:
            position = next((listed[v] for v in variants(word) if v in listed), None)
            if position is not None:
                return float(position)
        word = word.strip()
        if any(variant in codes for variant in variants(word)):
            return None
        if whole_with_points and THOUSANDS.fullmatch(word):
            return Problem.THOUSANDS
        if with_comma:
            word = word.replace(",", ".")
        if numbers and _NUMBER.fullmatch(word) and float(word) in numbers:
            return None
        return parse(word)

    found = [value(word) for word in words]
    return Parsed(
        np.array([f if isinstance(f, float) else math.nan for f in found], np.float64),
        np.array([f is None for f in found], np.bool_),
        tuple(f if isinstance(f, Problem) else None for f in found),
    )


def _listed(column: LearntColumn, stored_as: StoredAs) -> dict[str, int]:
    match column:
        case CategoryColumn() | CodeColumn():
            return {value: position for position, value in enumerate(column.values)}
        case BooleanColumn():
            words = {column.false: 0, column.true: 1}
            if column.false.casefold() != column.true.casefold():
                words = {f(w): v for f in (str.upper, str.title, str.lower, str) for w, v in words.items()}
            return words | ({"false": 0, "true": 1} if stored_as == "boolean" else {})
        case _:
            return {}


def _variants(
    words: Sequence[str], codes: Collection[str], stored_as: StoredAs
) -> Callable[[str], list[str]]:
    """How else a word may be spelt: without outer spaces, as a whole number, as a truth value."""
    if stored_as == "boolean":
        return lambda word: (
            [word, word.title(), word.upper(), "1" if word == "true" else "0"] if word else [""]
        )
    filled = [w for w in (word.strip() for word in words) if w not in codes]
    floats = stored_as == "float" or (bool(filled) and all(map(_FLOAT_WORD.fullmatch, filled)))

    def variants(word: str) -> list[str]:
        bare = word.strip()
        if not floats:
            return [word, bare]
        return [word, bare, bare[:-2] if bare.endswith(".0") else f"{bare}.0"]

    return variants


def _all_commas(words: Sequence[str], codes: Collection[str]) -> bool:
    filled = [w for w in (word.strip() for word in words) if w not in codes]
    return not any("." in w and _NUMBER.fullmatch(w) for w in filled)


def _parser(column: LearntColumn, stored_as: StoredAs) -> Parser:
    match column:
        case IntegerColumn():
            return _integer(column, stored_as)
        case NumberColumn():
            return _on_grid(_number, column.minimum, column.maximum, column.decimals)
        case DurationColumn():
            return _on_grid(_duration(column, stored_as), column.minimum, column.maximum, column.decimals)
        case DateColumn():
            return _date(column, stored_as)
        case DatetimeColumn():
            return _datetime(column, stored_as)
        case CategoryColumn() | CodeColumn() | BooleanColumn():
            return lambda _: Problem.FOREIGN
        case _:
            assert_never(column)


def _number(word: str) -> float | Problem:
    if not _NUMBER.fullmatch(word):
        if _INFINITE.fullmatch(word):
            return Problem.INFINITE
        return Problem.DECIMAL_COMMA if _COMMA_NUMBER.fullmatch(word) else Problem.TEXT
    value = float(word) + 0.0  # no negative zero
    if math.isinf(value):
        return Problem.INFINITE
    if abs(value) >= LARGEST_EXACT and abs(Decimal(word)) > LARGEST_EXACT:
        return Problem.TOO_LARGE
    return value


def _integer(column: IntegerColumn, stored_as: StoredAs) -> Parser:
    truth = {"true": 1.0, "false": 0.0} if stored_as == "boolean" else {}

    def parse(word: str) -> float | Problem:
        value = truth[word] if word in truth else _number(word)
        if isinstance(value, Problem):
            return value
        if not value.is_integer():
            return Problem.NOT_WHOLE
        return value if column.minimum <= value <= column.maximum else Problem.BOUNDS

    return parse


def _on_grid(parse_any: Parser, minimum: float, maximum: float, decimals: int) -> Parser:
    # Where no finer grid can be declared, computed numbers of 16 or 17 digits are rounded to this one.
    largest = max(abs(minimum), abs(maximum), maximum - minimum)
    finest = decimals == MOST_DECIMALS or largest * 10.0 ** (decimals + 1) >= DISTINCT_DECIMALS

    def parse(word: str) -> float | Problem:
        value = parse_any(word)
        if isinstance(value, Problem):
            return value
        rounded = round(value, decimals)
        # 0.1 + 0.2 written out by a computer is 0.3 with noise in the last bits, not 17 decimals.
        if not finest and abs(value - rounded) > 4 * math.ulp(value):
            return Problem.DECIMALS
        return rounded if minimum <= rounded <= maximum else Problem.BOUNDS

    return parse


def _duration(column: DurationColumn, stored_as: StoredAs) -> Parser:
    if stored_as == "duration" or (column.format == "ISO 8601" and stored_as in {"text", "temporal"}):
        return lambda word: _iso_duration(word, SECONDS[column.unit])
    if column.format == "number" or stored_as in {"integer", "float"}:
        return _number
    return lambda word: _clock(word, SECONDS[column.unit], seconds=column.format == "HH:MM:SS")


def _clock(word: str, unit: int, *, seconds: bool) -> float | Problem:
    found = _CLOCK.fullmatch(word)
    # Times of a Parquet file always have seconds: without them in the format they can only be zero.
    if found is None or (seconds and found[4] is None) or (not seconds and found[4] not in {None, "00"}):
        return Problem.FORMAT
    total = int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4] or 0)
    if total > LARGEST_EXACT:
        return Problem.TOO_LARGE
    return (-1 if found[1] == "-" else 1) * total / unit + 0.0


def _iso_duration(word: str, unit: int) -> float | Problem:
    found = _ISO_DURATION.fullmatch(word)
    parts = found.groups()[1:] if found else ()
    if found is None or not any(parts) or word.endswith("T"):
        return Problem.FORMAT
    total = sum(Fraction(part) * each for part, each in zip(parts, _ISO_UNITS, strict=True) if part)
    if total > LARGEST_EXACT:
        return Problem.TOO_LARGE
    return float((-total if found[1] == "-" else total) / unit)


def _date(column: DateColumn, stored_as: StoredAs) -> Parser:
    def parse(word: str) -> float | Problem:
        moment = _moment(word, column.format, stored_as)
        if isinstance(moment, Problem):
            return moment
        if moment.time() != _MIDNIGHT:
            return Problem.TIME_OF_DAY
        if not column.minimum <= moment.date() <= column.maximum:
            return Problem.BOUNDS
        return float((moment - _EPOCH) // _DAY)

    return parse


def _datetime(column: DatetimeColumn, stored_as: StoredAs) -> Parser:
    def parse(word: str) -> float | Problem:
        moment = _moment(word, column.format, stored_as)
        if isinstance(moment, Problem):
            return moment
        if moment.microsecond:
            return Problem.SUBSECOND
        if not column.minimum <= moment <= column.maximum:
            return Problem.BOUNDS
        seconds = (moment - _EPOCH) // _SECOND
        # Only a typed file can hold seconds that the format does not say.
        return Problem.FORMAT if seconds % column.step else float(seconds)

    return parse


def _moment(word: str, form: str, stored_as: StoredAs) -> dt.datetime | Problem:
    typed = stored_as == "temporal"
    try:
        # A zone is a problem, found below.
        moment = dt.datetime.fromisoformat(word) if typed else dt.datetime.strptime(word, form)  # noqa: DTZ007
    except ValueError:
        return Problem.FORMAT
    return moment if moment.tzinfo is None else Problem.ZONE
