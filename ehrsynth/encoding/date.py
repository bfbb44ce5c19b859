"""Days."""

from collections.abc import Iterator
from itertools import repeat

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.schema import DateColumn

WEEKS = 7 * 28


class DateEncoding(AbstractEncoding[DateColumn]):
    """The code counts days from the minimum; large grids in digits of 28 weeks, which keep the weekday."""

    def radices(self) -> Iterator[int]:
        """28 weeks, again and again."""
        return repeat(WEEKS)
