"""What every column kind promises: a column becomes codes and comes back, exactly, from the schema alone."""

from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar, Generic, TypeVar, final

import numpy as np
import pandas as pd

from ehrsynth.errors import DataError
from ehrsynth.schema import LearntColumn
from ehrsynth.tables.grids import Codes, Floats, Grid, grid
from ehrsynth.tables.values import series_values, values_series

ColumnT = TypeVar("ColumnT", bound=LearntColumn)

_HUNDRED = 100


@dataclass(frozen=True, slots=True)
class AbstractEncoding(ABC, Generic[ColumnT]):
    """One column kind: `encode` and `decode` are written once, here; a kind says what its codes mean.

    Codes are int64, 0 to ``grid.size - 1``; -1 is missing.
    """

    column: ColumnT
    numeric: ClassVar[bool] = True

    @property
    def grid(self) -> Grid:
        """The values that the schema allows."""
        return grid(self.column)

    def radices(self) -> Iterator[int]:
        """How many states each digit of a large grid has, finest first, without end.

        Digits count from a fixed origin of the kind (zero, midnight), not from the column's minimum, so that
        heaps (whole numbers, full hours, weekdays) are heaps of a digit.
        """
        return repeat(_HUNDRED)

    @final
    def encode(self, series: "pd.Series[Any]") -> Codes:
        """The codes of a column that is in memory as its kind says.

        Raises
        ------
        DataError
            If values are outside the column's grid (its bounds and decimals); says how many.
        """
        return self.to_codes(series_values(series, self.column))

    @final
    def decode(self, codes: Codes) -> "pd.Series[Any]":
        """The column behind codes.

        Raises
        ------
        DataError
            If codes are below -1 or above the last grid point; says how many.
        """
        return values_series(self.to_values(codes), self.column)

    @final
    def to_codes(self, values: Floats) -> Codes:
        """As `encode`, from numbers in expression space."""
        domain = self.grid
        outside = int((~domain.contains(values) & ~np.isnan(values)).sum())
        if outside:
            raise DataError(
                f"column {self.column.name!r}: {outside} values are outside its {self._allowed()}"
            )
        return domain.codes(values)

    @final
    def to_values(self, codes: Codes) -> Floats:
        """The numbers in expression space behind codes, NaN for missing."""
        domain = self.grid
        outside = int(((codes < -1) | (codes >= domain.size)).sum())
        if outside:
            problem = f"column {self.column.name!r}: {outside} codes are outside -1 to {domain.size - 1}"
            raise DataError(problem)
        return domain.values(codes)

    def _allowed(self) -> str:
        if not self.numeric:
            return f"{self.grid.size} values"
        return f"grid: {self.grid.size} values from {self.column.minimum} to {self.column.maximum}"  # type: ignore[union-attr]
