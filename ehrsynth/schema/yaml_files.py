"""Schemas as YAML files that people read and edit.

A word in a schema file is what stands there: ``No``, ``1e3``, ``0x1F``, ``012`` or ``2020-01-01`` is never
turned into a truth, a number or a day on the way (YAML 1.1 would); the schema says what each field holds.
Only ``null``, ``~`` and nothing at all stand for no value. What is written is quoted so that any other YAML
reader gets the same words.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from ehrsynth.errors import SchemaError
from ehrsynth.files import whole_file
from ehrsynth.schema.complaints import schema_from
from ehrsynth.schema.schema import Schema

_WIDTH = 100
_PLAIN = re.compile(r"[^\W\d][\w.()%/+-]*( [\w.()%/+-]+)*")
_LISTS = ("columns", "constraints", "left_out")
# Read as truth or as nothing by some YAML version.
_SPECIAL = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}


def load_schema(path: Path | str) -> Schema:
    """Read a schema file.

    Raises
    ------
    SchemaError
        Lists every problem in plain words, by column.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path} cannot be read: {error.strerror}") from error
    values, repeated = _plain_values(raw, str(path))
    try:
        schema = schema_from(values, said=str(path))
    except SchemaError as error:
        raise SchemaError(error.summary, [*repeated, *error.problems]) from None
    if repeated:
        raise SchemaError(f"{path} says things twice", repeated)
    return schema


def _plain_values(raw: bytes, said: str) -> tuple[object, list[str]]:
    try:
        loader = _Loader(raw)
        values: Any = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SchemaError(f"{said} is not YAML", [f"{where}{error.problem}"]) from None
    except (yaml.YAMLError, UnicodeError, RecursionError):
        raise SchemaError(f"{said} is not a YAML file of text") from None
    if isinstance(values, dict) and values.get("format") == "1":
        values["format"] = 1
    return values, loader.repeated


class _Loader(yaml.SafeLoader):
    """YAML whose plain words stay words; notes the names that stand twice in one block."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way; nothing changes it

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                problem = "a name is needed before the colon"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if name in seen:
                self.repeated.append(f"line {key.start_mark.line + 1}: {name!r} stands twice in one block")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)


def save_schema(schema: Schema, path: Path | str, *, comments: Mapping[str, str] | None = None) -> None:
    """Write a schema file, whole or not at all; see `schema_text`.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with whole_file(path) as draft:
        draft.write_text(schema_text(schema, comments), encoding="utf-8", newline="\n")


def schema_text(schema: Schema, comments: Mapping[str, str] | None = None) -> str:
    """A schema as YAML: one block a column, lists in one line where they fit.

    Parameters
    ----------
    comments
        Column name to a comment that is written above it.
    """
    values, comments = schema.as_json(), comments or {}
    head = {key: value for key, value in values.items() if key not in _LISTS}
    text = _dumped(head)
    for part in _LISTS:
        if values.get(part):
            items = [
                _comment(comments.get(item.get("name", ""), "")) + _dumped([item]) for item in values[part]
            ]
            text += f"{part}:\n{indent(''.join(items), '  ')}"
    return text


def _comment(text: str) -> str:
    # Some characters end a line for YAML that do not end one for others.
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()]
    return "".join(f"# {line.strip()}\n" for line in lines if line.strip())


def _dumped(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


class _Dumper(yaml.SafeDumper):
    """Block style, with lists of words and numbers in flow style and doubtful words in quotes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        super().increase_indent(flow, False)  # noqa: FBT003

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write everything out, however often it occurs."""
        return True


def _represent_word(dumper: _Dumper, word: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(word) and word.lower() not in _SPECIAL
    style = None if plain else "'" if word.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", word, style=style)


def _represent_list(dumper: _Dumper, items: list[Any]) -> yaml.SequenceNode:
    flow = not any(isinstance(item, list | dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)


_Dumper.add_representer(str, _represent_word)
_Dumper.add_representer(list, _represent_list)
