"""Guesses about columns of numbers: integers, decimals, missing codes like -99, numbers that are names."""

import math
import re

import numpy as np
from numpy.typing import NDArray

from ehrsynth.schema import CategoryColumn, IdentifierColumn, IntegerColumn, LeftOut, NumberColumn
from ehrsynth.schema.columns import DISTINCT_DECIMALS, LARGEST_EXACT, MOST_DECIMALS
from ehrsynth.tables.evidence import FEW, NUMBER, Evidence, Guess, code_reason, shared
from ehrsynth.tables.limits import LIMIT
from ehrsynth.tables.vocabulary import meanings, names_a_site, names_an_identifier, names_codes, tokens

_LEADING_ZERO = re.compile(r"[+-]?0\d+", re.ASCII)
_SENTINEL = re.compile(r"-(?:9|99|999|9999|99999|999999|88|888|8888)|99|999|9999|99999|999999|88|888|8888")
_MOST_SITES = 1_000
_DAYS_OF_A_SHEET = (29_221, 51_135)  # 1980 to 2039 as spreadsheets number days
_DAY_NUMBERS = (
    "all lie where spreadsheets number the days of 1980 to 2039: if they are dates, write them as dates,"
    " which a release makes coarser; as numbers they would leave to the day"
)
_FEW_VALUES = 10
_SMALL_TABLE = 20
_LONG_NUMBER = 7
_COUNTED = frozenset({"age", "time"})
_COUNTED_WORDS = frozenset(
    {"day", "days", "week", "weeks", "month", "months", "year", "years", "visit", "hour", "hours", "minutes"}
)
MOST_STRAY = 3
FEWEST_NUMBERS = 20
Floats = NDArray[np.float64]


def guess_numbers(found: Evidence) -> Guess | None:
    """Integer, number or identifier, if every word is a number once missing codes are set aside."""
    found = found.without([w for w in found.doubtful() if not NUMBER.fullmatch(w)])
    stray = _stray(found)
    if stray:
        guess = guess_numbers(found.without(stray))
        why = "they stand among numbers; write a number for a detection limit that should be learnt"
        return guess and Guess(guess.column, (*guess.reasons, why))
    if not found.words or not all(map(NUMBER.fullmatch, found.words)):
        return None
    if any(map(_LEADING_ZERO.fullmatch, found.words)):
        return None  # 00123 is a name: as a number it would lose its zeros
    values = np.array([float(w) for w in found.words], np.float64)
    if np.abs(values).max() >= LARGEST_EXACT:
        return _too_large(found)
    found, values = _without_sentinels(found, values)
    whole = bool(np.all(values == np.rint(values)))
    if whole and _repeats_a_patient(found):
        return None  # a key with several rows, as of any other word
    return _whole(found, values) if whole else _decimal(found, values)


def _repeats_a_patient(found: Evidence) -> bool:
    named = "patient" in meanings(found.name) and names_an_identifier(found.name)
    return named and len(found.words) > 1 and not found.unique


def _stray(found: Evidence) -> list[str]:
    """Words that are no numbers in a column of measurements: "<0.5", "haemolysed".

    As a category such a column would list nearly every measurement. Other words than detection limits are
    taken only where the numbers have decimals: among whole ones a word may name a room as they do.
    """
    stray = [w for w in found.words if not NUMBER.fullmatch(w)]
    numbers = [w for w in found.words if NUMBER.fullmatch(w)]
    if not stray or len(stray) > MOST_STRAY or len(numbers) < FEWEST_NUMBERS:
        return []
    limits = all(map(LIMIT.fullmatch, stray))
    return stray if limits or any("." in w for w in numbers) else []


def _too_large(found: Evidence) -> Guess:
    if found.unique and len(found.words) > 1 and all(w.isdigit() for w in found.words):
        reason = "each patient has their own number, and numbers beyond 2^53 are no measurements"
        return Guess(_identifier(found), (reason,))
    return Guess(LeftOut(name=found.name, reason="numbers beyond 2^53: no computer holds them exactly"))


def _without_sentinels(found: Evidence, values: Floats) -> tuple[Evidence, Floats]:
    for _ in range(3):
        order = np.argsort(values)
        places = (int(order[0]), int(order[-1])) if len(order) > 2 else ()  # noqa: PLR2004 - a gap needs three
        code = next((p for p in places if _is_sentinel(found, values, order, p)), None)
        if code is None:
            return found, values
        spelled = [w for w, v in zip(found.words, values, strict=True) if v == values[code]]
        values = values[values != values[code]]
        found = found.without(spelled)
    return found, values


def _is_sentinel(found: Evidence, values: Floats, order: NDArray[np.int64], place: int) -> bool:
    """A number of nines or eights at one end, held more than once, with a wide gap before the others."""
    word = f"{values[place]:.0f}" if values[place].is_integer() else ""
    if not _SENTINEL.fullmatch(word) or found.counts[place] < 2:  # noqa: PLR2004
        return False
    rest = values[order[1:]] if place == order[0] else values[order[:-1]]
    span, low = float(rest.max() - rest.min()), float(rest.min())
    if values[place] < 0:
        return low >= 0 or low - float(values[place]) > span
    return float(values[place] - rest.max()) > max(span / 2, 10)


