"""Decimal numbers."""

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.schema import NumberColumn


class NumberEncoding(AbstractEncoding[NumberColumn]):
    """The code counts steps of the last decimal from the minimum; large grids in digits of a hundred."""
