"""A link that counts its column from an earlier one: it draws and weighs dates, and learnt times.

Which times lead into a set of dates depends on the row. So the probability of every state is looked at: what
a set holds of it, and what leads beyond the column's grid, is then exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.chain.elapsed import Elapsed
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.link import Link
from ehrsynth.generators.chain.states import held_between
from ehrsynth.tables.grids import MISSING

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_AT_ONCE = 4_000_000  # cells, rows times states, that are weighed at a time


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The states of a link in some rows: what is meant by them is a date on the column's grid, or missing.

    Whether a date is missing does not depend on what lies beyond the grid: `missing` is the link's among
    missing and all that is counted as the row's dates are; present values are cut at the grid.
    """

    chance: Floats  # n x states
    shifts: Codes
    missing: Floats
    present: Floats  # the mass of the states, as far as they lead onto the grid


@dataclass(frozen=True, slots=True, eq=False)
class ElapsedLink:
    """A link that counts a column from an earlier one, for rows whose earlier one has the codes `origins`.

    It draws and weighs the column's own codes, as any link does. Times that lead beyond the column's grid are
    cut off its conditional.
    """

    link: Link
    elapsed: Elapsed
    origins: Codes

    def draw(
        self, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code for each row, inside a set, and the probability of the set (see `Link.draw`)."""
        if allowed is None or (allowed.covers(self.elapsed.own.size) and allowed.missing):
            return self._free(features, rng), np.ones(len(features))
        codes, mass = np.empty(len(features), np.int64), np.empty(len(features))
        for rows in self._pieces(len(features)):
            codes[rows], mass[rows] = self._within(rows, features, allowed, rng)
        return codes, mass

    def _free(self, features: Features, rng: np.random.Generator) -> Codes:
        """A code for each row from the link's own draw, and once more where it lies beyond the grid."""
        counted, border = np.empty(len(features), np.int64), self.elapsed.border
        apart = bool((self.link.states.low >= border).any())
        for dates, ends in ((False, (0, border - 1)), (True, (border, self.elapsed.size - 1))):
            at = np.flatnonzero((self.origins < 0) == dates)
            if len(at):
                kind = CodeSet((ends,), missing=True) if apart or dates else None
                counted[at], _ = self.link.draw(features[at], kind, rng)
        codes, beyond = self.elapsed.dated(counted, self.origins)
        present = CodeSet(((0, self.elapsed.own.size - 1),), missing=False)
        again = np.flatnonzero(beyond)
        for at in self._pieces(len(again)):
            drawn, mass = self._within(again[at], features, present, rng)
            codes[again[at]] = np.where(mass > 0, drawn, codes[again[at]])
        return codes

    def _within(
        self, rows: Codes, features: Features, allowed: CodeSet, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        weighed, n = self._weighed(rows, features), len(rows)
        steps = (weighed.chance * self._parts(weighed.shifts, allowed)).cumsum(axis=1)
        present = (1 - weighed.missing) * _ratio(steps[:, -1], weighed.present)
        mass = np.minimum(present + weighed.missing * allowed.missing, 1.0)
        state = (rng.random(n)[:, None] * steps[:, -1:] >= steps).sum(axis=1)
        state = np.minimum(state, len(self.link.states) - 1)
        low, high = self.link.states.low[state], self.link.states.high[state]
        codes = _inside(low - weighed.shifts, high - weighed.shifts, allowed, rng.random(n))
        gone = allowed.missing & (rng.random(n) * mass >= present)
        return np.where(gone, MISSING, codes), mass

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where no state holds it."""
        density, states = np.zeros(len(codes)), self.link.states
        for rows in self._pieces(len(codes)):
            weighed, own, inside = self._weighed(rows, features), codes[rows], np.zeros(len(rows))
            for state in states.holding(np.where(own < 0, MISSING, own + weighed.shifts)):
                chance = weighed.chance[np.arange(len(rows)), state] / states.width[state]
                inside += np.where(state >= 0, chance, 0.0)
            present = (1 - weighed.missing) * _ratio(inside, weighed.present)
            density[rows] = np.where(own < 0, weighed.missing, present)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(density))

    def mass(self, features: Features, low: Codes, high: Codes) -> Floats:
        """The probability of a present value from `low` to `high`, of each row (low > high for none)."""
        found = np.zeros(len(features))
        for rows in self._pieces(len(features)):
            weighed = self._weighed(rows, features)
            inside = held_between(self.link.states, low[rows] + weighed.shifts, high[rows] + weighed.shifts)
            share = _ratio((weighed.chance * inside).sum(axis=1), weighed.present)
            found[rows] = (1 - weighed.missing) * share
        return found

    def nearest(self, codes: Codes) -> Codes:
        """Each code, or the nearest that a state holds."""
        counted = self.link.nearest(self.elapsed.counted(codes, self.origins))
        found, beyond = self.elapsed.dated(counted, self.origins)
        return np.where(beyond, codes, found)

    def _weighed(self, rows: Codes, features: Features) -> _Weighed:
        states, origins = self.link.states, self.origins[rows]
        chance, shifts = self.link.spread(features[rows]), self.elapsed.shifts(origins)
        dates = states.low >= self.elapsed.border
        absent = chance[:, states.is_missing].sum(axis=1)
        as_dates = chance[:, dates].sum(axis=1)
        as_times = chance[:, ~dates & ~states.is_missing].sum(axis=1)
        kind = np.where(origins < 0, as_dates, as_times)
        everything = CodeSet(((0, self.elapsed.own.size - 1),), missing=False)
        present = (chance * self._parts(shifts, everything)).sum(axis=1)
        return _Weighed(chance, shifts, _ratio(absent, absent + kind), present)

    def _parts(self, shifts: Codes, allowed: CodeSet) -> Floats:
        """The share of each state's codes that lead into a set's present values, n x states."""
        states, found = self.link.states, np.zeros((len(shifts), len(self.link.states)))
        for low, high in allowed.intervals:
            first, last = (low + shifts)[:, None], (high + shifts)[:, None]
            found += np.maximum(np.minimum(states.high, last) - np.maximum(states.low, first) + 1, 0)
        return np.where(states.is_missing, 0.0, found / states.width)

    @property
    def _rows_at_once(self) -> int:
        return max(1, _AT_ONCE // len(self.link.states))

    def _pieces(self, n: int) -> Iterator[Codes]:
        for start in range(0, n, self._rows_at_once):
            yield np.arange(start, min(start + self._rows_at_once, n))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Part over whole, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _inside(low: Codes, high: Codes, allowed: CodeSet, quantiles: Floats) -> Codes:
    """The code at each quantile of what a set has from `low` to `high`; any of the set where it has none."""
    if not allowed.intervals:
        return np.zeros(len(low), np.int64)
    first, last = (np.array(ends, np.int64) for ends in zip(*allowed.intervals, strict=True))
    starts = np.maximum(low[:, None], first)
    counts = np.maximum(np.minimum(high[:, None], last) - starts + 1, 0)
    steps = counts.cumsum(axis=1)
    position = np.minimum((quantiles * steps[:, -1]).astype(np.int64), np.maximum(steps[:, -1] - 1, 0))
    at = np.minimum((position[:, None] >= steps).sum(axis=1), len(first) - 1)
    everyone = np.arange(len(low))
    found = starts[everyone, at] + position - (steps - counts)[everyone, at]
    return np.asarray(np.clip(found, first[0], last[-1]), np.int64)
