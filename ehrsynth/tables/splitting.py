"""Which patients a generator learns from and which are held out, by a keyed hash of each patient.

A patient's side depends on that patient and the key alone: adding or removing one moves no other, as
exact deletion and honest membership attacks need it. Without the key nobody can tell a patient's side.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.files import keyed_hash
from ehrsynth.schema import Schema
from ehrsynth.tables.spelling import table_words

HOLDOUT = 0.5
_PURPOSE = b"ehrsynth split 1\0"


def split(
    table: pd.DataFrame, schema: Schema, *, key: bytes, holdout: float = HOLDOUT
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a table into the patients to learn from and those held out.

    A patient is known by the patient key, or where the schema has none by the row's content, whatever the
    order of rows and columns; equal rows are told apart by how many came before.

    Parameters
    ----------
    key
        Secret, at least one byte; equal keys give equal splits.
    holdout
        Probability of a patient to be held out, above 0 and below 1: the share is that up to chance.

    Returns
    -------
    train, holdout
        Rows in the table's order, numbered anew; a mark of origin stays.

    Raises
    ------
    RequestError
        If `holdout` or `key` is out of range.
    NotEnoughData
        If one side would be empty.
    """
    if not 0 < holdout < 1:
        raise RequestError(f"holdout is {holdout}: it is a share above 0 and below 1")
    if not key:
        raise RequestError("the key of a split is empty: give at least one byte")
    out = held_out(table, schema, key=key, holdout=holdout)
    if out.all() or not out.any():
        n = len(table)
        raise NotEnoughData(f"{n:,} patients are too few to hold out {holdout:.0%}: one side would be empty")
    return _part(table, ~out), _part(table, out)


def held_out(table: pd.DataFrame, schema: Schema, *, key: bytes, holdout: float) -> NDArray[np.bool_]:
    """True for each row that is held out; see `split`."""
    return held_out_patients(patient_bytes(table, schema), key=key, holdout=holdout)


def held_out_patients(patients: Iterable[bytes], *, key: bytes, holdout: float) -> NDArray[np.bool_]:
    """True for each patient who is held out, of patients as `patient_bytes` tells them apart."""
    digests = (keyed_hash(key, _PURPOSE + patient)[:8] for patient in patients)
    draws = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.float64) / 2.0**64
    held: NDArray[np.bool_] = draws < holdout
    return held


def patient_bytes(table: pd.DataFrame, schema: Schema) -> Iterator[bytes]:
    """What tells each patient from all others, as bytes: for keyed hashes, never to be stored.

    The patient key, or where the schema has none the row's content and how many equal rows came before.
    """
    if schema.patient_key is not None:
        only_key = schema.subset((schema.patient_key,))
        words = table_words(table, only_key)[schema.patient_key]
        return (f"key {word}".encode() for word in words)
    return numbered(row_bytes(table, schema))


def row_bytes(table: pd.DataFrame, schema: Schema) -> Iterator[bytes]:
    """Each row's content, whatever the order of columns, as bytes: for keyed hashes, never to be stored."""
    # Lengths in front of the words keep ("ab", "c") and ("a", "bc") apart.
    words_of = table_words(table, schema, quote=lambda word: f"{len(word)}:{word}")
    names = sorted(schema.names)
    head = "".join(f"{len(name)}:{name}" for name in names)
    rows = map("".join, zip(*(words_of[name] for name in names), strict=True))
    return (f"{head} {row}".encode() for row in rows)


def numbered(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Rows told apart by how many equal ones came before."""
    seen: Counter[bytes] = Counter()
    for row in rows:
        yield b"row %d " % seen[row] + row
        seen[row] += 1


def _part(table: pd.DataFrame, mask: NDArray[np.bool_]) -> pd.DataFrame:
    part = table.loc[mask].reset_index(drop=True)
    part.attrs = dict(table.attrs)
    return part
