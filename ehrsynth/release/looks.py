"""How often the same patients were looked at, by a register that does not say who they are.

Every look is another chance to pass by luck. A table is known again by what it holds, in whatever order, file
and folder: by its rows, and by its patients' keys under the same name of the schema, so that a column more or
less is the same table. Neither is kept: only a slow hash (scrypt, RFC 7914) of all rows together under the
register's own salt. It can be made again from the whole table and from nothing less; whoever knows all
patients but one and guesses at that one pays for each guess.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.release.register import alone, content_of, salted, write_content
from ehrsynth.schema import Schema
from ehrsynth.tables.splitting import patient_bytes, row_bytes

_SLOW = {"n": 2**14, "r": 8, "p": 1, "maxmem": 2**26, "dklen": 32}


@dataclass(frozen=True, slots=True)
class Marks:
    """What a table is known by: hashes of all its rows together, in memory only; `kept` is written."""

    plain: tuple[bytes, ...]

    def kept(self, salt: bytes) -> tuple[str, ...]:
        """The same, slow and salted, hexadecimal."""
        return tuple(hashlib.scrypt(one, salt=salt, **_SLOW).hex() for one in self.plain)


def marks_of(table: pd.DataFrame, schema: Schema) -> Marks:
    """What a table is known by, as it was read and before anything was made coarser."""
    learnt = schema.subset(tuple(column.name for column in schema.learnt))
    found = [_together(b"rows", row_bytes(table, learnt))]
    if schema.patient_key is not None:
        # Running numbers occur in many tables: they tell a table only under its name.
        found.append(_together(f"patients of {schema.name}".encode(), patient_bytes(table, schema)))
    return Marks(tuple(found))


def _together(what: bytes, rows: Iterable[bytes]) -> bytes:
    whole = hashlib.sha256(what + b"\0")
    for one in sorted(hashlib.sha256(row).digest() for row in rows):
        whole.update(one)
    return whole.digest()


def looks(register: Path, marks: Marks) -> int:
    """How many looks at a table a register holds; 0 without a register.

    Raises
    ------
    RequestError
        If the file is no register, or is damaged.
    """
    held = content_of(register)["looks"]
    if not held["kept"]:
        return 0
    own = {*marks.kept(bytes.fromhex(held["salt"]))}
    return sum(bool(own & {*look["marks"]}) for look in held["kept"])


def enter_look(register: Path, marks: Marks, place: Path, *, released: bool) -> None:
    """Write down that a table was looked at, whatever came of it.

    Raises
    ------
    OutputError
        If the register cannot be written.
    """
    with alone(register):
        content = content_of(register)
        salt = salted(content)
        look: Mapping[str, Any] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "what": "release" if released else "blocked",
            "place": str(place.absolute()),
            "marks": marks.kept(salt),
        }
        content["looks"]["kept"].append(look)
        write_content(register, content)
