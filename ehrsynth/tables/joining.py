"""Pieces of a table, each written as a file of its own, become one file: one below the other.

The bytes of the pieces are copied (CSV) or their row groups written anew (Parquet), so that putting them
together costs little beside drawing them. Every piece is of synthetic patients.
"""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ehrsynth.files import whole_file
from ehrsynth.tables.databases import DatabaseTable, insert_arrow
from ehrsynth.tables.origin import SYNTHETIC, sidecar
from ehrsynth.tables.writing import sidecar_kept

Piece = tuple[bytes, int]


def join_pieces(pieces: Iterable[Piece], out: Path | DatabaseTable) -> None:
    """Write pieces as one table, whole or not at all, holding one of them in memory at a time.

    Parameters
    ----------
    pieces
        At least one: the bytes of a file as `write_table` writes it, all with the ending of `out` (.csv also
        for .csv.gz, .parquet for a database), and how many of the bytes are the header of a CSV.

    Raises
    ------
    OutputError
        If the disk is full or the place cannot be written; nothing is left behind.
    """
    if isinstance(out, DatabaseTable):
        insert_arrow(_arrow(pieces), out)
    elif out.name.lower().endswith(".parquet"):
        _join_parquet(_arrow(pieces), out)
    else:
        with sidecar_kept(out, SYNTHETIC):
            _join_lines(pieces, out)


def _arrow(pieces: Iterable[Piece]) -> Iterator[pa.Table]:
    return (pq.read_table(pa.BufferReader(content)) for content, _ in pieces)


def _join_parquet(tables: Iterator[pa.Table], out: Path) -> None:
    first = next(tables)
    # Through a file of Python's, whose errors say that the disk is full.
    with whole_file(out) as draft, draft.open("wb") as file, pq.ParquetWriter(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    sidecar(out).unlink(missing_ok=True)


def _join_lines(pieces: Iterable[Piece], out: Path) -> None:
    with whole_file(out) as draft, draft.open("wb") as raw, ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile = raw
        if out.name.lower().endswith(".gz"):
            # Neither the time nor the draft's name: equal tables give equal bytes.
            file = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0))
        for number, (content, header) in enumerate(pieces):
            file.write(content if number == 0 else content[header:])
