"""Which columns are missing because of what another one says: no day of death for whom is alive.

A generator learns such a relation nearly; the rule makes it exact, and tells a filler of gaps that a blank
may be the answer. Rows that few patients are in decide nothing, and chance is ruled out.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from ehrsynth.expressions import quoted, text_literal
from ehrsynth.schema import BooleanColumn, CategoryColumn, Column, Implication, IntegerColumn
from ehrsynth.tables.evidence import FEW, spread

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_MOST_WORDS = 20  # of a column that may be a cause
_FIRST = 2_000  # rows of the first look
_CHANCE = 1e-6  # that unrelated columns agree so somewhere in the table
_LONGEST = 2_000  # characters of a rule that a person still reads
# A generator that draws columns alone can mend a value that must be missing, and must throw away a row in
# which one is missing that must be there: of its rows at least this share shall be kept.
_LEAST_KEPT = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class _Cause:
    """A column of few words: as an expression writes them, which rows hold which (-1: none), and how many."""

    name: str
    words: tuple[str, ...]
    places: Places
    rows: Places
    number: bool  # that a few values of a number are never with another column is no rule


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The words of a cause with which a column is always missing, and with which never.

    `kept` is empty where some word is neither. `lost` is the share of rows, drawn column by column, that
    would lack a value of the column beside a word of `kept`.
    """

    cause: _Cause
    gone: tuple[int, ...]
    kept: tuple[int, ...]
    lost: float

    @property
    def rows(self) -> int:
        """Of how many rows they speak."""
        return int(self.cause.rows[[*self.gone, *self.kept]].sum())


def guess_missing(
    columns: Sequence[Column],
    values: Mapping[str, Floats],
    absent: Mapping[str, Flags],
    *,
    spoken_for: Collection[str],
) -> list[Implication]:
    """For each column the column that says best where it is missing, as one implication or two.

    Parameters
    ----------
    columns
        The columns proposed so far, in the table's order.
    values
        Of each boolean, category and integer among them the value in each row, NaN where it is missing.
    absent
        Of each column that may be missing where it is.
    spoken_for
        Columns that other rules make missing: computed ones, and those that are there with another.
    """
    causes = [cause for column in columns if (cause := _cause(column, values))]
    effects = {
        name: gone
        for name, gone in absent.items()
        if name not in spoken_for and min(gone.sum(), (~gone).sum()) >= FEW
    }
    pairs, kept = max(1, len(causes) * len(effects)), 1.0
    rules: list[Implication] = []
    for name, gone in effects.items():
        best = _best(gone, [cause for cause in causes if cause.name != name], pairs)
        if best is None:
            continue
        rules += _rule(best.cause, best.gone, f"missing({quoted(name)})", "missing")
        if best.kept and kept * (1 - best.lost) >= _LEAST_KEPT:
            kept *= 1 - best.lost
            rules += _rule(best.cause, best.kept, f"not missing({quoted(name)})", "given")
    return rules


def _cause(column: Column, values: Mapping[str, Floats]) -> _Cause | None:
    if not isinstance(column, BooleanColumn | CategoryColumn | IntegerColumn):
        return None
    own = values[column.name]
    first = own[spread(len(own), _FIRST)]
    if len(np.unique(first[~np.isnan(first)])) > _MOST_WORDS:
        return None
    known = ~np.isnan(own)
    held, places = np.unique(own[known], return_inverse=True)
    if not 2 <= len(held) <= _MOST_WORDS:  # noqa: PLR2004 - one word says nothing
        return None
    every = np.full(len(own), -1)
    every[known] = places
    words = tuple(_word(column, value) for value in held)
    return _Cause(column.name, words, every, np.bincount(places), isinstance(column, IntegerColumn))


def _word(column: BooleanColumn | CategoryColumn | IntegerColumn, value: float) -> str:
    """A value as an expression takes it."""
    if isinstance(column, IntegerColumn):
        return f"{value:.0f}"
    if isinstance(column, CategoryColumn):
        return text_literal(column.values[int(value)])
    return text_literal(column.true if value else column.false)


def _best(absent: Flags, causes: Sequence[_Cause], pairs: int) -> _Found | None:
    """Who speaks of most rows, in the fewest words."""
    first = spread(len(absent), _FIRST)
    there = ~absent[first]
    # Most pairs are ruled out by few rows: every word that matters is seen beside a value there.
    maybe = [cause for cause in causes if _unseen(cause, cause.places[first][there])]
    found = [one for cause in maybe if (one := _look(absent, cause, pairs))]
    return max(found, key=lambda f: (f.rows, bool(f.kept), -len(f.gone)), default=None)


def _unseen(cause: _Cause, seen: Places) -> bool:
    held = np.bincount(seen + 1, minlength=len(cause.words) + 1)[1:]
    return bool(((held == 0) & (cause.rows >= FEW)).any())


def _look(absent: Flags, cause: _Cause, pairs: int) -> _Found | None:
    rows, size = cause.rows, len(cause.words)
    blank = np.bincount(cause.places[absent] + 1, minlength=size + 1)[1:]
    many = rows >= FEW
    gone, kept = many & (blank == rows), many & (blank == 0)
    away = int(rows[gone].sum())
    if not away or int(rows[~gone].sum() - blank[~gone].sum()) < FEW:
        return None
    # So many rows, drawn blindly, would all be among the missing ones: times the sets of words and the pairs.
    chance = _log_ways(int(blank.sum()), away) - _log_ways(int(rows.sum()), away)
    if chance + size * np.log(2) + np.log(pairs) > np.log(_CHANCE):
        return None
    whole = bool(kept.any() and (gone | kept)[many].all())
    if cause.number and not whole:
        return None
    lost = float(rows[kept].sum() / len(absent) * absent.mean())
    return _Found(cause, tuple(np.flatnonzero(gone)), tuple(np.flatnonzero(kept)) if whole else (), lost)


def _log_ways(among: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose some among others."""
    return lgamma(among + 1) - lgamma(chosen + 1) - lgamma(among - chosen + 1)


def _rule(cause: _Cause, places: Sequence[int], then: str, what: str) -> Iterator[Implication]:
    words, name = [cause.words[place] for place in places], quoted(cause.name)
    when = f"{name} == {words[0]}" if len(words) == 1 else f"{name} in ({', '.join(words)})"
    if len(when) <= _LONGEST:
        why = f"{what} in all these rows: check that this is a rule"
        plain = {"if": when, "then": then, "description": why, "source": "data"}
        yield Implication.model_validate(plain)
