"""Yes or no."""

from typing import ClassVar

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.schema import BooleanColumn


class BooleanEncoding(AbstractEncoding[BooleanColumn]):
    """The code is 0 for no and 1 for yes."""

    numeric: ClassVar[bool] = False
