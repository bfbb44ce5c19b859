"""A table's columns as numbers for expressions and constraints, and back, exactly.

The numbers are float64 in expression space (see `ehrsynth.tables.grids`), NaN for missing. Identifiers are
never learnt: they have no numbers and are made anew.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.errors import DataError
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    Column,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    LearntColumn,
    Schema,
)
from ehrsynth.tables.grids import Codes, Floats, grid
from ehrsynth.tables.times import SECONDS_A_DAY


def to_values(table: pd.DataFrame, schema: Schema) -> dict[str, Floats]:
    """The learnt columns of a table as numbers.

    Parameters
    ----------
    table
        As `ehrsynth.tables.read_table` gives it for `schema`; not changed.

    Returns
    -------
    dict
        One float64 array of the table's length for each learnt column, in order; NaN for missing.

    Raises
    ------
    DataError
        If a column is absent or of another dtype than the schema's kinds have in memory; all are listed.
    """
    problems = [p for column in schema.learnt if (p := _memory_problem(table, column))]
    if problems:
        message = "the table is not in memory as its schema says: read it with read_table or table_from_frame"
        raise DataError(message, problems)
    return {column.name: series_values(table[column.name], column) for column in schema.learnt}


def from_values(values: Mapping[str, Floats], schema: Schema, *, first_id: int = 1) -> pd.DataFrame:
    """The table behind an answer of `to_values`; identifiers are made anew from their pattern.

    Values off the grid become the nearest grid point within the bounds, NaN becomes missing.

    Parameters
    ----------
    values
        One float64 array for each learnt column, all of one length.
    first_id
        The running number of the first row's identifiers, 0 or larger.
    """
    n = row_count(values)
    columns = {
        column.name: identifiers(column, n, first_id)
        if isinstance(column, IdentifierColumn)
        else values_series(values[column.name], column)
        for column in schema.columns
    }
    return pd.DataFrame(columns, columns=list(schema.names), index=pd.RangeIndex(n))


def row_count(values: Mapping[str, Floats]) -> int:
    """How many rows values have; 0 if there is no column."""
    return len(next(iter(values.values()), ()))


def memory_dtype(column: Column) -> Any:  # noqa: PLR0911 - one a kind
    """The dtype that a column has in memory: a numpy dtype or one of pandas' own."""
    match column:
        case IntegerColumn():
            return pd.Int64Dtype()
        case CategoryColumn():
            return pd.CategoricalDtype(list(column.values), ordered=column.ordered)
        case CodeColumn():
            return pd.CategoricalDtype(list(column.values), ordered=False)
        case BooleanColumn():
            return pd.BooleanDtype()
        case DateColumn() | DatetimeColumn():
            return np.dtype("datetime64[s]")
        case IdentifierColumn():
            return pd.StringDtype()
        case _:
            return np.dtype(np.float64)


def series_values(series: "pd.Series[Any]", column: LearntColumn) -> Floats:
    """One column in memory as numbers in expression space; see `to_values`."""
    match column:
        case CategoryColumn() | CodeColumn():
            values = series.cat.codes.to_numpy(np.float64)
            return np.where(values < 0, np.nan, values)
        case DateColumn() | DatetimeColumn():
            unit = SECONDS_A_DAY if isinstance(column, DateColumn) else 1
            seconds = series.to_numpy().astype("datetime64[s]").astype(np.int64) / unit
            return np.where(series.isna().to_numpy(), np.nan, seconds)
        case _:
            return series.to_numpy(np.float64, na_value=np.nan, copy=True)


def values_series(values: Floats, column: LearntColumn) -> "pd.Series[Any]":
    """One column in memory from numbers in expression space; see `from_values`."""
    domain = grid(column)
    codes = domain.codes(np.asarray(values, np.float64))
    missing = codes < 0
    match column:
        case IntegerColumn():
            array: Any = pd.arrays.IntegerArray(_filled(codes, missing) + domain.origin, missing)
        case CategoryColumn() | CodeColumn():
            array = pd.Categorical.from_codes(codes, dtype=memory_dtype(column))
        case BooleanColumn():
            array = pd.arrays.BooleanArray(codes == 1, missing)
        case DateColumn() | DatetimeColumn():
            unit = SECONDS_A_DAY if isinstance(column, DateColumn) else domain.step
            moments = ((_filled(codes, missing) + domain.origin) * unit).astype("datetime64[s]")
            moments[missing] = np.datetime64("NaT")
            array = moments
        case _:
            array = domain.values(codes)
    series: pd.Series[Any] = pd.Series(array, name=column.name, dtype=memory_dtype(column))
    return series


def identifiers(column: IdentifierColumn, n: int, first_id: int = 1) -> "pd.Series[Any]":
    """New identifiers ``first_id, first_id + 1, ...`` written into the pattern, n of them.

    A number that needs more digits than the pattern has is written in full.
    """
    before, run, after = re.fullmatch(r"([^#]*)(#+)([^#]*)", column.pattern).groups()  # type: ignore[union-attr]
    words = [f"{before}{number:0{len(run)}d}{after}" for number in range(first_id, first_id + n)]
    return pd.Series(words, name=column.name, dtype=pd.StringDtype())


def _filled(codes: Codes, missing: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Codes:
    return np.where(missing, 0, codes)


def _memory_problem(table: pd.DataFrame, column: LearntColumn) -> str | None:
    if column.name not in table.columns:
        return f"column {column.name!r} is absent"
    expected, found = memory_dtype(column), table[column.name].dtype
    same = found == expected
    if isinstance(expected, pd.CategoricalDtype) and isinstance(found, pd.CategoricalDtype):
        # pandas calls two unordered category dtypes equal whatever the order of their values.
        same = found.ordered == expected.ordered and list(found.categories) == list(expected.categories)
        if not same:
            return f"column {column.name!r} has other categories than the schema's, or another order"
    return (
        None if same else f"column {column.name!r} is {found} in memory; a {column.kind} column is {expected}"
    )
