"""Equally likely codes that are equally far apart, for each state of a column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Some of each state's codes, equally likely: `count` of them from `first` on, `step` apart.

    `chance` is the share of the state's patients whose codes are of this lattice; 0 where a state has none.
    """

    first: Codes
    step: Codes
    count: Codes
    chance: Floats

    def between(self, low: Codes | int, high: Codes | int) -> Floats:
        """The chance of each state's codes from `low` to `high`, which broadcast against the states."""
        begin = np.maximum(-((self.first - low) // self.step), 0)
        end = np.minimum((high - self.first) // self.step, self.count - 1)
        return np.asarray(self.chance * np.maximum(end - begin + 1, 0) / self.count)

    def at(self, state: Codes, codes: Codes) -> Floats:
        """The chance of each code in its state."""
        place, beside = np.divmod(codes - self.first[state], self.step[state])
        held = (beside == 0) & (place >= 0) & (place < self.count[state])
        return np.where(held, self.chance[state] / self.count[state], 0.0)

    def draw(self, state: Codes, allowed: CodeSet | None, rng: np.random.Generator) -> Codes:
        """A code of each state's, inside the set where the state has some there."""
        first, step, count = self.first[state], self.step[state], self.count[state]
        codes = first + step * rng.integers(0, count)
        if allowed is None or not allowed.intervals:
            return np.asarray(codes, np.int64)
        some = sum(self.between(low, high) for low, high in allowed.intervals)
        wide = np.flatnonzero((count > 1) & (np.asarray(some)[state] > 0))
        for s in np.unique(state[wide]):
            rows = wide[state[wide] == s]
            codes[rows] = self._within(int(s), allowed, rng.random(len(rows)))
        return np.asarray(codes, np.int64)

    def _within(self, state: int, allowed: CodeSet, quantiles: Floats) -> Codes:
        first, step, last = int(self.first[state]), int(self.step[state]), int(self.count[state]) - 1
        pieces = [
            (max(0, -((first - low) // step)), min(last, (high - first) // step))
            for low, high in allowed.intervals
        ]
        pieces = [(a, b) for a, b in pieces if a <= b]
        starts = np.array([a for a, _ in pieces], np.int64)
        counts = np.array([b - a + 1 for a, b in pieces], np.int64)
        before = np.cumsum(counts) - counts
        position = np.minimum((quantiles * counts.sum()).astype(np.int64), counts.sum() - 1)
        piece = np.searchsorted(before, position, side="right") - 1
        return np.asarray(first + step * (starts[piece] + position - before[piece]), np.int64)
