"""Whole numbers."""

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.schema import IntegerColumn


class IntegerEncoding(AbstractEncoding[IntegerColumn]):
    """The code counts up from the minimum; large grids in digits of a hundred."""
