"""SDV's metadata as plain JSON: written from a schema, and read as the part of a schema that it knows.

Nothing of SDV is imported. What is written has version ``V2`` (SDV 2): kinds, bounds, decimals, values,
missingness, date formats and the primary key. Lost on the way: roles, units, labels, code systems, durations
(they become numbers), the words of booleans, rules, missing codes, sources and citations.

What is read may have version ``V1`` too (one table or several), which knows no bounds and no values.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehrsynth.errors import SchemaError
from ehrsynth.files import write_json
from ehrsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    LearntColumn,
)
from ehrsynth.schema.schema import Schema

_VERSIONS = ("V1", "V2", "SINGLE_TABLE_V1", "SINGLE_TABLE_V2", "MULTI_TABLE_V1")
_WHOLE = ("Int", "UInt")
_CLOCK = re.compile(r"%[HIMSTXcp]")
_LITERAL = r"((?:[^\\\[\](){}.*+?|^$]|\\\W)*)"
_RUNNING = re.compile(rf"{_LITERAL}\[0-9\]\{{(\d+)\}}{_LITERAL}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What SDV's metadata knows of a schema.

    `columns` are in the words of a schema file (``name``, ``kind``, ``minimum`` ...); what SDV does not say
    is left open for `ehrsynth schema infer` or a person. `left_out` names the columns of kinds that are not
    learnt here (names, addresses, telephone numbers and the like).
    """

    name: str
    columns: tuple[Mapping[str, Any], ...]
    left_out: tuple[str, ...]


def load_sdv(path: Path | str, *, name: str) -> Knowledge:
    """Read a file of SDV's metadata; see `from_sdv`.

    Raises
    ------
    SchemaError
        If it cannot be read, is no JSON, or no metadata that is known.
    """
    try:
        found = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise SchemaError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{path} is not JSON", ["SDV writes it with metadata.save_to_json"]) from error
    if not isinstance(found, Mapping):
        raise SchemaError(f"{path} is no SDV metadata", ["expected `tables` or `columns`"])
    return from_sdv(found, name=name)


def save_sdv(schema: Schema, path: Path | str) -> None:
    """Write a schema as a file of SDV's metadata; see `to_sdv`.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    write_json(path, to_sdv(schema))


def to_sdv(schema: Schema) -> dict[str, Any]:
    """A schema as SDV's metadata of one table; the head of this module says what is lost."""
    columns = {column.name: _written(column) for column in schema.columns}
    table: dict[str, Any] = {"columns": columns}
    if schema.patient_key is not None:
        columns[schema.patient_key] = {"sdtype": "id"} | _pattern(schema.column(schema.patient_key))
        table["primary_key"] = schema.patient_key
    return {"METADATA_SPEC_VERSION": "V2", "tables": {schema.name: table}, "relationships": []}


def _written(column: LearntColumn | IdentifierColumn) -> dict[str, Any]:
    nullable = {"range_is_nullable": column.missing}
    match column:
        case IdentifierColumn():
            return {"sdtype": "id"} | _pattern(column) | nullable
        case CategoryColumn() | CodeColumn():
            ordered = isinstance(column, CategoryColumn) and column.ordered
            kind = "ordinal" if ordered else "categorical"
            return {"sdtype": kind, "range_values": list(column.values)} | nullable
        case BooleanColumn():
            return {"sdtype": "boolean"} | nullable
        case DateColumn() | DatetimeColumn():
            bounds = (column.minimum.strftime(column.format), column.maximum.strftime(column.format))
            said = {"sdtype": "datetime", "datetime_format": column.format}
            return said | {"range_min": bounds[0], "range_max": bounds[1]} | nullable
    decimals = 0 if isinstance(column, IntegerColumn) else column.decimals
    bounds_said = {"range_min": column.minimum, "range_max": column.maximum}
    return {"sdtype": "numerical", "decimal_places": decimals} | bounds_said | nullable


def _pattern(column: LearntColumn | IdentifierColumn) -> dict[str, str]:
    if not isinstance(column, IdentifierColumn):
        return {}
    before, digits, after = re.split("(#+)", column.pattern)
    return {"regex_format": f"{re.escape(before)}[0-9]{{{len(digits)}}}{re.escape(after)}"}


