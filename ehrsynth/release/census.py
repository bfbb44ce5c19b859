"""Who was in a table, committed to without saying it: keyed hashes of the patients, and one of their rows.

Without the key none of it can be computed or tested against a guess. The key follows from the secret key of
the split, so that it is the same for a release and all that take its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from ehrsynth.files import keyed_hash
from ehrsynth.release.merkle import Tree
from ehrsynth.schema import Schema
from ehrsynth.tables.splitting import patient_bytes, row_bytes

_KEY, _PATIENT, _ROW = (f"ehrsynth {what} 1\0".encode() for what in ("certificate key", "patient", "row"))
_WRAP = 2**256


@dataclass(frozen=True, slots=True)
class Census:
    """What a table held.

    Parameters
    ----------
    rows, leaves
        Rows of the table, and leaves of the tree of its patients.
    root
        Of the sorted Merkle tree of the patients' keyed hashes (`ehrsynth.release.merkle`), hexadecimal.
    content
        The sum of the rows' keyed hashes, hexadecimal: equal rows in any order give the same.
    """

    rows: int
    leaves: int
    root: str
    content: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote; whatever else raises KeyError, TypeError or ValueError."""
        return cls(*(values[name] for name in cls.__slots__))


def certificate_key(split_key: bytes) -> bytes:
    """The key of all keyed hashes about patients, from the split's: it tells nothing of that one."""
    return keyed_hash(split_key, _KEY)


def hashed_patient(key: bytes, patient: bytes) -> bytes:
    """The keyed hash of one patient (see `patient_bytes`), 32 bytes."""
    return keyed_hash(key, _PATIENT + patient)


def hashed_patients(table: pd.DataFrame, schema: Schema, key: bytes) -> list[bytes]:
    """The keyed hash of the patient of each row."""
    return [hashed_patient(key, patient) for patient in patient_bytes(table, schema)]


def take_census(table: pd.DataFrame, schema: Schema, key: bytes) -> Census:
    """Commit to a table, as it was read and before anything was made coarser."""
    tree, content = Tree(hashed_patients(table, schema, key)), 0
    for row in row_bytes(table, schema):
        content = (content + int.from_bytes(keyed_hash(key, _ROW + row), "big")) % _WRAP
    return Census(len(table), tree.leaves, tree.root.hex(), f"{content:064x}")
