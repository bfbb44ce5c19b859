"""Merges categories that fewer than 11 patients hold, so that a word does not point at a patient.

An ordered category goes to its neighbour, a hierarchical code to its ancestor, any other to "other"; where
"other" itself would be too small it becomes missing, if enough others are missing already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ehrsynth.errors import ReleaseBlocked
from ehrsynth.schema import CategoryColumn, CodeColumn, LearntColumn
from ehrsynth.tables.evidence import FEW
from ehrsynth.tables.grids import Floats

OTHER = "other"
_OTHERS = frozenset(
    {
        "other",
        "others",
        "oth",
        "otr",
        "sonstige",
        "sonstiges",
        "andere",
        "autre",
        "autres",
        "otro",
        "otros",
        "altro",
    }
)
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Merge:
    """New words for a column's values.

    Attributes
    ----------
    column
        The column's name.
    words
        Every value to the word that replaces it, which may be itself; None for missing.
    values
        The values afterwards, in order.
    said
        What is done, in words.
    """

    column: str
    words: Mapping[str, str | None]
    values: tuple[str, ...]
    said: str


def merge_rare(columns: Mapping[str, LearntColumn], values: Mapping[str, Floats]) -> Iterator[Merge]:
    """The merges that leave no category or code with 1 to 10 patients.

    Parameters
    ----------
    columns, values
        Declarations and, in expression space, values, by column name.

    Raises
    ------
    ReleaseBlocked
        If all patients of a column together are too few; every such column is listed.
    """
    listed = {n: c for n, c in columns.items() if isinstance(c, CategoryColumn | CodeColumn)}
    merges: list[Merge] = []
    problems = []
    for name, column in listed.items():
        counts = _counts(column, values[name])
        if not _rare(counts):
            continue
        merge = _merge(column, counts, absent=int(np.isnan(values[name]).sum()))
        if merge is None:
            problems.append(
                f"column {name!r}: all its patients together are fewer than {FEW}: leave the column out"
            )
        else:
            merges.append(merge)
    if problems:
        raise ReleaseBlocked("categories of too few patients cannot be merged", problems)
    return iter(merges)


def _counts(column: CategoryColumn | CodeColumn, values: Floats) -> Counts:
    places = values[~np.isnan(values)].astype(np.int64)
    counts = np.bincount(places, minlength=len(column.values))
    return dict(zip(column.values, counts.tolist(), strict=True))


def _rare(counts: Counts) -> list[str]:
    return [word for word, count in counts.items() if 0 < count < FEW]


def _merge(column: CategoryColumn | CodeColumn, counts: Counts, *, absent: int) -> Merge | None:
    if sum(counts.values()) < FEW:
        return None
    words: Mapping[str, str | None]
    if isinstance(column, CategoryColumn) and column.ordered:
        words, how = _to_neighbours(counts), "merged into their neighbours"
    elif isinstance(column, CodeColumn):
        words, how = _to_ancestors(column, counts), "merged into their ancestors or 'other'"
    elif column.missing and _stay_few(counts) and absent + sum(counts[w] for w in _rare(counts)) >= FEW:
        words, how = {w: None if w in _rare(counts) else w for w in counts}, "made missing"
    else:
        words, how = _to_other(counts), "merged into 'other'"
    kept = tuple(dict.fromkeys(w for w in words.values() if w is not None))
    gone = sum(new != old for old, new in words.items())
    why = f"because some are held by fewer than {FEW} patients"
    return Merge(column.name, words, kept, f"{column.name}: {gone} of {len(words)} values were {how}, {why}")


def _to_neighbours(counts: Counts) -> dict[str, str]:
    """Join the rarest held value with the rarer of the two held values beside it, until none is rare."""
    groups: list[tuple[list[str], int]] = [([word], count) for word, count in counts.items()]
    while rare := [i for i, (_, count) in enumerate(groups) if 0 < count < FEW]:
        place = min(rare, key=lambda i: groups[i][1])
        below = next((i for i in range(place - 1, -1, -1) if groups[i][1]), None)
        above = next((i for i in range(place + 1, len(groups)) if groups[i][1]), None)
        beside = min((i for i in (below, above) if i is not None), key=lambda i: groups[i][1])
        first, last = sorted((place, beside))
        joined = [w for words, _ in groups[first : last + 1] for w in words]
        total = sum(count for _, count in groups[first : last + 1])
        groups[first : last + 1] = [(joined, total)]
    # A group is called by its most frequent word.
    return {w: max(words, key=lambda each: counts[each]) for words, _ in groups for w in words}


def _stay_few(counts: Counts) -> bool:
    """Whether "other" would have fewer than 11 patients, so that a value of many would have to join it."""
    gone = {*_rare(counts), *(w for w in counts if w.casefold() in _OTHERS)}
    return sum(counts[w] for w in gone) < FEW


def _to_other(counts: Counts) -> dict[str, str]:
    other = next((w for w in counts if w.casefold() in _OTHERS), None)
    name = other if other is not None else _unused(counts)
    gone = {*_rare(counts), *([other] if other is not None else [])}
    rest = sorted((w for w in counts if counts[w] and w not in gone), key=lambda w: counts[w])
    while sum(counts[w] for w in gone) < FEW and rest:
        gone.add(rest.pop(0))
    words = {w: name if w in gone else w for w in counts}
    # The other words keep their places, and a new one comes last.
    return dict(sorted(words.items(), key=lambda pair: pair[1] == name and other is None))


def _unused(counts: Counts) -> str:
    name = OTHER
    while name in counts:
        name = f"{name}_"
    return name


def _to_ancestors(column: CodeColumn, counts: Counts) -> dict[str, str]:
    words = {w: w for w in counts}
    for length in sorted(column.prefix_lengths, reverse=True):
        current = _summed(words, counts)
        rare = set(_rare(current))
        words = {w: _ancestor(now, length) if now in rare else now for w, now in words.items()}
    others = _to_other(_summed(words, counts)) if _rare(_summed(words, counts)) else {}
    return {w: others.get(now, now) for w, now in words.items()}


def _summed(words: Mapping[str, str], counts: Counts) -> Counts:
    summed: Counts = {}
    for word, now in words.items():
        summed[now] = summed.get(now, 0) + counts[word]
    return summed


def _ancestor(code: str, length: int) -> str:
    """The first `length` characters of a code, dots not counted.

    >>> _ancestor("410.11", 3), _ancestor("410.11", 4), _ancestor("A1", 3)
    ('410', '410.1', 'A1')
    """
    seen = 0
    for place, letter in enumerate(code):
        seen += letter != "."
        if seen == length:
            return code[: place + 1]
    return code