def from_sdv(metadata: Mapping[str, Any], *, name: str) -> Knowledge:
    """What SDV's metadata, as read from its JSON, says about a table.

    Parameters
    ----------
    name
        What the schema will be called, and which table to take if there are several.

    Raises
    ------
    SchemaError
        If it is no such metadata, of a version that is not known, or holds several tables and none of this
        name.
    """
    table = _table(metadata, name)
    columns = table.get("columns")
    if not isinstance(columns, Mapping) or not all(isinstance(c, Mapping) for c in columns.values()):
        raise SchemaError("this is no SDV metadata", ["expected `columns` with an sdtype each"])
    known, left_out = [], []
    for column, said in columns.items():
        read = _READERS.get(str(said.get("sdtype")))
        if read is None:
            left_out.append(str(column))
            continue
        key = {"roles": ["patient_key"]} if column == table.get("primary_key") else {}
        missing = {"missing": said["range_is_nullable"]} if "range_is_nullable" in said else {}
        known.append({"name": str(column), **read(said), **missing, **key})
    return Knowledge(name, tuple(known), tuple(left_out))


def _table(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    version = metadata.get("METADATA_SPEC_VERSION")
    if version not in _VERSIONS:
        problem = f"METADATA_SPEC_VERSION is {version!r}; known: {', '.join(_VERSIONS)}"
        raise SchemaError("this is no SDV metadata that is known here", [problem])
    tables = metadata.get("tables", {name: metadata})
    if not isinstance(tables, Mapping) or not tables:
        raise SchemaError("this is no SDV metadata", ["expected `tables`"])
    if len(tables) > 1 and name not in tables:
        named = ", ".join(sorted(map(str, tables)))
        raise SchemaError(f"the SDV metadata has {len(tables)} tables", [f"name one of them: {named}"])
    found = tables[name] if name in tables else next(iter(tables.values()))
    return found if isinstance(found, Mapping) else {}


def _read_numerical(said: Mapping[str, Any]) -> dict[str, Any]:
    whole = str(said.get("computer_representation", "")).startswith(_WHOLE) or said.get("decimal_places") == 0
    bounds = {ours: said[theirs] for ours, theirs in _BOUNDS.items() if theirs in said}
    if whole:
        return {"kind": "integer", **bounds}
    digits = {"decimals": said["decimal_places"]} if "decimal_places" in said else {}
    return {"kind": "number", **bounds, **digits}


def _read_categorical(said: Mapping[str, Any]) -> dict[str, Any]:
    ordered = said.get("sdtype") == "ordinal" or "order" in said
    values = said.get("range_values", said.get("order"))
    listed = {"values": [str(value) for value in values]} if isinstance(values, list) else {}
    return {"kind": "category", **listed, **({"ordered": True} if ordered else {})}


def _read_datetime(said: Mapping[str, Any]) -> dict[str, Any]:
    form = str(said.get("datetime_format", ""))
    kind = "date" if form and not _CLOCK.search(form) else "datetime"
    bounds = {}
    for ours, theirs in _BOUNDS.items():
        try:
            moment = dt.datetime.strptime(str(said[theirs]), form)  # noqa: DTZ007 - tables hold no time zones
        except (KeyError, ValueError):
            continue
        bounds[ours] = moment.date().isoformat() if kind == "date" else moment.isoformat(timespec="seconds")
    return {"kind": kind, **bounds, **({"format": form} if form else {})}


def _read_id(said: Mapping[str, Any]) -> dict[str, Any]:
    running = _RUNNING.fullmatch(str(said.get("regex_format", "")))
    if running is None:
        return {"kind": "identifier"}
    before, after = (re.sub(r"\\(\W)", r"\1", part) for part in (running[1], running[3]))
    return {"kind": "identifier", "pattern": f"{before}{'#' * int(running[2])}{after}"}


_BOUNDS = {"minimum": "range_min", "maximum": "range_max"}
_READERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "numerical": _read_numerical,
    "categorical": _read_categorical,
    "ordinal": _read_categorical,
    "boolean": lambda _: {"kind": "boolean"},
    "datetime": _read_datetime,
    "id": _read_id,
}
