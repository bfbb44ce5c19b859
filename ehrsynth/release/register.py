"""The register of a data set: everything that was learnt from it and left, and what that cost its patients.

Epsilon adds up over all that is learnt under differential privacy, whether the gate then said yes or no: who
tries until a table passes has looked at the patients each time. Tables that left without a guarantee are kept
in mind by their place, so that attacks can be tried on all of them together.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ehrsynth.dp.composition import composed
from ehrsynth.dp.events import event_from
from ehrsynth.errors import BudgetExceeded, OutputError, RequestError
from ehrsynth.files import canonical_json, write_json
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.schema import Schema

NAME = "ehrsynth-register.json"
FORMAT = 1
_WAIT, _PATIENCE = 0.1, 100
_ROUNDING = 1e-6
_SALT_BYTES = 32

Marking = Callable[
    [bytes], tuple[str, ...]
]  # by a register's salt what a table is known by: `looks.Marks.kept`


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was learnt from a data set.

    Parameters
    ----------
    what
        "model" (a model folder), "release", "blocked" (a release that the gate refused) or "broken
        off" (a fit that ended without a model).
    place
        The folder, as it was named.
    table
        The synthetic table that left; empty where none did.
    spent
        The guarantee as plain values; None: there is none.
    schema
        Hash of the schema without its name (see `likeness`); empty where it is not known.
    marks
        What the table is known by, whatever its schema says (`ehrsynth.release.looks.Marks`).
    """

    date: str
    what: str
    place: str
    table: str
    spent: Mapping[str, Any] | None
    schema: str = ""
    marks: tuple[str, ...] = ()

    @classmethod
    def now(
        cls, what: str, place: Path, table: Path | None, privacy: PrivacySpent | None, *, schema: str = ""
    ) -> Self:
        """An entry of this moment; a guarantee that does not hold is none."""
        holds = privacy is not None and not privacy.void
        kept = None if table is None else str(table.absolute())
        return cls(
            datetime.now(UTC).isoformat(timespec="seconds"),
            what,
            str(place.absolute()),
            kept or "",
            privacy.as_json() if privacy is not None and holds else None,
            schema,
        )


@dataclass(frozen=True, slots=True)
class Total:
    """What a data set's patients have paid in all: epsilon at a delta, over so many fits."""

    epsilon: float
    delta: float
    fits: int


def place_of(out: Path, register: Path | None) -> Path:
    """The register to use: the one that was named, else the one beside what is written."""
    return register if register is not None else out.absolute().parent / NAME


def likeness(schema: Schema) -> str:
    """Hex SHA-256 of a schema without what it is called: a data set under a new name is still known by it."""
    called = {"name", "title", "description"}
    bare = {key: value for key, value in schema.as_json().items() if key not in called}
    return hashlib.sha256(canonical_json(bare)).hexdigest()


def entries(register: Path, data: str, alike: str = "", marking: Marking | None = None) -> tuple[Entry, ...]:
    """Everything that a register holds of a data set; nothing without a register.

    Parameters
    ----------
    data
        The data set's name: its schema's.
    alike
        The likeness of its schema: entries of an equal one under another name count too.
    marking
        Entries of the very same table count too, whatever its schema says of it.

    Raises
    ------
    RequestError
        If the file is no register: it is never begun anew over a damaged one.
    """
    content = content_of(register)
    salt = content["looks"]["salt"]
    marks = marking(bytes.fromhex(salt)) if marking is not None and salt else ()
    return _of_one_data_set(content, {data}, {alike}, marks)


def _of_one_data_set(
    content: Mapping[str, Any], names: Iterable[str], schemas: Iterable[str], marks: Iterable[str]
) -> tuple[Entry, ...]:
    """Entries that hang together by a name, a schema or a table, over however many others."""
    every = [(name, one) for name, kept in content["data"].items() for one in kept]
    names, schemas, marks = {*names}, {*schemas} - {""}, {*marks}
    found: list[tuple[str, Entry]] = []
    while True:
        more = [(n, e) for n, e in every if n in names or e.schema in schemas or marks & {*e.marks}]
        if len(more) == len(found):
            return tuple(entry for _, entry in found)
        found = more
        names |= {name for name, _ in found}
        schemas |= {entry.schema for _, entry in found} - {""}
        marks |= {mark for _, entry in found for mark in entry.marks}


