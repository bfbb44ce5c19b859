"""Codes of a hierarchical system, such as ICD-10 or ATC."""

from typing import ClassVar

import numpy as np

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.errors import RequestError
from ehrsynth.schema import CodeColumn, LearntColumn
from ehrsynth.tables.grids import Codes


class CodeEncoding(AbstractEncoding[CodeColumn]):
    """The code is the word's position in the schema's list; `ancestors` climbs the hierarchy."""

    numeric: ClassVar[bool] = False

    @property
    def levels(self) -> int:
        """How many levels of ancestors there are, the coarsest first."""
        return len(self.column.prefix_lengths)

    def ancestors(self, level: int) -> Codes:
        """The ancestor group of each value at one level.

        Parameters
        ----------
        level
            0 (coarsest) to ``levels - 1``.

        Returns
        -------
        array
            One group number for each value of the schema's list, 0 upwards in order of first appearance.
            Values whose first characters (dots aside) agree share a group; a value shorter than the level's
            prefix is its own ancestor.

        Raises
        ------
        RequestError
            If there is no such level.
        """
        if not 0 <= level < self.levels:
            message = (
                f"column {self.column.name!r} has no level {level}; it has {self.levels}, counted from 0"
            )
            raise RequestError(message)
        length = self.column.prefix_lengths[level]
        groups: dict[str, int] = {}
        prefixes = (value.replace(".", "")[:length] for value in self.column.values)
        return np.array([groups.setdefault(prefix, len(groups)) for prefix in prefixes], np.int64)


def families(column: LearntColumn) -> tuple[Codes, ...]:
    """The family of each code at each level of its hierarchy, the coarsest first; none without one."""
    if not isinstance(column, CodeColumn):
        return ()
    of = CodeEncoding(column)
    return tuple(of.ancestors(level) for level in range(of.levels))
