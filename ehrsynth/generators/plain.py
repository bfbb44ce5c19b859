"""A table as words and numbers without gaps: what the packages behind `ctgan`, `tvae` and `copula` take.

A learnt column becomes a word column, a number column, or both. Missing is a word, as are a number's zeros
and heaps (held by at least `HEAP` of the patients), so that they survive exactly. A category with too
many values keeps the most frequent as words; the others share the last word and are drawn from their own
shares, so that 5,000 codes do not become 5,000 network outputs. Extreme numbers are drawn in to a range
that no single patient sets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError, RequestError
from ehrsynth.generators.filling import fill
from ehrsynth.generators.marginals import CROWD, Marginal, common_range, learn_marginal, pack, unpack
from ehrsynth.generators.ties import own_codes
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, LearntColumn, Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

HEAP = 0.05
SMALL_GRID = 32  # a number with so few possible values is a list of words
SPAN = 1000.0  # numbers run from 0 to this: mixtures then see their spread and not their own regularisation
_GIGABYTE = 2**30
_COPIES = 3  # of the encoded table that the packages hold at once, in float64
_MIXTURE = 11  # outputs of a number: its place in one of at most ten components


@dataclass(frozen=True, slots=True, eq=False)
class PlainColumn:
    """One learnt column as words and, maybe, a number.

    Each of `levels` (codes, -1 for missing) is a word. When `shares` has one entry more, the last word
    stands for all other codes: a number from `low` to `high` where ``low < high``, else a draw of `rest`.
    """

    size: int
    levels: Codes
    shares: Floats
    low: int
    high: int
    rest: Marginal

    @property
    def has_words(self) -> bool:
        """Is there more than one word to choose from?"""
        return len(self.shares) > 1

    @property
    def has_number(self) -> bool:
        """Does the last word stand for a number?"""
        return self.low < self.high

    def words(self, codes: Codes) -> Codes:
        """The word of each code; codes that the model leaves out take the most frequent word."""
        other = len(self.levels) if len(self.shares) > len(self.levels) else int(self.shares.argmax())
        words = np.full(len(codes), other, np.int64)
        for word, level in enumerate(self.levels):
            words[codes == level] = word
        return words

    def masses(self, allowed: CodeSet) -> Floats:
        """The share of each word that lies in a set of codes: for a number, an upper bound."""
        inside = allowed.contains(self.levels)
        masses = self.shares.copy()
        masses[: len(inside)] *= inside
        if len(masses) > len(inside):
            # Is any value behind the last word wanted?
            wanted = allowed.size - allowed.missing > (inside & (self.levels >= 0)).sum()
            masses[-1] *= float(wanted) if self.has_number else self.rest.within(allowed).mass
        return masses


def learn_plain(codes: Codes, column: LearntColumn, most_words: int) -> PlainColumn:
    """How one column becomes words and a number.

    Parameters
    ----------
    codes
        One code a patient, -1 for missing.
    most_words
        At most so many words; 2 or more.
    """
    listed = isinstance(column, BooleanColumn | CategoryColumn | CodeColumn) or column.size <= SMALL_GRID
    values, counts = np.unique(codes, return_counts=True)
    if listed:
        kept = _most_frequent(values, counts, most_words)
    else:
        kept = (values == -1) | (counts >= max(CROWD, HEAP * len(codes)))
    levels, held = values[kept], counts[kept]
    others = np.sort(codes[~np.isin(codes, levels)])
    if not listed and len(others) < CROWD and (levels >= 0).any():
        others = others[:0]  # fewer patients than may be described
    low, high = common_range(others) if not listed and len(others) >= 2 * CROWD else (0, 0)
    rest = learn_marginal(others, column.size, listed=listed) if len(others) and low == high else _nothing()
    held = np.append(held, len(others)) if len(others) else held
    return PlainColumn(column.size, levels, held / held.sum(), low, high, rest)


def _nothing() -> Marginal:
    return Marginal(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 0.0)


def _most_frequent(values: Codes, counts: Codes, most: int) -> NDArray[np.bool_]:
    if len(values) <= most:
        return np.ones(len(values), bool)
    rank = np.argsort(np.argsort(-np.where(values == -1, counts.sum(), counts), kind="stable"), kind="stable")
    return np.asarray(rank < most - 1)  # the last word is for the others


def learn_columns(codes: Codes, schema: Schema, most_words: int) -> tuple[PlainColumn, ...]:
    """`learn_plain` for every learnt column, without what the rules decide (`ehrsynth.generators.ties`)."""
    own = zip(schema.learnt, own_codes(codes, schema), strict=True)
    return tuple(learn_plain(values, column, most_words) for column, values in own)


def check_memory(columns: Sequence[PlainColumn], rows: int, gigabytes: float) -> None:
    """Raise unless the encoded table fits in memory.

    Raises
    ------
    RequestError
        Says how much would be needed, and what to set.
    """
    width = sum(len(c.shares) * c.has_words + _MIXTURE * c.has_number for c in columns)
    needed = _COPIES * 8 * rows * width / _GIGABYTE
    if needed > gigabytes:
        message = (
            f"{rows} rows of {len(columns)} columns become {width} network inputs and need about "
            f"{needed:.1f} GB; {gigabytes:g} GB are allowed. Set most_words lower, memory_gb higher, or "
            "train on fewer rows"
        )
        raise RequestError(message)


def to_frame(
    codes: Codes, columns: Sequence[PlainColumn], rng: np.random.Generator
) -> tuple[pd.DataFrame, list[str]]:
    """The table as a frame of words (digits) and numbers (0 to `SPAN`), and the names of the word columns.

    Column ``w3`` is the word of learnt column 3, ``n3`` its number. Where the word stands for something else
    than the number, `ehrsynth.generators.filling` says what stands there.
    """
    words = {p: c.words(codes[:, p]) for p, c in enumerate(columns)}
    places = [p for p, c in enumerate(columns) if c.has_number]
    low, high = (np.array([getattr(columns[p], end) for p in places], np.float64) for end in ("low", "high"))
    numbers = np.clip((codes[:, places] - low) / (high - low), 0, 1) * SPAN
    gaps = codes[:, places] == -1
    for k, place in enumerate(places):
        gaps[:, k] |= words[place] < len(columns[place].levels)
    numbers = fill(numbers, gaps, rng)
    frame: dict[str, Any] = {}
    for place, column in enumerate(columns):
        if column.has_words:
            frame[f"w{place}"] = words[place].astype(str).astype(object)
        if column.has_number:
            frame[f"n{place}"] = numbers[:, places.index(place)]
    table = pd.DataFrame(frame, index=pd.RangeIndex(len(codes)))
    return table, [name for name in table.columns if name.startswith("w")]


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Drawn rows: the words and the numbers of those learnt columns that have them, by place."""

    n: int
    words: Mapping[int, Codes]
    numbers: Mapping[int, Floats]


