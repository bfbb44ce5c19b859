"""What a decoder gives: a picture, what it had to be told apart from, and nothing else of the file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[np.uint8] | NDArray[np.uint16]
_LISTED = 20  # problems listed in full


def few(problems: list[str]) -> list[str]:
    """So many problems as people read."""
    more = len(problems) - _LISTED
    return problems if more <= 0 else [*problems[:_LISTED], f"and {more} more"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture as it was stored.

    Parameters
    ----------
    pixels
        height x width, or height x width x 3. 8 bits are final; 16 bits are scaled with the whole set.
    dropped
        Kinds of metadata that the file carried and that are left behind: names of kinds, never a value.
    remark
        A word for the report on how it was decoded, for instance that its greys were inverted.
    declares_text
        Whether the file itself says that text is burned into its pixels.
    """

    pixels: Raw
    dropped: tuple[str, ...] = ()
    remark: str = ""
    declares_text: bool = False


class Unusable(Exception):
    """A file that cannot be used; the message says why, and holds nothing of the file's name or content."""


Hashing = Callable[[str], bytes]


class Source(Protocol):
    """Pictures that can be read one by one, more than once."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, sorted."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each picture, as a place in `classes`."""

    @property
    def patients(self) -> tuple[bytes | None, ...]:
        """Keyed hashes of the patients, None where one is not known."""

    @property
    def external(self) -> NDArray[np.bool_]:
        """Which pictures the file itself sets aside for testing."""

    @property
    def alone(self) -> bool:
        """Whether each picture is decoded without a look at others."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was seen while the pictures were listed, for the report."""

    def place(self, number: int) -> str:
        """How an error names picture `number` (from 0): by ordinals, never by a file's name."""

    def frame(self, number: int) -> Frame:
        """Decode picture `number`.

        Raises
        ------
        Unusable
            If it cannot be decoded, or may not be used.
        """
