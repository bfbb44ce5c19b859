"""A moment as the time since an earlier one: a discharge is so many days after the admission.

Trees see an earlier date coarsely, a cell of weeks in a table of years: a stay of days that is drawn as a
date is scattered over months. Where the time between two dates says more than the later date by itself,
the link learns that time, and later links see it. The same is done for numbers that a rule puts in order,
such as the ages at two events.

A link counts such a column in codes of its own: the time elapsed, or where the earlier one is missing the
date itself, beyond all times. In one row these codes are the column's own, shifted: which times lead into a
set of dates follows from the earlier date.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.echo import comparable
from ehrsynth.schema import DateColumn, DatetimeColumn, LearntColumn, Schema
from ehrsynth.tables.grids import MISSING, Grid
from ehrsynth.tables.times import SECONDS_A_DAY, time_lies_between

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST = 50  # patients who have both
_BINS = 64  # the times and the dates are compared in bins of one width: so many hold most of the dates
# Bits that the time elapsed must spare; more of numbers, of which other columns tell more than of dates.
_LEAST_GAIN, _LEAST_OF_NUMBERS = 0.5, 1.0
_LOOKED_AT = 5_000
_MOST_TICKS = 2**61  # times of longer spans than this do not fit into 64 bits


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
            if _fits(schema, place, other):
                how = elapsed_between(schema, place, other)
                echoes = comparable(schema.learnt[place], schema.learnt[other])
                gain, both = _gain(how, codes[:, place], codes[:, other], echoes=echoes)
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
    grid, seconds = encoding(column).grid, SECONDS_A_DAY if isinstance(column, DateColumn) else 1
    return Fraction(grid.step * seconds, grid.scale)


def _fits(schema: Schema, place: int, other: int) -> bool:
    """Whether one may be counted from the other, in whole numbers that a computer has."""
    one, two = schema.learnt[place], schema.learnt[other]
    if not time_lies_between(schema, one, two):
        return False
    unit, earlier = _tick(two) / _tick(one), encoding(two).grid
    ticks = (abs(earlier.origin) + earlier.size) * unit.numerator
    return ticks < _MOST_TICKS and encoding(one).grid.size + ticks // unit.denominator < _MOST_TICKS


def _gain(how: Elapsed, codes: Codes, origins: Codes, *, echoes: bool) -> tuple[float, float]:
    """How many bits fewer the time elapsed takes than the later code, and the share of patients with both.

    Where one may be an echo of the other, only of patients with some time between the two: equal numbers
    would let any number that often repeats another seem to be near it. A date is no echo of a moment, and
    may be the day of it in every patient. Minus infinity for too few patients.
    """
    both = (codes >= 0) & (origins >= 0)
    apart = np.flatnonzero(both & how.apart(codes, origins) if echoes else both)
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
