"""Moments, to the second."""

from collections.abc import Iterator
from itertools import chain, repeat

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.encoding.date import WEEKS
from ehrsynth.schema import DatetimeColumn


class DatetimeEncoding(AbstractEncoding[DatetimeColumn]):
    """The code counts seconds from the minimum; large grids in seconds, minutes, hours and days."""

    def radices(self) -> Iterator[int]:
        """Seconds, minutes, hours, then days in digits of 28 weeks."""
        return chain((60, 60, 24), repeat(WEEKS))