def content_of(register: Path) -> dict[str, Any]:
    """All that a register holds: "data" (a data set's name to its entries) and "looks" (`release.looks`).

    Raises
    ------
    RequestError
        If the file is no register.
    """
    looks: dict[str, Any] = {"salt": "", "kept": []}
    if not register.is_file():
        return {"format": FORMAT, "data": {}, "looks": looks}
    try:
        found = json.loads(register.read_bytes())
        if found["format"] != FORMAT:
            message = f"{register} has register format {found['format']}; this version reads {FORMAT}"
            raise RequestError(message)
        data = {name: [_entry(entry) for entry in kept] for name, kept in found["data"].items()}
        looks |= dict(found.get("looks", {}))
        bytes.fromhex(looks["salt"])
        looks["kept"] = [{"marks": [], **look} for look in looks["kept"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{register} is no register of ehrsynth, or it is damaged: use an intact copy"
        raise RequestError(message) from error
    return {"format": FORMAT, "data": data, "looks": looks}


def _entry(values: Mapping[str, Any]) -> Entry:
    return Entry(**{**values, "marks": tuple(values.get("marks", ()))})


def total(kept: Sequence[Entry], delta: float) -> Total:
    """Epsilon over all entries with a guarantee, at a delta (see `ehrsynth.dp.composition`).

    Where an entry names no mechanism, epsilons and deltas add up.
    """
    paid = [PrivacySpent.from_json(entry.spent) for entry in kept if entry.spent is not None]
    if not paid:
        return Total(0.0, delta, 0)
    if len(paid) == 1 and paid[0].delta <= delta:
        return Total(paid[0].epsilon, delta, 1)
    if any(not one.events for one in paid):
        return Total(sum(one.epsilon for one in paid), sum(one.delta for one in paid), len(paid))
    events = [([event_from(event) for event in one.events], one.rows_per_patient) for one in paid]
    return Total(composed(events, delta), delta, len(paid))


def check_cap(kept: Sequence[Entry], new: Entry | None, delta: float, cap: float) -> Total:
    """The total with a new entry, if it stays within the hospital's cap and within a delta.

    Raises
    ------
    BudgetExceeded
        If it does not.
    """
    found = total([*kept, *([new] if new is not None else [])], delta)
    if found.epsilon > cap * (1 + _ROUNDING):
        raise BudgetExceeded(
            f"epsilon over all that was learnt from these patients would be {found.epsilon:.3g} "
            f"({found.fits} fits), and the policy's cap is {cap:g}: nothing is released",
            ["ask for less epsilon, release an earlier table again, or let whoever set epsilon_cap raise it"],
        )
    if found.delta > delta * (1 + _ROUNDING):
        raise BudgetExceeded(
            f"delta over all that was learnt from these patients would be {found.delta:.3g} ({found.fits} "
            f"fits), and at most {delta:.3g} is allowed: nothing is released"
        )
    return found


def check_asked(kept: Sequence[Entry], epsilon: float, delta: float, cap: float) -> None:
    """Raise before anything is learnt, where an epsilon that is asked for cannot be within the cap.

    Raises
    ------
    BudgetExceeded
        If what was spent has passed the cap already, or the epsilon alone is above it.
    """
    asked = {"epsilon": epsilon, "delta": delta, "accountant": "asked for"}
    # What it will cost with the others is known once it is learnt; each alone is a lower end.
    for lower in (kept, (Entry("", "", "", "", asked),)):
        check_cap(lower, None, delta, cap)


def add(
    register: Path, data: str, entry: Entry, *, delta: float, cap: float, marking: Marking | None = None
) -> Total:
    """Write an entry, unless the cap would be passed; two processes do it one after the other.

    The total with it is given; nothing where it has no guarantee.

    Parameters
    ----------
    marking
        What the table is known by is written down with the entry.

    Raises
    ------
    BudgetExceeded
        If the cap would be passed: nothing is written.
    OutputError
        If the register cannot be written.
    """
    with alone(register):
        content = content_of(register)
        if marking is not None:
            entry = replace(entry, marks=marking(salted(content)))
        kept = _of_one_data_set(content, {data}, {entry.schema}, entry.marks)
        free = entry.spent is None
        found = Total(0.0, delta, 0) if free else check_cap(kept, entry, delta, cap)
        content["data"].setdefault(data, []).append(entry)
        write_content(register, content)
    return found


def salted(content: dict[str, Any]) -> bytes:
    """The salt of a register's marks, drawn where it has none yet; for whoever holds it `alone`."""
    if not content["looks"]["salt"]:
        content["looks"]["salt"] = secrets.token_bytes(_SALT_BYTES).hex()
    return bytes.fromhex(content["looks"]["salt"])


def write_content(register: Path, content: Mapping[str, Any]) -> None:
    """Write what `content_of` gave; for whoever holds it `alone`."""
    data = {name: [asdict(one) for one in kept] for name, kept in content["data"].items()}
    write_json(register, {**content, "data": data})


@contextmanager
def alone(register: Path) -> Iterator[None]:
    """Hold a register for oneself while it is read and written.

    Raises
    ------
    OutputError
        If it cannot be written, or another process holds it for too long.
    """
    lock = register.with_name(f".{register.name}.lock")
    register.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_PATIENCE):
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            time.sleep(_WAIT)
        except OSError as error:
            message = f"{register} cannot be written ({error.strerror}): name another place with --register"
            raise OutputError(message) from error
    else:
        message = (
            f"{lock} is there: another release writes the register, or one was killed; then remove the file"
        )
        raise OutputError(message)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def earlier_tables(
    register: Path, data: str, alike: str = "", marking: Marking | None = None
) -> tuple[Path, ...]:
    """The tables of a data set that left without a guarantee.

    Raises
    ------
    RequestError
        If one of them is neither where it was written nor beside the register.
    """
    there, gone = tables_there(register, data, alike, marking)
    if gone:
        raise RequestError(
            f"{len(gone)} of {len(there) + len(gone)} earlier tables of {data!r} are neither where they were "
            f"written ({gone[0].parent.parent.name}) nor beside the register: the attacks must be tried on "
            f"all together. Put them back, or take what never left out of {register}"
        )
    return there


def tables_there(
    register: Path, data: str, alike: str = "", marking: Marking | None = None
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The tables of a data set that left without a guarantee: those that are at hand, and those that are not.

    Where a whole tree was moved, a release stands beside the register as before.
    """
    kept = [e for e in entries(register, data, alike, marking) if e.table and e.spent is None]
    written = {e.table for every in content_of(register)["data"].values() for e in every}
    there, gone = list[Path](), list[Path]()
    for entry in kept:
        table = Path(entry.table)
        moved = register.absolute().parent / Path(entry.place).name / table.parent.name / table.name
        if table.is_file():
            there.append(table)
        elif moved.is_file() and str(moved) not in written:
            there.append(moved)
        else:
            gone.append(table)
    return tuple(there), tuple(gone)
