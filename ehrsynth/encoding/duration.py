"""Lengths of time."""

from collections.abc import Iterator
from itertools import chain, repeat

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.schema import DurationColumn

_UP_TO_A_DAY = {"seconds": (60, 60, 24), "minutes": (60, 24), "hours": (24,), "days": (), "weeks": ()}


class DurationEncoding(AbstractEncoding[DurationColumn]):
    """The code counts steps of the last decimal from the minimum."""

    def radices(self) -> Iterator[int]:
        """Whole units: those of the clock up to a day, then hundreds; units with decimals: hundreds."""
        clock = () if self.column.decimals else _UP_TO_A_DAY[self.column.unit]
        return chain(clock, repeat(100))
