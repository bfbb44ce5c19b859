"""From a generator's name and plain settings to its recipe, with every problem said at once."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import ValidationError

from ehrsynth.errors import RequestError, unknown
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.registry import resolve


def recipe(name: str, settings: Mapping[str, object] | None = None) -> AbstractGenerator:
    """The recipe of a registered generator.

    Parameters
    ----------
    name
        A registered name: see ``ehrsynth list generators``.
    settings
        Fields of the recipe that differ from its defaults, for instance ``{"epochs": 20}``.

    Raises
    ------
    RequestError
        If the name or a setting is not known, or a value does not fit; all problems are listed.
    MissingPackage
        If the generator needs an optional package that is not installed.
    """
    kind = cast("type[AbstractGenerator]", resolve("generator", name))
    fields, given = list(kind.model_fields), dict(settings or {})
    problems = [unknown(f"setting of {name}", key, fields) for key in given if key not in fields]
    try:
        made = kind(**{key: value for key, value in given.items() if key in fields})
    except ValidationError as error:
        problems += [_in_words(name, problem["loc"], problem["msg"]) for problem in error.errors()]
    if problems:
        raise RequestError("\n".join(problems))
    return made


def _in_words(name: str, place: tuple[int | str, ...], message: str) -> str:
    return f"setting {'.'.join(map(str, place)) or 'combination'} of {name}: {message}"


def sharded(name: str, settings: Mapping[str, object], shards: int | None) -> tuple[str, dict[str, object]]:
    """The name and settings of so many shards of a generator (see `sharded`); None: the generator's own."""
    if shards is None:
        return name, dict(settings)
    if name == "sharded":
        raise RequestError("shards are given twice: name the generator of each shard, and how many there are")
    return "sharded", {"generator": name, "settings": dict(settings), "shards": shards}


def parse_settings(words: Sequence[str]) -> dict[str, object]:
    """Settings from words of the form ``key=value``; a value is JSON where it can be read so, else a string.

    >>> parse_settings(["epochs=20", "layers=[64, 64]", "kind=wide"])
    {'epochs': 20, 'layers': [64, 64], 'kind': 'wide'}

    Raises
    ------
    RequestError
        If a word has no ``=``, or a key is given twice.
    """
    settings: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise RequestError(f"{word!r} is no setting: write key=value, for instance epochs=20")
        if key in settings:
            raise RequestError(f"setting {key!r} is given twice: give it once")
        settings[key] = _value(value)
    return settings


def _value(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return text