def _whole(found: Evidence, values: Floats) -> Guess:
    name = found.name
    reasons = code_reason(found.codes)
    if found.unique and _counts_patients(found, values):
        return Guess(_identifier(found), (*reasons, "no number repeats, and they look like running numbers"))
    if names_an_identifier(name):
        if found.unique and len(found.words) > 1:
            return Guess(_identifier(found), (*reasons, "named like an identifier, and no number repeats"))
        if len(found.words) > 1:
            reason = (
                "named like an identifier, but its numbers repeat: give one row per patient, or rename it"
            )
            return Guess(LeftOut(name=name, reason=reason))
    if names_a_site(name) and len(found.words) <= _MOST_SITES:
        words = [found.words[i] for i in np.argsort(values)]
        reason = "a number that names a place is no measurement: a category"
        return Guess(CategoryColumn(values=tuple(words), **shared(found)), (*reasons, reason))
    if names_codes(name) and 1 < len(found.words) <= _MOST_SITES and set(found.words) != {"0", "1"}:
        words = [found.words[i] for i in np.argsort(values)]
        reason = "numbers that name a diagnosis, a drug or a group are no measurement: a category"
        return Guess(CategoryColumn(values=tuple(words), **shared(found)), (*reasons, reason))
    minimum, maximum, why = bounds(values, found.counts, 0)
    why = (*reasons, *why, *_cautions(found, values))
    return Guess(IntegerColumn(minimum=int(minimum), maximum=int(maximum), **shared(found)), why)


def _cautions(found: Evidence, values: Floats) -> tuple[str, ...]:
    """What whole numbers may be besides a measurement."""
    if 1 < len(found.words) <= _FEW_VALUES:
        return ("few distinct numbers: if they are codes, make it a category",)
    first, last = _DAYS_OF_A_SHEET
    return (_DAY_NUMBERS,) if len(found.words) > 1 and first <= values.min() <= values.max() <= last else ()


def _counts_patients(found: Evidence, values: Floats) -> bool:
    if len(values) < _SMALL_TABLE or _COUNTED & set(meanings(found.name)):
        return False
    if _COUNTED_WORDS & set(tokens(found.name)) or values.min() < 0:
        return False
    consecutive = values.max() - values.min() + 1 == len(values)
    widths = {len(f"{v:.0f}") for v in (values.min(), values.max())}
    long = len(widths) == 1 and widths.pop() >= _LONG_NUMBER
    return bool(consecutive or (long and not found.missing))


def _decimal(found: Evidence, values: Floats) -> Guess:
    exact = decimals = _decimals(values)
    minimum, maximum, why = bounds(values, found.counts, decimals)
    while (
        decimals and max(abs(minimum), abs(maximum), maximum - minimum) * 10.0**decimals >= DISTINCT_DECIMALS
    ):
        decimals -= 1
        minimum, maximum, why = bounds(values, found.counts, decimals)
    reasons = (*code_reason(found.codes), f"decimals: {decimals}, the most that a value has", *why)
    if decimals < exact:
        reasons = (*reasons, "the numbers have more digits than can be kept exactly: they are rounded")
    column = NumberColumn(minimum=minimum, maximum=maximum, decimals=decimals, **shared(found))
    return Guess(column, reasons)


def _decimals(values: Floats) -> int:
    slack = 2 * np.spacing(np.abs(values))
    for decimals in range(MOST_DECIMALS):
        if np.all(np.abs(np.round(values, decimals) - values) <= slack):
            return decimals
    return MOST_DECIMALS


def bounds(values: Floats, counts: NDArray[np.int64], decimals: int) -> tuple[float, float, tuple[str, ...]]:
    """Bounds outside of the values, on a round step, so that no patient's extreme value can be read off.

    Returns
    -------
    tuple
        Minimum, maximum (both with at most `decimals` digits after the point) and the reasons in words.
    """
    low, high = float(values.min()), float(values.max())
    inner, outer = round(low, decimals), round(high, decimals)
    if inner == outer:
        return inner, outer, ("one value only",)
    step = max(_round_step((high - low) / 20), 10.0**-decimals)
    minimum, maximum = _multiple(math.floor(low / step), step), _multiple(math.ceil(high / step), step)
    # A bound that happens to be a round extreme of few patients gives them away all the same.
    if minimum == low and low != 0 and counts[values == low].sum() < FEW:
        minimum = _multiple(round(minimum / step) - 1, step)
    if maximum == high and high != 0 and counts[values == high].sum() < FEW:
        maximum = _multiple(round(maximum / step) + 1, step)
    minimum = max(minimum, 0.0) if low >= 0 else minimum
    return (
        min(round(minimum, decimals), inner),
        max(round(maximum, decimals), outer),
        ("bounds rounded outward from the data: replace them by what is possible",),
    )


def _round_step(width: float) -> float:
    power = math.floor(math.log10(width))
    factor = next(f for f in (1, 2, 5, 10) if width <= f * 10.0**power * (1 + 1e-9))
    return _multiple(factor, 10.0**power)


def _multiple(count: int, step: float) -> float:
    # Steps below one are divided by, because 3 * 0.1 is not 0.3.
    return count * step if step >= 1 else count / round(1 / step) if step > 1e-15 else count * step  # noqa: PLR2004


def _identifier(found: Evidence) -> IdentifierColumn:
    return IdentifierColumn(pattern=id_pattern(found.words), **shared(found))


def id_pattern(words: tuple[str, ...]) -> str:
    """The letters that all identifiers begin with, and as many digits as the longest has.

    >>> id_pattern(("P0001", "P0002"))
    'P####'
    """
    parts = {re.fullmatch(r"([^\d#]{0,8})(\d{1,18})", w) for w in words[:10_000]}
    matches = [m for m in parts if m]
    prefixes = {m[1] for m in matches}
    if len(matches) < len(parts) or len(prefixes) != 1:
        return "########"
    return prefixes.pop() + "#" * max(len(m[2]) for m in matches)
