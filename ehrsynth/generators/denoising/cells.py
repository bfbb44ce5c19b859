"""A table as what is diffused: a word for each column that has words, a normal score for each number.

Words and the ranges of numbers are those of `plain`: missing, zeros and frequent values are words, so that
missing is diffused as any other word. The scores run through `scale`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.denoising.scale import FARTHEST, Scale
from ehrsynth.generators.filling import fill
from ehrsynth.generators.marginals import Marginal, pack, unpack
from ehrsynth.generators.plain import (
    SPAN,
    PlainColumn,
    PlainRows,
    from_rows,
    learn_columns,
    pack_columns,
    unpack_columns,
)
from ehrsynth.generators.ties import own_codes
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Patients as words (n x words) and stretches of 0 to 1 (n x numbers): where each begins, how wide."""

    words: Codes
    start: Floats
    width: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a box of a condition allows: for each word column which words, for each number a range of scores.

    `box` is the box by place, for the exact last step.
    """

    words: tuple[NDArray[np.bool_], ...]
    low: Floats
    high: Floats
    box: Mapping[int, CodeSet]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The learnt columns as words and numbers, and the scale of each number by its column's place."""

    columns: tuple[PlainColumn, ...]
    scales: Mapping[int, Scale]

    @property
    def word_places(self) -> list[int]:
        """The places of the columns that have words."""
        return [p for p, c in enumerate(self.columns) if c.has_words]

    @property
    def sizes(self) -> list[int]:
        """How many words each of these has."""
        return [len(self.columns[p].shares) for p in self.word_places]

    @property
    def number_places(self) -> list[int]:
        """The places of the columns that have numbers."""
        return list(self.scales)

    @property
    def is_empty(self) -> bool:
        """Whether every column is a constant."""
        return not self.word_places and not self.scales

    def encode(self, codes: Codes, rng: np.random.Generator) -> Encoded:
        """Patients as what is diffused; a number that is not there gets what `filling` puts there."""
        all_words = [c.words(codes[:, p]) for p, c in enumerate(self.columns)]
        words = [all_words[p] for p in self.word_places]
        shape = (len(codes), len(self.scales))
        start, width, gaps = np.full(shape, 0.5), np.zeros(shape), np.zeros(shape, bool)
        for at, (place, scale) in enumerate(self.scales.items()):
            there = (codes[:, place] >= 0) & (all_words[place] >= len(self.columns[place].levels))
            start[there, at], width[there, at] = scale.stretch(codes[there, place])
            gaps[~there, at] = True
        middle = np.clip(ndtri(np.clip(start + width / 2, 0, 1)), -FARTHEST, FARTHEST)
        filled = fill(middle, gaps, rng) if gaps.any() else middle
        start = np.where(gaps, ndtr(filled), start)
        stacked = np.column_stack(words) if words else np.empty((len(codes), 0), np.int64)
        return Encoded(stacked, start, width)

    def decode(
        self, words: Codes, scores: Floats, rng: np.random.Generator, box: Mapping[int, CodeSet]
    ) -> Codes:
        """The codes of diffused rows, each column of a box inside its set wherever its word allows it."""
        found = {p: words[:, at] for at, p in enumerate(self.word_places)}
        numbers = {}
        for at, (place, scale) in enumerate(self.scales.items()):
            column, allowed = self.columns[place], box.get(place)
            codes = scale.codes(np.nan_to_num(scores[:, at]), allowed, rng)
            numbers[place] = (codes - column.low) / (column.high - column.low) * SPAN
        return from_rows(PlainRows(len(words), found, numbers), self.columns, rng, allowed=box)

    def given(self, box: Mapping[int, CodeSet]) -> Given | None:
        """A box by place as words and ranges, or None where the model knows no such patient."""
        allowed = [np.ones(size, bool) for size in self.sizes]
        low, high = np.full(len(self.scales), -np.inf), np.full(len(self.scales), np.inf)
        for place, codes in box.items():
            column, reach = self.columns[place], None
            possible = column.masses(codes) > 0
            if place in self.scales:
                reach = self.scales[place].reach(codes)
                possible[-1] &= reach is not None
            if not possible.any():
                return None
            if column.has_words:
                allowed[self.word_places.index(place)] = possible
            if reach is not None:
                at = self.number_places.index(place)
                low[at], high[at] = reach
        return Given(tuple(allowed), low, high, box)


def learn_cells(codes: Codes, schema: Schema, most_words: int) -> Cells:
    """How a table becomes words and numbers."""
    columns, scales = learn_columns(codes, schema, most_words), {}
    for place, (column, own) in enumerate(zip(columns, own_codes(codes, schema), strict=True)):
        if column.has_number:
            others = own[~np.isin(own, column.levels) & (own >= 0)]
            scales[place] = Scale(_within(column, States.learn(others, column.size, listed=False)))
    return Cells(columns, scales)


def _within(column: PlainColumn, states: States) -> States:
    """The states inside the column's common range: what lies beyond is drawn in to it."""
    low, high = (np.clip(ends, column.low, column.high) for ends in (states.low, states.high))
    return States.of(Marginal(low, high, states.share / states.share.sum(), 0.0))


def pack_cells(cells: Cells) -> dict[str, NDArray[Any]]:
    """Cells as flat arrays, for a model's folder."""
    states = [scale.states for scale in cells.scales.values()]
    packed = pack([Marginal(s.low, s.high, s.share, 0.0) for s in states])
    scales = {f"scales.{name.removeprefix('marginals.')}": array for name, array in packed.items()}
    return pack_columns(cells.columns) | scales


def unpack_cells(arrays: Mapping[str, NDArray[Any]], schema: Schema) -> Cells:
    """The cells that `pack_cells` made.

    Raises
    ------
    ModelError
        If they do not fit the schema.
    """
    columns = unpack_columns(arrays, schema)
    places = [p for p, c in enumerate(columns) if c.has_number]
    named = {
        f"marginals.{k.removeprefix('scales.')}": a for k, a in arrays.items() if k.startswith("scales.")
    }
    marginals = unpack(named, [columns[p].size for p in places])
    return Cells(columns, {p: _scale(columns[p], m) for p, m in zip(places, marginals, strict=True)})


def _scale(column: PlainColumn, marginal: Marginal) -> Scale:
    states = States.of(marginal)
    if not len(states) or states.is_missing.any():
        message = "a number's states are none of its column: the model is damaged"
        raise ModelError(message)
    return Scale(states.checked(column.size))
