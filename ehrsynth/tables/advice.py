"""What SDV's metadata says of a column wins over what the column's words suggest, unless they contradict it.

The metadata was written by a person or was itself guessed from data, and does not say which: the proposal
stays ``source: data``, and a comment at each column says where it comes from.
"""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from ehrsynth.schema import Column, IdentifierColumn, LearntColumn, LeftOut
from ehrsynth.schema.sdv_metadata import Knowledge
from ehrsynth.tables.evidence import Evidence, Guess
from ehrsynth.tables.guess_numbers import guess_numbers
from ehrsynth.tables.parsing import parse_words

# Kinds between which the metadata's fields can be carried over.
_FAMILIES = (
    {"integer", "number", "duration"},
    {"date", "datetime"},
    {"category", "code"},
    {"boolean"},
    {"identifier"},
)
_COLUMN: TypeAdapter[Any] = TypeAdapter(Column)
_FIELDS = {
    model.model_fields["kind"].default: set(model.model_fields)
    for model in (*get_args(LearntColumn), IdentifierColumn)
}


def advised(guess: Guess, found: Evidence, knowledge: Knowledge, *, decimal_comma: bool) -> Guess:
    """A guess, corrected by SDV's metadata.

    Kind, bounds, values, decimals and date format are taken from the metadata; what it leaves open stays as
    guessed, and missing is allowed where either allows it. Durations and code systems, which it cannot name,
    are kept. A statement that some word of the column contradicts is not followed, and the comment says so.
    """
    if found.name in knowledge.left_out:
        reason = "SDV's metadata names a kind that is not learnt here (a name, an address or the like)"
        return Guess(LeftOut(name=found.name, reason=reason))
    said = next((c for c in knowledge.columns if c["name"] == found.name), None)
    if said is None:
        return Guess(guess.column, (*guess.reasons, "SDV's metadata does not name this column"))
    start = _fields(guess, found, str(said["kind"]))
    column = None if start is None else _built({**start, **_stated(said, start, found)})
    if column is None or not _reads(column, found, decimal_comma=decimal_comma):
        reason = f"SDV's metadata says {said['kind']}, which does not fit the column: not followed"
        return Guess(guess.column, (*guess.reasons, reason))
    return Guess(column, (f"{column.kind}, as SDV's metadata says",))


def _fields(guess: Guess, found: Evidence, kind: str) -> dict[str, Any] | None:
    """The fields to begin with: the guess's own, or those of words that must be of the kind that is said."""
    if _alike(guess, kind):
        return guess.column.model_dump()
    if kind == "category":
        return {"name": found.name, "kind": kind, "values": sorted(found.words)}
    if kind == "identifier":
        return {"name": found.name, "kind": kind}
    numbers = guess_numbers(found) if found.words and kind in {"integer", "number"} else None
    return numbers.column.model_dump() if numbers is not None and _alike(numbers, kind) else None


def _alike(guess: Guess, kind: str) -> bool:
    own = "" if isinstance(guess.column, LeftOut) else guess.column.kind
    return any({own, kind} <= family for family in _FAMILIES)


def _stated(said: Mapping[str, Any], start: Mapping[str, Any], found: Evidence) -> dict[str, Any]:
    stated = dict(said)
    open_ = {"number": "decimals", "datetime": "format"}.get(said["kind"])
    if start["kind"] in {"duration", "code"} or (open_ is not None and open_ not in said):
        # Older metadata say "numerical" or "datetime" and no more: the words know better which.
        stated["kind"] = start["kind"]
    stated["missing"] = bool(said.get("missing")) or bool(start.get("missing")) or found.missing
    return stated


def _built(fields: Mapping[str, Any]) -> Any | None:
    """The column of these fields, those that its kind does not have left out; None if they do not fit."""
    known = _FIELDS[fields["kind"]]
    try:
        return _COLUMN.validate_python({name: value for name, value in fields.items() if name in known})
    except ValidationError:
        return None


def _reads(column: Any, found: Evidence, *, decimal_comma: bool) -> bool:
    if isinstance(column, IdentifierColumn):
        return "patient_key" not in column.roles or (found.unique and not found.missing)
    return not any(parse_words(found.words, column, decimal_comma=decimal_comma).problems)