def from_rows(
    rows: PlainRows,
    columns: Sequence[PlainColumn],
    rng: np.random.Generator,
    *,
    allowed: Mapping[int, CodeSet] | None = None,
) -> Codes:
    """The codes of drawn rows; rows with a number that is not finite are left out.

    Parameters
    ----------
    allowed
        By place, what a condition allows: a category behind the last word is drawn inside it.
    """
    finite = np.ones(rows.n, bool)
    for numbers in rows.numbers.values():
        finite &= np.isfinite(numbers)
    codes = np.empty((int(finite.sum()), len(columns)), np.int64)
    for place, column in enumerate(columns):
        words = rows.words[place][finite] if column.has_words else np.zeros(len(codes), np.int64)
        other = words >= len(column.levels)
        codes[~other, place] = column.levels[words[~other]]
        if column.has_number:
            numbers = column.low + rows.numbers[place][finite][other] / SPAN * (column.high - column.low)
            codes[other, place] = np.clip(np.rint(numbers), 0, column.size - 1).astype(np.int64)
        elif other.any():
            codes[other, place] = _rest(column, place, allowed or {}).draw(int(other.sum()), rng)
    return codes


def _rest(column: PlainColumn, place: int, allowed: Mapping[int, CodeSet]) -> Marginal:
    if place not in allowed:
        return column.rest
    inside = column.rest.within(allowed[place])
    return inside if inside.mass > 0 else column.rest


def pack_columns(columns: Sequence[PlainColumn]) -> dict[str, NDArray[Any]]:
    """Plain columns as flat arrays, for a model's folder."""
    return {
        "plain.words": np.array([[len(c.levels), len(c.shares)] for c in columns], np.int64).reshape(-1, 2),
        "plain.levels": np.concatenate([np.empty(0, np.int64), *(c.levels for c in columns)]),
        "plain.shares": np.concatenate([np.empty(0), *(c.shares for c in columns)]),
        "plain.range": np.array([[c.low, c.high] for c in columns], np.int64).reshape(-1, 2),
        **pack([c.rest if len(c.rest.low) else _everything(c) for c in columns]),
    }


def _everything(column: PlainColumn) -> Marginal:
    return Marginal(np.array([0]), np.array([column.size - 1]), np.ones(1), 0.0)


def unpack_columns(arrays: Mapping[str, NDArray[Any]], schema: Schema) -> tuple[PlainColumn, ...]:
    """The columns that `pack_columns` made.

    Raises
    ------
    ModelError
        If they do not fit the schema.
    """
    rests = unpack(arrays, [c.size for c in schema.learnt])
    words, levels, shares, ranges = (
        np.asarray(arrays[f"plain.{name}"]) for name in ("words", "levels", "shares", "range")
    )
    fine = words.shape == ranges.shape == (len(rests), 2) and bool((words >= 0).all())
    if not fine or list(words.sum(0)) != [len(levels), len(shares)]:
        message = "the stored words do not fit the schema: the model is damaged"
        raise ModelError(message)
    columns, at, share_at = [], 0, 0
    for column, (n, m), (low, high), rest in zip(schema.learnt, words, ranges, rests, strict=True):
        made = PlainColumn(
            column.size, levels[at : at + n], shares[share_at : share_at + m], int(low), int(high), rest
        )
        columns.append(_checked(made))
        at, share_at = at + n, share_at + m
    return tuple(columns)


def _checked(column: PlainColumn) -> PlainColumn:
    levels, shares = column.levels, column.shares
    fine = len(shares) - len(levels) in (0, 1) and len(shares) > 0
    fine = fine and bool(np.isfinite(shares).all()) and bool((shares >= 0).all()) and shares.sum() > 0
    fine = fine and bool(((levels >= -1) & (levels < column.size)).all())
    if not fine or not 0 <= column.low <= column.high < column.size:
        message = "a column's words do not fit the schema: the model is damaged"
        raise ModelError(message)
    return column
