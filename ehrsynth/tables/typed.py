"""Typed columns (Parquet, pandas) as the words that a CSV would hold, with the type that they had."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from ehrsynth.errors import DataError
from ehrsynth.tables.parsing import StoredAs

Words = NDArray[Any]
# From here on a float prints with an exponent.
_LONGEST_WHOLE = 1e16
_KINDS: tuple[tuple[Callable[[Any], bool], StoredAs], ...] = (
    (kinds.is_boolean, "boolean"),
    (kinds.is_integer, "integer"),
    (kinds.is_floating, "float"),
    (kinds.is_decimal, "float"),
    (kinds.is_temporal, "temporal"),
    (kinds.is_string, "text"),
    (kinds.is_large_string, "text"),
    (kinds.is_null, "text"),
)


def words_of_arrow(table: pa.Table) -> tuple[dict[str, Words], dict[str, StoredAs]]:
    """Each column of an Arrow table as words ("" for missing), and the type that it had.

    Whole floats lose their ".0"; truth values become "true" and "false", moments and durations ISO 8601.

    Raises
    ------
    DataError
        If columns are nested, binary or of another type that no word stands for; all are listed.
    """
    words: dict[str, Words] = {}
    stored: dict[str, StoredAs] = {}
    problems = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        found = _column(column)
        if found is None:
            problems.append(
                f"column {name!r} is of type {_type_name(column.type)}: give one plain value a cell"
            )
        else:
            words[name], stored[name] = found
    if problems:
        raise DataError("the table has columns that are not plain values", problems)
    return words, stored


def words_of_frame(frame: pd.DataFrame) -> tuple[dict[str, Words], dict[str, StoredAs]]:
    """As `words_of_arrow` for a pandas frame; its index is left out."""
    arrays = {str(name): _arrow(series) for name, series in frame.items()}
    nested = [name for name, array in arrays.items() if array is None]
    if nested:
        problems = [f"column {name!r} holds values that are not plain: give one a cell" for name in nested]
        raise DataError("the table has columns that are not plain values", problems)
    return words_of_arrow(pa.table(arrays))


def _arrow(series: "pd.Series[Any]") -> pa.Array | None:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # a column of mixed types: below, outside of an exception that quotes a cell
    cells = series.astype(object).tolist()
    if not all(pd.api.types.is_scalar(cell) for cell in cells):
        return None
    return pa.array([None if pd.isna(cell) else str(cell) for cell in cells], pa.string())


def _type_name(kind: Any) -> str:
    # The fields of a struct or the categories of a union are not named.
    return str(kind).split("<", 1)[0]


def _column(column: pa.ChunkedArray) -> tuple[Words, StoredAs] | None:
    column = _plain(column)
    stored = next((stored for is_kind, stored in _KINDS if is_kind(column.type)), None)
    if stored is None or kinds.is_interval(column.type):
        return None
    if kinds.is_duration(column.type):
        stored = "duration"
    if kinds.is_null(column.type):
        return np.full(len(column), "", dtype=object), stored
    codes, distinct = _distinct(column)
    return np.array([*_spelled(distinct, stored), ""], dtype=object)[codes], stored


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without wrapping: extension types, dictionaries, and widths that Arrow cannot count."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kinds.is_float16(column.type):
        column = column.cast(pa.float32())
    return column.cast(pa.string()) if str(column.type) == "string_view" else column


def _distinct(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """A position for each cell, -1 for null, and the distinct values."""
    encoded = column.dictionary_encode().unify_dictionaries()
    distinct = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], column.type)
    pieces = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return np.concatenate([np.empty(0, np.int64), *pieces]).astype(np.int64), distinct


def _spelled(distinct: pa.Array, stored: StoredAs) -> list[str]:
    if stored == "float" and kinds.is_decimal(distinct.type):
        return [format(value.normalize() + 0, "f") for value in distinct.to_pylist()]
    if stored == "float":
        # numpy's scalars know how many digits a 32-bit float needs; Python's floats do not.
        return [_float(value) for value in distinct.to_numpy(zero_copy_only=False)]
    if stored in {"temporal", "duration"}:
        return _moments(distinct, stored)
    return [str(value).lower() if stored == "boolean" else str(value) for value in distinct.to_pylist()]


def _float(value: Any) -> str:
    if np.isnan(value):
        return ""
    whole = np.isfinite(value) and abs(value) < _LONGEST_WHOLE and value == int(value)
    return str(int(value)) if whole else str(value)


def _moments(distinct: pa.Array, stored: StoredAs) -> list[str]:
    try:
        values = distinct.to_pylist()
    except (ValueError, OverflowError):
        values = None  # a year that the calendar does not have; the exception quotes it
    if values is None:
        raise DataError(
            "the table holds moments outside of the years 1 to 9999: correct them, or set them missing"
        )
    return [_duration(value) if stored == "duration" else value.isoformat() for value in values]


def _duration(value: dt.timedelta) -> str:
    micro = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    whole, rest = divmod(abs(micro), 1_000_000)
    return f"{'-' if micro < 0 else ''}PT{whole}{f'.{rest:06d}' if rest else ''}S"
