"""A moment as the time since an earlier one: a discharge is so many days after the admission.

Trees see an earlier date coarsely, a cell of weeks in a table of years: a stay of days that is drawn as a
date is scattered over months. Where the time between two dates says more than the later date by itself,
the link learns that time, and later links see it. The same is done for numbers that a rule puts in order,
such as the ages at two events.

A link counts such a column in codes of its own: the time elapsed, or where the earlier one is missing the
date itself, beyond all times. In one row these codes are the column's own, shifted: which times lead into a
set of dates follows from the earlier date.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.link import Link
from ehrsynth.schema import DateColumn, DatetimeColumn, Inequality, LearntColumn, Schema
from ehrsynth.tables.grids import MISSING, Grid

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST = 50  # patients who have both
_BINS = 64  # the times and the dates are compared in bins of one width: so many hold most of the dates
# Bits that the time elapsed must spare; more of numbers, of which other columns tell more than of dates.
_LEAST_GAIN, _LEAST_OF_NUMBERS = 0.5, 1.0
_LOOKED_AT = 5_000
_SECONDS_A_DAY = 86_400
_MOST_TICKS = 2**61  # times of longer spans than this do not fit into 64 bits
_AT_ONCE = 4_000_000  # cells, rows times states, that are weighed at a time


@dataclass(frozen=True, slots=True)
class Elapsed:
    """How a column on grid `own` is counted from the learnt column at place `origin`, on `earlier`.

    A tick of the earlier grid is `unit` of the column's own. Parts of a tick are left out: a date is counted
    from the day of a moment.
    """

    origin: int
    own: Grid
    earlier: Grid
    unit: Fraction = Fraction(1)

    @property
    def border(self) -> int:
        """From here on codes are dates and no times: the number of times that the two grids allow."""
        first, last = self._begins(np.array([0, self.earlier.size - 1]))
        return self.own.size + int(last - first)

    @property
    def size(self) -> int:
        """The number of codes that a link tells apart."""
        return self.border + self.own.size

    def _begins(self, origins: Codes) -> Codes:
        """The earlier moments in ticks of the column's own grid."""
        ticks = (self.earlier.origin + origins) * self.unit.numerator
        return np.asarray(ticks // self.unit.denominator, np.int64)

    def shifts(self, origins: Codes) -> Codes:
        """How much larger the link's codes are than the column's own, given the codes of the earlier one."""
        last = self._begins(np.array([self.earlier.size - 1]))
        return np.where(origins < 0, self.border, last - self._begins(origins))

    def counted(self, codes: Codes, origins: Codes) -> Codes:
        """The link's codes of a column's codes (n, -1 for missing), given the codes of the earlier one."""
        return np.where(codes < 0, MISSING, codes + self.shifts(origins))

    def origins(self, low: Codes, high: Codes, times: tuple[int, int]) -> tuple[Codes, Codes]:
        """The first and the last earlier code from which a date from `low` to `high` is counted.

        `times` are the least and the largest of the link's codes that are times; the first is above the last
        where there is none.
        """
        end = self._begins(np.array([self.earlier.size - 1]))
        first, last = end - times[1] + low, end - times[0] + high
        up, down = self.unit.denominator, self.unit.numerator
        first, last = -(-first * up // down), ((last + 1) * up - 1) // down
        top = self.earlier.size - 1
        return np.maximum(first - self.earlier.origin, 0), np.minimum(last - self.earlier.origin, top)

    def apart(self, codes: Codes, origins: Codes) -> Mask:
        """Where any time lies between the two."""
        return np.asarray(codes + self.own.origin != self._begins(origins))

    def dated(self, counted: Codes, origins: Codes) -> tuple[Codes, Mask]:
        """The column's codes of a link's codes, put on its grid, and which of them lay beyond it."""
        codes, present = counted - self.shifts(origins), counted >= 0
        beyond: Mask = present & ((codes < 0) | (codes >= self.own.size))
        return np.where(present, np.clip(codes, 0, self.own.size - 1), MISSING), beyond


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


def counted_codes(codes: Codes, order: Sequence[int], elapsed: Mapping[int, Elapsed]) -> Codes:
    """The columns in a chain's order, n x columns, in the codes that the links count them in."""
    found = codes[:, list(order)]
    for step, column in elapsed.items():
        found[:, step] = column.counted(found[:, step], codes[:, column.origin])
    return found


def find_elapsed(schema: Schema, codes: Codes, order: Sequence[int]) -> dict[int, Elapsed]:
    """The steps of a chain whose column is better counted from an earlier one, and how.

    Parameters
    ----------
    codes
        n x learnt columns.
    order
        The places of the learnt columns in the chain.
    """
    found = {}
    for step, place in enumerate(order):
        gains = {}
        for other in order[:step]:
            if _ordered(schema, place, other):
                how = elapsed_between(schema, place, other)
                gain, both = _gain(how, codes[:, place], codes[:, other])
                dated = isinstance(schema.learnt[place], DateColumn | DatetimeColumn)
                if gain >= (_LEAST_GAIN if dated else _LEAST_OF_NUMBERS):
                    # An origin that most do not have spares little, though it says much of those who do.
                    gains[other] = gain * both
        if gains:
            best = max(gains, key=lambda other: gains[other])
            found[step] = elapsed_between(schema, place, best)
    return found


def elapsed_between(schema: Schema, place: int, origin: int) -> Elapsed:
    """How the learnt column at one place is counted from the one at another."""
    own, earlier = (schema.learnt[p] for p in (place, origin))
    return Elapsed(origin, encoding(own).grid, encoding(earlier).grid, _tick(earlier) / _tick(own))


def _tick(column: LearntColumn) -> Fraction:
    """How long a tick of the column's grid is, for moments in seconds."""
    grid, seconds = encoding(column).grid, _SECONDS_A_DAY if isinstance(column, DateColumn) else 1
    return Fraction(grid.step * seconds, grid.scale)


def _ordered(schema: Schema, place: int, other: int) -> bool:
    """Whether one may be counted from the other: dates, or numbers in an order."""
    columns = one, two = schema.learnt[place], schema.learnt[other]
    if not all(encoding(column).numeric for column in columns):
        return False
    moments = [isinstance(column, DateColumn | DatetimeColumn) for column in columns]
    ruled = any(
        {r.low, r.high} == {one.name, two.name} for r in schema.constraints if isinstance(r, Inequality)
    )
    if not all(moments) and (any(moments) or not ruled):
        return False
    unit, earlier = _tick(two) / _tick(one), encoding(two).grid
    ticks = (abs(earlier.origin) + earlier.size) * unit.numerator
    return ticks < _MOST_TICKS and encoding(one).grid.size + ticks // unit.denominator < _MOST_TICKS


def _gain(how: Elapsed, codes: Codes, origins: Codes) -> tuple[float, float]:
    """How many bits fewer the time elapsed takes than the later code, and the share of patients with both.

    Only of patients with some time between the two: equal numbers are an echo, and would let any number that
    often repeats another seem to be near it. Minus infinity for too few patients.
    """
    both = (codes >= 0) & (origins >= 0)
    apart = np.flatnonzero(both & how.apart(codes, origins))
    if len(apart) < FEWEST:
        return -np.inf, 0.0
    looked = apart[:: max(1, len(apart) // _LOOKED_AT)]
    own, elapsed = codes[looked], how.counted(codes[looked], origins[looked])
    low, high = np.quantile(own, [0.05, 0.95])
    width = max(1, int(high - low) // _BINS)
    return _bits(own // width) - _bits(elapsed // width), float(both.mean())


def _bits(bins: Codes) -> float:
    share = np.unique(bins, return_counts=True)[1] / len(bins)
    return float(-(share * np.log2(share)).sum())
