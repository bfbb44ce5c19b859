"""Moments, as exact as the column's format: mostly to the second."""

from collections.abc import Iterator
from itertools import chain, repeat

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.encoding.date import WEEKS
from ehrsynth.schema import DatetimeColumn


class DatetimeEncoding(AbstractEncoding[DatetimeColumn]):
    """The code counts steps of the format from the minimum; large grids in seconds, minutes, hours, days."""

    def radices(self) -> Iterator[int]:
        """Seconds, minutes and hours where there are such, then days in digits of 28 weeks."""
        finer = {1: (60, 60, 24), 60: (60, 24), 3_600: (24,)}
        return chain(finer.get(self.column.step, ()), repeat(WEEKS))
