"""A file or a frame becomes a checked patient table: the one way in.

A table enters once, is checked once against its schema, and nothing later guesses a type, a bound or a
category again.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ehrsynth.errors import DataError, NotEnoughData, RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import origin
from ehrsynth.tables.databases import DatabaseTable, located, read_frames
from ehrsynth.tables.delimited import header_problems, read_delimited
from ehrsynth.tables.typed import words_of_arrow, words_of_frame
from ehrsynth.tables.validation import DECIMAL_COMMA, STORED_AS, parse_and_check

_PARQUET = b"PAR1"
_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"


def read_table(
    path: Path | str | DatabaseTable,
    schema: Schema,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Read a patient table, one row per patient, and check it against its schema.

    Parameters
    ----------
    path
        A CSV or other delimited file, gzipped or not, a Parquet file, or the URL of a table in a database
        (see `ehrsynth.tables.databases`), which is read in the order of the patient key.
    delimiter, encoding
        How a delimited file is written; found out when None.

    Returns
    -------
    DataFrame
        The schema's columns in order, typed as in `ehrsynth.schema.columns`. A file that is marked as
        synthetic gives a table that is (see `ehrsynth.tables.origin`).

    Raises
    ------
    DataError
        If the file is unreadable or does not fit the schema; every violation is listed by column and count.
    RequestError
        If there is no such file.
    """
    expected, place = {*schema.names, *(column.name for column in schema.left_out)}, located(path)
    if isinstance(place, DatabaseTable):
        (frame,) = read_frames(place, None, schema.patient_key)
        return _checked(words_of(frame, str(place), expected), schema, str(place))
    raw = _read(place, delimiter, encoding, expected)
    if not all(column.missing for column in schema.columns):
        raw = without_blank_tail(raw)
    return _checked(raw, schema, place.name)


def read_raw(
    path: Path | str | DatabaseTable, *, delimiter: str | None = None, encoding: str | None = None
) -> pd.DataFrame:
    """Read a file's cells as words, unchecked: every cell a `str`, empty where nothing stands.

    Delimiter (comma, semicolon, tab, bar and some rarer ones), encoding (UTF-8, UTF-16, UTF-32, cp1252,
    Latin-1, with or without byte order mark) and gzip are found out. Raises as `read_table`.
    """
    place = located(path)
    if isinstance(place, DatabaseTable):
        (frame,) = read_frames(place, None)
        return words_of(frame, str(place), ())
    return _read(place, delimiter, encoding, ())


def without_blank_tail(raw: pd.DataFrame) -> pd.DataFrame:
    """The same rows without those at the end that hold nothing at all.

    A spreadsheet writes them where cells were formatted or cleared, and nobody means a patient by them. A
    table of such rows alone stays as it is.
    """
    kept = len(raw)
    while kept and not any(str(word).strip() for word in raw.iloc[kept - 1]):
        kept -= 1
    if kept in {0, len(raw)}:
        return raw
    shorter = raw.iloc[:kept]
    shorter.attrs = dict(raw.attrs)
    return shorter


def table_from_frame(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Check a pandas frame of one's own as `read_table` checks a file; its index is left out.

    Raises
    ------
    DataError
        If the frame does not fit the schema; every violation is listed by column and count.
    """
    return _checked(words_of(frame, "the frame", schema.names), schema, "the frame")


def words_of(frame: pd.DataFrame, what: str, expected: Collection[str]) -> pd.DataFrame:
    """A frame's cells as words, as `read_raw` gives a file's; its mark stays.

    Raises
    ------
    DataError
        If names are repeated or empty, cells hold more than one value, or there are no rows.
    """
    _check_names([str(name) for name in frame.columns], what, expected)
    if not len(frame):
        raise NotEnoughData(f"{what} has no rows: give at least one patient")
    words, stored = words_of_frame(frame)
    raw = pd.DataFrame(words)
    raw.attrs = {STORED_AS: stored}
    return _with_origin(raw, origin.origin_of(frame))


def _read(path: Path, delimiter: str | None, encoding: str | None, expected: Collection[str]) -> pd.DataFrame:
    if delimiter is not None and len(delimiter) != 1:
        raise RequestError("a delimiter is one character, for instance ';'")
    head = _head(path)
    if not head:
        raise DataError(f"{path.name} is empty: give a file with a header and one row per patient")
    if head in {_ZIP, _OLD_EXCEL}:
        raise DataError(
            f"{path.name} is a workbook or an archive: save the sheet as CSV (UTF-8), or unpack it"
        )
    made = origin.read_sidecar(path)
    if head == _PARQUET:
        raw, told = _read_parquet(path, expected)
        return _with_origin(raw, made, told)
    raw, dialect = read_delimited(path, delimiter=delimiter, encoding=encoding, expected=expected)
    raw.attrs = {DECIMAL_COMMA: dialect.delimiter == ";"}
    return _with_origin(raw, made)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except FileNotFoundError:
        problem = "there is no such file"
    except IsADirectoryError:
        problem = "it is a folder: name one file"
    except OSError as error:
        problem = error.strerror or "unknown reason"
    raise RequestError(f"{path} cannot be read: {problem}")


def _read_parquet(path: Path, expected: Collection[str]) -> tuple[pd.DataFrame, str]:
    table = _arrow_table(path)
    raw = raw_of_arrow(table, path.name, expected)
    return raw, origin.read_parquet_mark(table.schema.metadata)


def raw_of_arrow(table: pa.Table, what: str, expected: Collection[str]) -> pd.DataFrame:
    """An Arrow table's cells as words, as `read_raw` gives a file's.

    Raises
    ------
    DataError
        If names are repeated or empty, cells hold more than one value, or there are no rows.
    """
    _check_names(table.column_names, what, expected)
    if not table.num_rows:
        raise NotEnoughData(f"{what} has columns and no rows: give at least one patient")
    words, stored = words_of_arrow(table)
    raw = pd.DataFrame(words)
    raw.attrs = {STORED_AS: stored}
    return _with_origin(raw)


def _arrow_table(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError, ValueError):
        pass  # the exception may quote what it stumbled over
    raise DataError(f"{path.name} is damaged: it begins like a Parquet file and does not read as one")


def _check_names(names: list[str], what: str, expected: Collection[str]) -> None:
    problems = header_problems(names, expected)
    if not names:
        problems = ["there is no column"]
    if problems:
        raise DataError(f"{what} has a header that cannot be used", problems)


def _with_origin(raw: pd.DataFrame, *made: str) -> pd.DataFrame:
    words = raw[origin.COLUMN].unique() if origin.COLUMN in raw.columns else ()
    return origin.mark_as(raw, origin.stronger(*made, *(word.strip().casefold() for word in words)))


def _checked(raw: pd.DataFrame, schema: Schema, what: str) -> pd.DataFrame:
    table, violations = parse_and_check(raw, schema)
    if violations:
        n = len(violations)
        summary = f"{what} does not fit the schema {schema.name!r}: {n:,} problem{'s' if n > 1 else ''}"
        raise DataError(summary, map(str, violations))
    return origin.mark_as(table, origin.origin_of(raw))
