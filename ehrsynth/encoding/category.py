"""One of a list of words."""

from typing import ClassVar

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.schema import CategoryColumn


class CategoryEncoding(AbstractEncoding[CategoryColumn]):
    """The code is the word's position in the schema's list."""

    numeric: ClassVar[bool] = False
