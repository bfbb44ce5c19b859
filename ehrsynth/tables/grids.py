"""The finite grid that a column's schema spans, in expression space.

Every learnt kind is one run of whole numbers, divided by a power of ten (or, for moments that are written
to the minute, multiplied by 60): the value at code `c` is ``(origin + c) * step / scale``. Expression space
is what conditions and constraints compute in: the number itself, the position of a word in its list, days
or seconds since 1970-01-01.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.schema import (
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

MISSING = -1
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - tables hold moments without a time zone
# A decimal read by a careless parser is off by an ulp or so; neighbours on a grid are at least four apart.
_SLACK_IN_ULPS = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """The values ``tick * step / scale`` for `size` ticks from `origin` on; codes run from 0."""

    origin: int
    scale: int
    size: int
    step: int = 1

    @property
    def low(self) -> float:
        """The smallest value."""
        return self.value(0)

    @property
    def high(self) -> float:
        """The largest value."""
        return self.value(self.size - 1)

    def value(self, code: int) -> float:
        """The value at one code; codes beyond the grid are counted on."""
        return (self.origin + code) * self.step / self.scale

    def values(self, codes: Codes) -> Floats:
        """The value at each code; NaN where the code is negative (missing)."""
        values: Floats = (codes + self.origin) * self.step / self.scale
        values[codes < 0] = np.nan
        return values

    def codes(self, values: Floats) -> Codes:
        """The code of the grid point nearest to each value, within the bounds; -1 for NaN."""
        missing = np.isnan(values)
        ticks = np.rint(np.where(missing, self.low, values) * self.scale / self.step)
        ticks = np.clip(ticks, self.origin, self.origin + self.size - 1)
        codes: Codes = ticks.astype(np.int64) - self.origin
        codes[missing] = MISSING
        return codes

    def snap(self, values: Floats) -> Floats:
        """Each value's nearest grid point, bounds ignored; NaN and infinities stay."""
        snapped: Floats = np.rint(values * self.scale / self.step) * self.step / self.scale
        return snapped

    def contains(self, values: Floats) -> Mask:
        """Whether each value is a grid point; NaN is none."""
        inside = (values >= self.low) & (values <= self.high)
        if self.scale == 1 and self.step == 1:
            on_grid: Mask = inside & (np.rint(values) == values)
            return on_grid
        ticks = np.where(inside, values, 0.0) * self.scale / self.step
        slack = _SLACK_IN_ULPS * np.spacing(np.abs(ticks))
        near: Mask = inside & (np.abs(np.rint(ticks) - ticks) <= slack)
        return near


def grid(column: LearntColumn) -> Grid:
    """The grid of one column, from its schema alone."""
    match column:
        case IntegerColumn():
            return Grid(column.minimum, 1, column.size)
        case NumberColumn() | DurationColumn():
            scale = 10**column.decimals
            return Grid(round(column.minimum * scale), scale, column.size)
        case DateColumn():
            return Grid(column.minimum.toordinal() - _EPOCH.toordinal(), 1, column.size)
        case DatetimeColumn():
            return Grid(column.first, 1, column.size, column.step)
        case _:
            return Grid(0, 1, column.size)
