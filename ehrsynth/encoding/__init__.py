"""A table as whole-number codes, and back, exactly; every domain comes from the schema, nothing is fitted.

Codes are int64, one row for a patient, one column for each learnt column of the schema: 0 for the smallest
value of the column's grid, counting up; -1 for missing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.encoding.base import AbstractEncoding
from ehrsynth.errors import DataError
from ehrsynth.registry import resolve
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.grids import Codes, Floats, grid
from ehrsynth.tables.values import from_values, row_count, to_values

__all__ = [
    "AbstractEncoding",
    "codes_to_values",
    "decode",
    "encode",
    "encoding",
    "values_to_codes",
]


def encoding(column: LearntColumn) -> AbstractEncoding[Any]:
    """The encoding of one column, by its kind."""
    found: AbstractEncoding[Any] = resolve("column kind", column.kind)(column)
    return found


def encode(table: pd.DataFrame, schema: Schema) -> Codes:
    """The codes of a table.

    Parameters
    ----------
    table
        As `ehrsynth.tables.read_table` gives it for `schema`.

    Returns
    -------
    array
        int64, n x ``len(schema.learnt)``; -1 for missing.

    Raises
    ------
    DataError
        If a column is absent, of another dtype, or has values outside its grid; all are listed.
    """
    values = to_values(table, schema)
    codes, problems = np.empty((len(table), len(schema.learnt)), np.int64), []
    for place, column in enumerate(schema.learnt):
        try:
            codes[:, place] = encoding(column).to_codes(values[column.name])
        except DataError as error:
            problems.append(error.summary)
    if problems:
        message = "the table does not fit its schema"
        raise DataError(message, problems)
    return codes


def decode(codes: Codes, schema: Schema, *, first_id: int = 1) -> pd.DataFrame:
    """The table behind codes; identifiers are made anew, running from `first_id`.

    Raises
    ------
    DataError
        If codes are outside a column's grid; all such columns are listed.
    """
    return from_values(codes_to_values(codes, schema), schema, first_id=first_id)


def codes_to_values(codes: Codes, schema: Schema) -> dict[str, Floats]:
    """Codes as numbers in expression space, one float64 array for each learnt column, NaN for missing.

    Raises
    ------
    DataError
        If codes are outside a column's grid; all such columns are listed.
    """
    values, problems = {}, []
    for place, column in enumerate(schema.learnt):
        try:
            values[column.name] = encoding(column).to_values(codes[:, place])
        except DataError as error:
            problems.append(error.summary)
    if problems:
        message = "these codes are none of the schema's"
        raise DataError(message, problems)
    return values


def values_to_codes(values: Mapping[str, Floats], schema: Schema) -> Codes:
    """The codes nearest to numbers in expression space: rounded to the grid, clipped to the bounds.

    Parameters
    ----------
    values
        One float64 array for each learnt column, all of one length; NaN for missing.
    """
    codes = np.empty((row_count(values), len(schema.learnt)), np.int64)
    for place, column in enumerate(schema.learnt):
        codes[:, place] = grid(column).codes(values[column.name])
    return codes
