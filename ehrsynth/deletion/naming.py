"""Who is to be forgotten: from a list of patient keys, or of whole rows where the schema has no key.

Identifiers live as long as the call; what is kept of them is a keyed hash.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import DataError, RequestError
from ehrsynth.release.census import hashed_patient
from ehrsynth.release.reading import Sampled
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table
from ehrsynth.tables.splitting import numbered, patient_bytes, row_bytes
from ehrsynth.tables.streaming import draws

_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Named:
    """The patients to forget.

    Parameters
    ----------
    rows
        True for each row of the table that is one of theirs.
    hashes
        Their keyed hashes, sorted; also of those who are no longer in the table.
    absent
        How many of them are no longer in the table.
    bystanders
        The same of patients who were named, and were never drawn into the subsample that was learnt.
    """

    rows: NDArray[np.bool_] = field(repr=False)
    hashes: tuple[bytes, ...] = field(repr=False)
    absent: int
    bystanders: tuple[bytes, ...] = field(default=(), repr=False)


def named(
    patients: Path | Sequence[str],
    table: pd.DataFrame,
    schema: Schema,
    key: bytes,
    *,
    sampled: Sampled | None = None,
) -> Named:
    """Find patients in a table.

    Parameters
    ----------
    patients
        Patient keys; or a file with one key a line, or with a column of the key's name. Where the schema has
        no patient key: a table with the schema's columns, one row for each patient to forget.
    table
        As `ehrsynth.tables.read_table` gives it for `schema`.
    key
        Of the keyed hashes.
    sampled
        Who had been drawn into the table, if not all.

    Raises
    ------
    RequestError, DataError
        If the file cannot be read or names nobody, or nobody who was drawn.
    """
    others: list[str] = []
    if schema.patient_key is None:
        wanted = list(_rows(patients, schema))
    else:
        words = _words(patients, schema.patient_key) if isinstance(patients, Path) else list(patients)
        words, others = _parted(list(dict.fromkeys(words)), schema, sampled)
        wanted = [f"key {word}".encode() for word in words]
    if not wanted:
        raise DataError("nobody is named: give at least one patient to forget")
    known = list(patient_bytes(table, schema))
    if schema.patient_key is None:
        wanted = _last_of_equal(wanted, table, schema)
    asked, there = {*wanted}, {*known}
    rows = np.array([one in asked for one in known], np.bool_)
    hashes = tuple(sorted(hashed_patient(key, one) for one in asked))
    beside = tuple(sorted(hashed_patient(key, f"key {word}".encode()) for word in others))
    return Named(rows, hashes, len(asked - there), beside)


def _parted(words: list[str], schema: Schema, sampled: Sampled | None) -> tuple[list[str], list[str]]:
    """The patient keys that were drawn, and the others."""
    if sampled is None or not words:
        return words, []
    keys = pd.DataFrame({schema.patient_key: pd.Series(words, dtype="string")})
    there = draws(keys, schema, seed=sampled.seed) <= sampled.highest
    if not there.any():
        raise DataError(
            f"none of the {len(words)} patients named was drawn into the subsample that it was made of: there"
            " is nothing to forget"
        )
    of_each = list(zip(words, there.tolist(), strict=True))
    return [word for word, own in of_each if own], [word for word, own in of_each if not own]


def hashes_of_keys(patients: Path, column: str, key: bytes) -> frozenset[bytes]:
    """The keyed hashes of listed patient keys (a file as for `named`), without any table."""
    words = _words(patients, column)
    if not words:
        raise DataError("nobody is named: give at least one patient")
    return frozenset(hashed_patient(key, f"key {word}".encode()) for word in words)


def _rows(patients: Path | Sequence[str], schema: Schema) -> Sequence[bytes]:
    if not isinstance(patients, Path):
        raise RequestError(
            "the schema has no patient key: give a table of the patients to forget, with the same columns"
        )
    return list(row_bytes(read_table(patients, schema), schema))


def _last_of_equal(wanted: Sequence[bytes], table: pd.DataFrame, schema: Schema) -> list[bytes]:
    """Of equal rows the last ones go, so that those before them keep the numbers that tell them apart."""
    held, asked = Counter(row_bytes(table, schema)), Counter(wanted)
    # The numbers of all rows of a kind, were those asked for and no longer there put at its end.
    return [
        one for row, times in asked.items() for one in list(numbered([row] * max(held[row], times)))[-times:]
    ]


def _words(path: Path, key: str) -> list[str]:
    """The patient keys of a list, or of a table's column of the key's name.

    Raises
    ------
    DataError
        If it is no text, or a row of a table has no key or not as many cells as the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: give one patient key a line") from error
    for delimiter in _DELIMITERS if key else ():
        rows = _cells(path, text, delimiter)
        header = [cell.strip(" ") for cell in next(rows, [])]
        if key in header:
            return _column(path, [*rows], header, key)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _cells(path: Path, text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows of a table in which anything stands."""
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error:  # it may quote what it stumbled over
        reason = f"{path.name} is no table: a quotation mark is left open, or a cell is too long"
    else:
        return
    raise DataError(reason)


def _column(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str], key: str) -> list[str]:
    """The cells of the key's column, in every row: who asks to be forgotten must not be passed over."""
    if header.count(key) > 1:
        raise DataError(f"{path.name} has {header.count(key)} columns {key!r}: leave one of them")
    ragged = sum(len(row) != len(header) for row in rows)
    words = [row[header.index(key)].strip() for row in rows if len(row) == len(header)]
    without = words.count("")
    problems = [f"{ragged:,} of its {len(rows):,} rows have more or fewer cells than the header"] * (
        ragged > 0
    )
    problems += [f"{without:,} of its {len(rows):,} rows have no {key!r}"] * (without > 0)
    if problems:
        raise DataError(
            f"{path.name} does not say who is to be forgotten: mend it, or give one key a line", problems
        )
    return words
