"""A table as one array in an order that its content alone decides.

Metrics draw folds, groups and subsamples. Sorting columns by name and rows by a hash of their content before
any draw makes every result independent of the order in which rows and columns came.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, LearntColumn, Schema
from ehrsynth.tables.values import to_values

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MISSING = np.uint64(0x7FF8000000000001)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The learnt columns of a table.

    Parameters
    ----------
    columns
        The columns' schemas, sorted by name.
    values
        n x p, in expression space (see `ehrsynth.tables.values`), NaN for missing.
    """

    columns: tuple[LearntColumn, ...]
    values: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, sorted."""
        return tuple(column.name for column in self.columns)

    @property
    def nominal(self) -> Mask:
        """Which columns have no order: codes and categories that are not ordered."""
        return np.array([is_nominal(column) for column in self.columns], dtype=np.bool_)

    @property
    def discrete(self) -> Mask:
        """Which columns hold listed values: categories, codes and booleans."""
        return np.array([is_discrete(column) for column in self.columns], dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.values)

    def place(self, name: str) -> int:
        """The position of a column."""
        return self.names.index(name)

    def rows(self, places: Places | Mask) -> "Matrix":
        """Some rows, in the order given."""
        return replace(self, values=self.values[places])

    def without(self, names: Sequence[str]) -> "Matrix":
        """All columns but some."""
        kept = [place for place, name in enumerate(self.names) if name not in names]
        return Matrix(tuple(self.columns[p] for p in kept), self.values[:, kept])

    def shuffled(self, rng: np.random.Generator, most: int | None = None) -> "Matrix":
        """The rows in random order, at most `most` of them."""
        return self.rows(rng.permutation(len(self))[:most])


def is_nominal(column: LearntColumn) -> bool:
    """Whether a column's values have no order."""
    return isinstance(column, CodeColumn) or (isinstance(column, CategoryColumn) and not column.ordered)


def is_discrete(column: LearntColumn) -> bool:
    """Whether a column holds listed values rather than numbers, dates or durations."""
    return isinstance(column, CategoryColumn | CodeColumn | BooleanColumn)


def matrix(table: pd.DataFrame, schema: Schema) -> Matrix:
    """The learnt columns of a table, columns sorted by name, rows in an order that their content decides."""
    values = stacked(table, schema)
    return Matrix(_by_name(schema), values[np.argsort(row_hashes(values), kind="stable")])


def stacked(table: pd.DataFrame, schema: Schema) -> Floats:
    """The learnt columns of a table as numbers, columns sorted by name, rows as they stand."""
    values, columns = to_values(table, schema), _by_name(schema)
    array = np.empty((len(table), len(columns)))
    for place, column in enumerate(columns):
        array[:, place] = values[column.name] + 0.0  # -0.0 becomes 0.0
    return array


def _by_name(schema: Schema) -> tuple[LearntColumn, ...]:
    return tuple(sorted(schema.learnt, key=lambda column: column.name))


def row_hashes(values: Floats) -> NDArray[np.uint64]:
    """One 64-bit number for each row, equal for equal rows (a missing value equals a missing value).

    Not for secrets: it only sorts.
    """
    state = np.zeros(len(values), np.uint64)
    for column in np.ascontiguousarray(values.T):
        bits = np.where(np.isnan(column), _MISSING, column.view(np.uint64))
        state = (state ^ bits) * _ODD
        state ^= state >> np.uint64(29)
    return state


def whole_numbers(tables: Sequence[Matrix]) -> list[NDArray[np.int64]]:
    """Each table's cells as small whole numbers, equal where the values are equal; missing is one of them."""
    numbers = [np.empty(table.values.shape, np.int64) for table in tables]
    ends = np.cumsum([len(table) for table in tables])[:-1]
    for place in range(len(tables[0].columns)):
        pooled = np.concatenate([table.values[:, place] for table in tables])
        ranks = np.unique(pooled, return_inverse=True)[1]  # NaNs are one value
        for part, ranked in zip(numbers, np.split(ranks, ends), strict=True):
            part[:, place] = ranked
    return numbers
