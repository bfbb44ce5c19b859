"""From plain values to a schema; what is wrong with them becomes plain sentences, all at once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ehrsynth.errors import SchemaError, unknown
from ehrsynth.schema.columns import Column, Strict
from ehrsynth.schema.constraints import Constraint
from ehrsynth.schema.schema import LeftOut, PublicRows, Schema

TEXT_REFUSED = "free text is refused for now: move the column to left_out"
_PARTS: dict[str, Any] = {
    "columns": Column,
    "constraints": Constraint,
    "left_out": LeftOut,
    "rows": PublicRows,
    "population": PublicRows,
}
_COUNTS = tuple(name for name, part in _PARTS.items() if part is PublicRows)
_LONGEST_SHOWN = 40
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a word",
    "tuple": "a list",
    "dict": "names with a value each",
    "model": "names with a value each",
    "date": "a date such as 2020-01-31",
    "datetime": "a date with a time such as 2020-01-31T14:30:00",
    "finite": "a finite number",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "above"),
    "less_than": ("lt", "below"),
}


def schema_from(values: object, *, said: str = "the schema") -> Schema:
    """Build a schema from plain values, as JSON or YAML hold them.

    Parameters
    ----------
    said
        How the error calls the schema, for instance its file's name.

    Raises
    ------
    SchemaError
        Lists every problem: unknown fields, absent ones, impossible values, duplicate columns, rules that do
        not fit.
    """
    if not isinstance(values, Mapping):
        raise SchemaError(f"{said} is no schema", ["expected fields such as `name:` and `columns:`"])
    try:
        return Schema.model_validate(dict(values))
    except ValidationError as error:
        problems = [*_sentences(error, values), *_duplicates(error, values)]
    raise SchemaError(f"{said} is not a valid schema", problems)


def _sentences(error: ValidationError, values: Mapping[Any, Any]) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # it is short only of what other problems took away
        subject, rest = _subject(detail["loc"], values)
        for said in _said(detail, subject, rest).split("\n"):
            yield f"{subject}: {said}" if subject else said


def _duplicates(error: ValidationError, values: Mapping[Any, Any]) -> Iterator[str]:
    """Columns declared twice, where other problems kept the schema's own check from running."""
    if any(not detail["loc"] for detail in error.errors(include_url=False)):
        return
    parts = [_items(values, "columns"), _items(values, "left_out")]
    names = [
        str(item["name"]) for items in parts for item in items if isinstance(item, Mapping) and "name" in item
    ]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"column {name!r} is declared {count} times"


def _items(values: Mapping[Any, Any], part: str) -> list[Any]:
    items = values.get(part)
    return list(items) if isinstance(items, list | tuple) else []


def _subject(loc: tuple[int | str, ...], values: Mapping[Any, Any]) -> tuple[str, tuple[int | str, ...]]:
    """What a problem is about, in words, and where in it; the kind that pydantic adds is dropped."""
    if len(loc) > 1 and loc[0] in {"columns", "constraints", "left_out"} and isinstance(loc[1], int):
        part, place = str(loc[0]), loc[1]
        item = _items(values, part)[place]
        fields = item if isinstance(item, Mapping) else {}
        rest = loc[2:] if part == "left_out" else loc[3:]
        if part == "constraints":
            return f"constraint {place + 1}{_bracketed(fields.get('kind'))}", rest
        name = fields.get("name")
        said = f"column number {place + 1}" if name is None else f"column {str(name)!r}"
        return (said if part == "columns" else f"left_out, {said}"), rest
    if loc and loc[0] in _COUNTS:
        return str(loc[0]), loc[1:]
    return "", loc


def _bracketed(kind: object) -> str:
    return "" if kind is None else f" ({kind})"


def _said(detail: ErrorDetails, subject: str, rest: tuple[int | str, ...]) -> str:
    kind, field = detail["type"], _field(rest)
    if kind == "extra_forbidden":
        return _unknown_field(str(rest[-1]), _known_fields(detail["loc"]), field)
    if kind == "missing":
        return f"needs {str(rest[-1])!r}" if subject else f"{str(rest[-1])!r} is absent"
    if kind.startswith("union_tag"):
        return _kind_said(detail)
    if kind == "model_type" and subject in _COUNTS:
        return _count_said(subject, detail["input"])
    said = _value_said(detail)
    return f"{field} {said}" if field else said


def _unknown_field(name: str, known: tuple[str, ...], field: str) -> str:
    near = get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
    return f"unknown field {field or repr(name)}{meant if known else ''}"


def _kind_said(detail: ErrorDetails) -> str:
    part = _PARTS[str(detail["loc"][0])]
    kinds = sorted(_models(part))
    if detail["type"] == "union_tag_not_found":
        return f"needs a kind: one of {', '.join(kinds)}"
    given = str(detail.get("ctx", {}).get("tag"))
    return TEXT_REFUSED if given == "text" and part is Column else unknown("kind", given, kinds)


def _count_said(name: str, given: object) -> str:
    """A bare number is the likely slip, so what to write in its place holds the number."""
    count = str(given) if str(given).isdecimal() else "N"
    line = f"{name}: {{value: {count}, source: public, citation: WHERE IT IS SAID}}"
    return f"is {_shown(given)}; a count says where it is known from: write `{line}`"


def _value_said(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", detail["msg"]))
    given = _shown(detail["input"])
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"is {given}; it must be {words} {context[key]}"
    if kind == "literal_error":
        return f"is {given}; allowed: {context['expected']}"
    if kind == "too_short":
        return f"needs at least {context['min_length']} of them"
    if kind == "string_too_short":
        return "is empty"
    wanted = _TYPES.get(kind.split("_")[0])
    return f"is {given}; it must be {wanted}" if wanted else f"is {given}: {detail['msg']}"


def _shown(given: object) -> str:
    if given is None:
        return "empty"
    if isinstance(given, Mapping | list | tuple):
        return "a list" if not isinstance(given, Mapping) else "a set of names and values"
    said = repr(given)
    return said if len(said) <= _LONGEST_SHOWN else f"{said[:_LONGEST_SHOWN]}..."


def _field(rest: tuple[int | str, ...]) -> str:
    names = [str(part) for part in rest if isinstance(part, str) and part != "[key]"]
    places = [part + 1 for part in rest if isinstance(part, int)]
    where = ".".join(names)
    return repr(where) + (f", number {places[0]}," if places else "") if where else ""


def _known_fields(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    if len(loc) == 1:
        return tuple(Schema.model_fields)
    part = _PARTS.get(str(loc[0]))
    model = _models(part).get(str(loc[2])) if len(loc) > 2 and part in {Column, Constraint} else part  # noqa: PLR2004
    fields = model.model_fields.items() if isinstance(model, type) and issubclass(model, Strict) else ()
    return tuple(field.alias or name for name, field in fields)


def _models(union: Any) -> dict[str, type[Strict]]:
    """The models of a discriminated union by their kind."""
    return {model.model_fields["kind"].default: model for model in get_args(get_args(union)[0])}
