"""What a schema is guessed from: the distinct words of one column, with how many rows hold each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.schema import Column, LeftOut

# Fewer patients than this make a group in which one can be recognised (the usual threshold of health
# statistics offices: counts of 1 to 10 are not published).
FEW = 11
MISSING_WORDS = frozenset(
    {"na", "n/a", "#n/a", "<na>", "n.a.", "nan", "null", "?", ".", "-", "--", "missing", "nat"}
)
# These may as well be answers: they mean missing only among numbers and dates.
DOUBTFUL_WORDS = frozenset(
    {"none", "unknown", "unk", "not done", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"}
)
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NAMED_AT_MOST = 6
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", re.ASCII)
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The words of one column that do not mean missing.

    Attributes
    ----------
    name
        The column's name.
    words
        Distinct words, without outer spaces.
    counts
        Rows that hold each word.
    places
        For each row the place of its word in `words`; -1 where it holds none.
    codes
        Words that were taken as missing codes, besides the empty field.
    commas
        Whether a comma was read as a decimal point.
    """

    name: str
    words: tuple[str, ...]
    counts: Places
    places: Places
    codes: tuple[str, ...] = ()
    commas: bool = False

    @property
    def present(self) -> int:
        """Rows that hold any word."""
        return int(self.counts.sum())

    @property
    def missing(self) -> bool:
        """Whether some row holds none."""
        return self.present < len(self.places)

    @property
    def unique(self) -> bool:
        """Whether no word stands twice."""
        return len(self.words) == self.present

    def without(self, codes: Sequence[str]) -> "Evidence":
        """The same with more words taken as missing codes."""
        if not codes:
            return self
        gone = self._are(codes)
        renumber = np.append(np.where(gone, -1, np.cumsum(~gone) - 1), -1)
        words = tuple(w for w, out in zip(self.words, gone, strict=True) if not out)
        every_code = (*self.codes, *(c for c in codes if c))
        return Evidence(self.name, words, self.counts[~gone], renumber[self.places], every_code, self.commas)

    def absent(self, codes: Sequence[str]) -> NDArray[np.bool_]:
        """Which rows hold no word, if these codes mean missing."""
        missing: NDArray[np.bool_] = np.append(self._are(codes), np.True_)[self.places]
        return missing

    def doubtful(self) -> tuple[str, ...]:
        """Words that mean missing if the others are numbers or dates."""
        return tuple(w for w in self.words if w.casefold() in DOUBTFUL_WORDS)

    def _are(self, codes: Sequence[str]) -> NDArray[np.bool_]:
        asked = set(codes)
        return np.array([w in asked for w in self.words], np.bool_)


@dataclass(frozen=True, slots=True)
class Guess:
    """A column's proposed declaration, or why it is left out, and the reasons in words."""

    column: Column | LeftOut
    reasons: tuple[str, ...] = ()


def evidence(name: str, series: "pd.Series[Any]", *, decimal_comma: bool = False) -> Evidence:
    """The evidence of a raw column.

    Parameters
    ----------
    series
        Strings, "" or a null where the field is empty.
    decimal_comma
        A comma may be a decimal point (see `ehrsynth.tables.parsing.parse_words`).
    """
    codes, distinct = pd.factorize(series.to_numpy(object), use_na_sentinel=True)
    bare = [str(word).strip() for word in distinct]
    # A point in a word that is no number says nothing of commas: k.A. is a missing code.
    points = any("." in word and NUMBER.fullmatch(word) for word in bare)
    commas = decimal_comma and any(map(_COMMA_NUMBER.fullmatch, bare)) and not points
    if commas:
        bare = [w.replace(",", ".") if _COMMA_NUMBER.fullmatch(w) else w for w in bare]
    places = {word: place for place, word in enumerate(dict.fromkeys(bare))}
    # Words that differ in outer spaces only are one; the last place is that of nulls.
    rows = np.array([*(places[word] for word in bare), -1], np.int64)[codes]
    counts = np.bincount(rows[rows >= 0], minlength=len(places)).astype(np.int64)
    found = Evidence(name, tuple(places), counts, rows, commas=commas)
    return found.without([w for w in found.words if not w or w.casefold() in MISSING_WORDS])


def shared(found: Evidence) -> dict[str, Any]:
    """The fields that every kind of column has."""
    return {
        "name": found.name,
        "missing": found.missing,
        "missing_codes": found.codes,
        "source": "data",
    }


def code_reason(codes: Sequence[str]) -> tuple[str, ...]:
    """The comment about missing codes, if there are any."""
    if not codes:
        return ()
    listed = ", ".join(repr(code) for code in codes[:_NAMED_AT_MOST])
    return (f"taken as missing: {listed}{', ...' if len(codes) > _NAMED_AT_MOST else ''}",)


def spread(rows: int, most: int) -> Places:
    """Places of at most so many rows, spread over all: what fails there need not be tried on the rest."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


def few(count: int) -> str:
    """A number of patients that is not printed when it is small.

    >>> few(3), few(11), few(0)
    ('fewer than 11', '11', '0')
    """
    return f"fewer than {FEW}" if 0 < count < FEW else f"{count:,}"
