"""Who is to be forgotten: from a list of patient keys, or of whole rows where the schema has no key.

Identifiers live as long as the call; what is kept of them is a keyed hash.
"""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import DataError, RequestError
from ehrsynth.release.census import hashed_patient
from ehrsynth.release.reading import Sampled
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table
from ehrsynth.tables.spelling import table_words
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
    patients
        As `patient_bytes` tells them apart, in the order of `hashes`: identifiers, never to be stored.
    absent
        How many of them are no longer in the table.
    bystanders
        The same of patients who were named, and were never drawn into the subsample that was learnt.
    """

    rows: NDArray[np.bool_] = field(repr=False)
    hashes: tuple[bytes, ...] = field(repr=False)
    patients: tuple[bytes, ...] = field(repr=False)
    absent: int
    bystanders: tuple[bytes, ...] = field(default=(), repr=False)


def named(
    patients: Path | Sequence[str],
    table: pd.DataFrame,
    schema: Schema,
    key: bytes,
    *,
    sampled: Sampled | None = None,
    nowhere: Collection[str] = (),
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
    nowhere
        The patient keys that are not in the table from which was drawn.

    Raises
    ------
    RequestError, DataError
        If the file cannot be read or names nobody, or nobody who was drawn; or somebody of whom nobody can
        tell whether they were drawn.
    """
    known, others = list(patient_bytes(table, schema)), list[str]()
    if schema.patient_key is None:
        wanted = list(_rows(patients, schema))
    else:
        words = keys_named(patients, schema.patient_key) if isinstance(patients, Path) else list(patients)
        words = list(dict.fromkeys(words))
        if sampled is not None and words:
            words, others = _parted(words, {*known}, schema, sampled)
            strangers = sum(word in nowhere for word in others)
            if strangers:
                # Certified as absent, a misspelt key would pass for somebody who was never drawn.
                raise unknown(strangers, len(words) + len(others))
            if not words:
                raise DataError(
                    f"none of the {len(others)} patients named was drawn into the subsample that it was made "
                    "of: there is nothing to forget"
                )
        wanted = [_spelt(word) for word in words]
    if not wanted:
        raise DataError("nobody is named: give at least one patient to forget")
    if schema.patient_key is None:
        wanted = _last_of_equal(wanted, table, schema)
    asked, there = {*wanted}, {*known}
    rows = np.array([one in asked for one in known], np.bool_)
    hashed = sorted((hashed_patient(key, one), one) for one in asked)
    hashes, told_apart = tuple(h for h, _ in hashed), tuple(one for _, one in hashed)
    beside = tuple(sorted(hashed_patient(key, _spelt(word)) for word in others))
    return Named(rows, hashes, told_apart, len(asked - there), beside)


def _parted(
    words: Sequence[str], known: Collection[bytes], schema: Schema, sampled: Sampled
) -> tuple[list[str], list[str]]:
    """The patient keys that were drawn, be they still there or not, and the others."""
    keys = pd.DataFrame({schema.patient_key: pd.Series(words, dtype="string")})
    drawn = draws(keys, schema, seed=sampled.seed) <= sampled.highest
    own = [at or _spelt(word) in known for word, at in zip(words, drawn.tolist(), strict=True)]
    return list(compress(words, own)), [word for word, at in zip(words, own, strict=True) if not at]


def unknown(strangers: int, asked: int) -> DataError:
    """The error for patients who were named and are nowhere."""
    return DataError(
        f"{strangers} of the {asked} patients named are not in the table, nor in what was made of it: check "
        "the spelling of their keys"
    )


def keys_in(table: pd.DataFrame, schema: Schema) -> set[str]:
    """The patient keys of a table, as a list would spell them; none where the schema has no key."""
    key = schema.patient_key
    return set() if key is None else {*table_words(table, schema.subset((key,)))[key]}


def _spelt(word: str) -> bytes:
    """As `patient_bytes` tells a patient by the key."""
    return f"key {word}".encode()


def hashes_of_keys(patients: Path | Sequence[str], column: str, key: bytes) -> frozenset[bytes]:
    """The keyed hashes of patient keys (or of a file of them, as for `named`), without any table."""
    words = keys_named(patients, column) if isinstance(patients, Path) else patients
    if not words:
        raise DataError("nobody is named: give at least one patient")
    return frozenset(hashed_patient(key, _spelt(word)) for word in words)


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


def keys_named(path: Path, key: str) -> list[str]:
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
