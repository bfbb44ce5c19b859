"""A patient table becomes a file, whole or not at all, marked when it is synthetic.

A CSV holds the schema's words as they are. A category word that begins with ``=``, ``+``, ``-`` or ``@`` is
a formula to a spreadsheet: such a word comes from the schema, where it can be changed, and is not altered
here.
"""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ehrsynth.errors import RequestError
from ehrsynth.files import whole_file, write_json
from ehrsynth.schema import Column, DateColumn, IdentifierColumn, Schema
from ehrsynth.tables import origin
from ehrsynth.tables.databases import DatabaseTable, insert_arrow, located
from ehrsynth.tables.delimited import DELIMITERS
from ehrsynth.tables.spelling import table_words

_SPECIAL = frozenset(f'{DELIMITERS}"\r\n') - {" ", ":"}
_CHUNK = 10_000


def write_table(
    table: pd.DataFrame, schema: Schema, path: Path | str | DatabaseTable, *, origin_column: bool = False
) -> None:
    """Write a table so that `read_table` gives it back exactly.

    Parameters
    ----------
    table
        As `read_table` or a generator's `sample` gives it for `schema`.
    path
        Ends in .csv, .csv.gz or .parquet, or is the URL of a table that does not exist yet in a database
        (see `ehrsynth.tables.databases`). A table that ehrsynth made or completed is marked in a
        Parquet file's metadata, or in the sidecar ``<path>.origin.json`` of a CSV.
    origin_column
        Also mark each row in a last column ``_origin``: as the table's own column of that name says, where it
        has one; else "synthetic", "completed" or "real" for all rows. A table that holds real and synthetic
        rows is marked as synthetic as a whole, so that nothing learns from it unasked.

    Raises
    ------
    RequestError
        If the ending is another one, or the schema has a column ``_origin`` of its own.
    DataError
        If the table is not as its schema says in memory, or its formats would lose a value.
    OutputError
        If the disk is full or the place cannot be written; nothing is left behind.
    """
    write_tables([table], schema, path, origin_column=origin_column)


def write_tables(
    tables: Iterable[pd.DataFrame],
    schema: Schema,
    path: Path | str | DatabaseTable,
    *,
    origin_column: bool = False,
) -> None:
    """Write tables one below the other into one file, holding one of them in memory at a time.

    Parameters
    ----------
    tables
        At least one, all synthetic or none; each as for `write_table`, which says what is raised.
    path, origin_column
        As for `write_table`.
    """
    path = located(path)
    ending = next((e for e in (".csv", ".csv.gz", ".parquet") if path.name.lower().endswith(e)), None)
    if ending is None and not isinstance(path, DatabaseTable):
        raise RequestError(f"{path.name} has no ending that says how to write it: .csv, .csv.gz or .parquet")
    if origin_column and origin.COLUMN in schema.names:
        raise RequestError(f"the schema has a column {origin.COLUMN!r} of its own: rename it, or do without")
    following = iter(tables)
    first = next(following)
    made = origin.origin_of(first)
    arrows = (
        _arrow(table, schema, _marks(table, asked=origin_column)) for table in chain([first], following)
    )
    if isinstance(path, DatabaseTable):
        insert_arrow(arrows, path)
        return
    if ending == ".parquet":
        _write_parquet(arrows, path)
        return
    mixed = (
        origin_column and origin.COLUMN in first.columns and (first[origin.COLUMN] != origin.SYNTHETIC).any()
    )
    lines = _lines(first, schema, _marks(first, asked=origin_column))
    more = (
        line
        for table in following
        for line in islice(_lines(table, schema, _marks(table, asked=origin_column)), 1, None)
    )
    with sidecar_kept(path, made, mixed=bool(mixed)):
        _write_lines(chain(lines, more), path, packed=ending == ".csv.gz")


def _marks(table: pd.DataFrame, *, asked: bool) -> NDArray[Any] | None:
    """The word for each row's origin; None where no column was asked for."""
    if not asked:
        return None
    if origin.COLUMN in table.columns:
        return table[origin.COLUMN].astype(object).to_numpy()
    return np.full(len(table), origin.origin_of(table), dtype=object)


def _lines(table: pd.DataFrame, schema: Schema, marks: NDArray[Any] | None) -> Iterator[str]:
    width = len(schema.names) + (marks is not None)
    quote = partial(_quoted, alone=width == 1)
    columns = list(table_words(table, schema, quote=quote).values())
    header = list(map(quote, schema.names))
    if marks is not None:
        header.append(origin.COLUMN)
        columns.append(marks)
    return chain([",".join(header)], map(",".join, zip(*columns, strict=True)))


def _quoted(word: str, *, alone: bool) -> str:
    """A word as a field: in quotes when any reader, whatever delimiter it guesses, could cut or trim it.

    An empty field that is alone in its line needs them too: the line would be a blank one.
    """
    special = (_SPECIAL | {" ", ":"}) if alone else _SPECIAL
    odd = word != word.strip() or word.startswith("sep=") or (alone and not word)
    return '"' + word.replace('"', '""') + '"' if odd or not special.isdisjoint(word) else word


def _write_lines(lines: Iterator[str], path: Path, *, packed: bool) -> None:
    with whole_file(path) as draft, draft.open("wb") as raw, ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile = raw
        if packed:
            # Neither the time nor the draft's name: equal tables give equal bytes.
            file = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0))
        while chunk := list(islice(lines, _CHUNK)):
            file.write("".join(f"{line}\n" for line in chunk).encode())


@contextmanager
def sidecar_kept(path: Path, made: str, *, mixed: bool = False) -> Iterator[None]:
    """The mark is there before the file is, and goes when the file did not come."""
    beside = origin.sidecar(path)
    if made == origin.REAL:
        yield
        beside.unlink(missing_ok=True)
        return
    is_new = not beside.exists()
    write_json(beside, origin.sidecar_value(made, mixed=mixed))
    try:
        yield
    except BaseException:
        if is_new:
            beside.unlink(missing_ok=True)
        raise


def _arrow(table: pd.DataFrame, schema: Schema, marks: NDArray[Any] | None) -> pa.Table:
    table_words(table, schema)  # raises when a value would not be read back
    arrays = {column.name: _array(table[column.name], column) for column in schema.columns}
    if marks is not None:
        arrays[origin.COLUMN] = pa.array(marks, pa.string())
    written = pa.table(arrays)
    return written.replace_schema_metadata(origin.parquet_mark(origin.origin_of(table)))


def _array(series: "pd.Series[Any]", column: Column) -> pa.Array:
    array = pa.array(series, from_pandas=True)
    if isinstance(column, DateColumn):
        return array.cast(pa.date32())
    return array.cast(pa.string()) if isinstance(column, IdentifierColumn) else array


def _write_parquet(tables: Iterator[pa.Table], path: Path) -> None:
    first = next(tables)
    # Through a file of Python's, whose errors say that the disk is full.
    with whole_file(path) as draft, draft.open("wb") as file, pq.ParquetWriter(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    origin.sidecar(path).unlink(missing_ok=True)
