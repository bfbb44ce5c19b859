"""Which columns are missing because of what another one says: no day of death for whom is alive.

A generator learns such a relation nearly; the rule makes it exact, and tells a filler of gaps that a blank
may be the answer. Rows that few patients are in decide nothing, and chance is ruled out.
"""

from collections.abc import Iterator, Sequence
from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.expressions import quoted
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    Constraint,
    IdentifierColumn,
    Implication,
    IntegerColumn,
    LeftOut,
)
from ehrsynth.tables.evidence import FEW, Evidence, Guess, spread

Flags = NDArray[np.bool_]
_MOST_WORDS = 20  # of a column that may be a cause
_FIRST = 2_000  # rows of the first look
_CHANCE = 1e-6  # that unrelated columns agree so somewhere in the table


class _Cause(NamedTuple):
    """A column of few words: which rows hold which."""

    name: str
    words: tuple[str, ...]
    places: NDArray[np.int64]
    counts: bool  # a number: that a few of its values are never with another column is no rule


class _Found(NamedTuple):
    """The words of a cause with which a column is always missing, and with which never."""

    cause: _Cause
    gone: tuple[int, ...]
    kept: tuple[int, ...]
    whole: bool  # every word is one or the other
    rows: int


def guess_missing(guesses: Sequence[Guess], found: Sequence[Evidence]) -> list[Constraint]:
    """For each column the column that says best where it is missing, as one implication or two.

    Columns that are missing in exactly the same rows are spoken for by their first.

    Parameters
    ----------
    guesses, found
        What is proposed for each column so far, and from what.
    """
    causes = [cause for guess, each in zip(guesses, found, strict=True) if (cause := _cause(guess, each))]
    effects: dict[bytes, tuple[list[str], Flags]] = {}
    for guess, each in zip(guesses, found, strict=True):
        if isinstance(guess.column, LeftOut | IdentifierColumn) or not guess.column.missing:
            continue
        absent = each.absent(guess.column.missing_codes)
        if min(absent.sum(), (~absent).sum()) >= FEW:
            effects.setdefault(absent.tobytes(), ([], absent))[0].append(guess.column.name)
    pairs = max(1, len(causes) * len(effects))
    return [
        rule
        for names, absent in effects.values()
        if (best := _best(absent, [c for c in causes if c.name not in names], pairs))
        for rule in _rules(names[0], best)
    ]


def _cause(guess: Guess, each: Evidence) -> _Cause | None:
    column = guess.column
    if isinstance(column, IdentifierColumn) or not isinstance(
        column, BooleanColumn | CategoryColumn | IntegerColumn
    ):
        return None
    known = each.without(column.missing_codes)
    if not 2 <= len(known.words) <= _MOST_WORDS:  # noqa: PLR2004 - one word says nothing
        return None
    if isinstance(column, IntegerColumn):
        words = known.words
    else:
        allowed = column.values if isinstance(column, CategoryColumn) else (column.true, column.false)
        if not set(known.words) <= set(allowed):
            return None
        words = tuple(map(_text, known.words))
    return _Cause(column.name, words, known.places, isinstance(column, IntegerColumn))


def _text(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _best(absent: Flags, causes: Sequence[_Cause], pairs: int) -> _Found | None:
    """Who says of every row comes before who says of some; then who says of more, in fewer words."""
    found = [one for cause in causes if (one := _look(absent, cause, pairs))]
    return max(found, key=lambda f: (f.whole, f.rows, -len(f.gone)), default=None)


def _look(absent: Flags, cause: _Cause, pairs: int) -> _Found | None:
    size = len(cause.words)
    # Most pairs are ruled out by few rows: every word that they hold is seen with a value.
    first = spread(len(absent), _FIRST)
    seen, there = cause.places[first], ~absent[first]
    if len(np.unique(seen[there & (seen >= 0)])) == size:
        return None
    rows = np.bincount(cause.places + 1, minlength=size + 1)[1:]
    blank = np.bincount((cause.places + 1)[absent], minlength=size + 1)[1:]
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
    if cause.counts and not whole:
        return None
    return _Found(
        cause, tuple(np.flatnonzero(gone)), tuple(np.flatnonzero(kept)) if whole else (), whole, away
    )


def _log_ways(among: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose some among others."""
    return lgamma(among + 1) - lgamma(chosen + 1) - lgamma(among - chosen + 1)


def _rules(column: str, found: _Found) -> Iterator[Implication]:
    missing = f"missing({quoted(column)})"
    for places, then, what in ((found.gone, missing, "missing"), (found.kept, f"not {missing}", "given")):
        if places:
            why = f"{what} in all these rows: check that this is a rule"
            plain = {"if": _is_one_of(found.cause, places), "then": then}
            yield Implication.model_validate({**plain, "description": why, "source": "data"})


def _is_one_of(cause: _Cause, places: Sequence[int]) -> str:
    words = sorted(cause.words[place] for place in places)
    name = quoted(cause.name)
    return f"{name} == {words[0]}" if len(words) == 1 else f"{name} in ({', '.join(words)})"
