"""A fitted model as a folder: JSON, safetensors, the schema and a seal. Loading it runs no code.

``model.json`` names the generator as the registry knows it (never a dotted path) and holds the recipe and
plain values; ``weights.safetensors`` holds arrays; ``schema.yaml`` the schema; ``seal.json`` the hashes.
Beside them may stand what is no part of the model: what forgetting needs, a certificate, its withdrawal.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save, save_file

from ehrsynth.errors import ModelError, RequestError, SchemaError
from ehrsynth.files import SEAL, canonical_json, check_seal, seal, whole_folder
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Parts
from ehrsynth.generators.coverage import Coverage
from ehrsynth.registry import resolve
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema, save_schema

FORMAT = 1
COVERAGE = "coverage"  # only where a table was learnt piece by piece
MODEL, WEIGHTS, SCHEMA = "model.json", "weights.safetensors", "schema.yaml"
FILES = (MODEL, WEIGHTS, SCHEMA, SEAL)
WITHDRAWN = "withdrawn.json"
BESIDE = ("internal", "certificate.json", WITHDRAWN)  # in the folder, and no part of the model
_PARTS = ("share", "internal")  # of a release, whose model stands in the second
_HEAD = 8  # bytes that say how long the values are
_FIELDS = {"format", "ehrsynth", "generator", "recipe", "schema_hash", "values"}
# What rebuilding from parts of the wrong shape, type or name raises, in numpy, torch and plain Python.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError)


def save_model(
    fitted: AbstractFitted, folder: Path | str, *, beside: Callable[[Path], None] | None = None
) -> None:
    """Write a fitted model, whole or not at all.

    Parameters
    ----------
    beside
        Called with the folder when the model is in it and sealed, and before it gets its name: writes what is
        to stand beside the model.

    Raises
    ------
    OutputError
        If the folder exists and is not empty, or cannot be written.
    """
    parts = fitted.parts()
    model = {
        "format": FORMAT,
        "ehrsynth": version("ehrsynth"),
        "generator": fitted.recipe.name,
        "recipe": fitted.recipe.model_dump(mode="json"),
        "schema_hash": fitted.schema.hash(),
        "values": dict(parts.values),
    }
    if fitted.coverage is not None:
        model[COVERAGE] = asdict(fitted.coverage)
    # asarray with a copy keeps arrays of no dimension, which ascontiguousarray would not.
    arrays = {name: np.array(array, order="C", copy=True) for name, array in parts.arrays.items()}
    with whole_folder(folder) as draft:
        (draft / MODEL).write_bytes(canonical_json(model))
        save_file(arrays, draft / WEIGHTS)
        save_schema(fitted.schema, draft / SCHEMA)
        seal(draft)
        if beside is not None:
            beside(draft)


def load_model(folder: Path | str) -> AbstractFitted:
    """Read a model folder back: it then samples exactly as the model that was saved.

    Raises
    ------
    ModelError
        If the folder is foreign, changed, of a newer format, or its parts do not fit together; or if it was
        withdrawn.
    MissingPackage
        If the generator needs an optional package that is not installed.
    """
    folder = Path(folder)
    if withdrawal_mark(folder) is not None:
        raise ModelError(f"{folder} was withdrawn: patients of it were forgotten. Use what took its place")
    check_seal(folder, beside=BESIDE)
    model = _read_model(folder)
    try:
        schema = load_schema(folder / SCHEMA)
    except SchemaError as error:
        raise _damaged(folder, "its schema cannot be read") from error
    if schema.hash() != model["schema_hash"]:
        raise _damaged(folder, "its schema is not the one that it was fitted with")
    recipe = _recipe(folder, model)
    fitted = _rebuilt(folder, recipe, schema, Parts(model["values"], _read_arrays(folder)))
    return replace(fitted, coverage=_coverage(folder, model)) if COVERAGE in model else fitted


def withdrawal_mark(folder: Path) -> Path | None:
    """The file that says that a folder was withdrawn, or the release of which it is a part; None without one.

    A release's mark stands beside its two folders: whoever names one of them, or the model, must meet it too.
    """
    place = folder.resolve()
    above = [place, *place.parents]
    names = [one.name for one in above]
    deep = 1 if names[0] in _PARTS else 2 if names[1:2] == [_PARTS[1]] else 0
    marks = (one / WITHDRAWN for one in (place, above[deep]))
    return next((mark for mark in marks if mark.is_file()), None)


def _coverage(folder: Path, model: dict[str, Any]) -> Coverage:
    try:
        return Coverage(**model[COVERAGE])
    except TypeError as error:
        raise _damaged(folder, "it does not say from how many patients it learnt") from error


def _rebuilt(folder: Path, recipe: AbstractGenerator, schema: Schema, parts: Parts) -> AbstractFitted:
    try:
        return type(recipe).fitted.from_parts(schema, recipe, parts)
    except _DAMAGE as error:
        raise _damaged(folder, f"its parts do not fit together ({type(error).__name__})") from error


def packed(fitted: AbstractFitted) -> bytes:
    """What a model has learnt, as bytes for `unpacked`, which must know its schema and its recipe."""
    parts = fitted.parts()
    values = canonical_json(dict(parts.values))
    arrays = {name: np.array(array, order="C", copy=True) for name, array in parts.arrays.items()}
    return len(values).to_bytes(_HEAD, "big") + values + save(arrays)


def unpacked(schema: Schema, recipe: AbstractGenerator, content: bytes) -> AbstractFitted:
    """The model that `packed` was given."""
    end = _HEAD + int.from_bytes(content[:_HEAD], "big")
    parts = Parts(json.loads(content[_HEAD:end]), dict(load(content[end:])))
    return type(recipe).fitted.from_parts(schema, recipe, parts)


def _read_model(folder: Path) -> dict[str, Any]:
    try:
        model = json.loads((folder / MODEL).read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{MODEL} cannot be read") from error
    if not isinstance(model, dict) or not isinstance(model.get("format"), int):
        raise _damaged(folder, f"{MODEL} is no model")
    if model["format"] > FORMAT:
        message = (
            f"{folder} has model format {model['format']}; this version reads up to {FORMAT}: update ehrsynth"
        )
        raise ModelError(message)
    if set(model) - {COVERAGE} != _FIELDS or not isinstance(model["values"], dict):
        raise _damaged(folder, f"{MODEL} does not have the fields of a model")
    return model


def _recipe(folder: Path, model: dict[str, Any]) -> AbstractGenerator:
    try:
        kind = cast("type[AbstractGenerator]", resolve("generator", str(model["generator"])))
    except RequestError as error:
        message = f"{folder} was made by a generator that is not here: {error}"
        raise ModelError(message) from error
    try:
        return kind.model_validate(model["recipe"])
    except ValidationError as error:
        raise _damaged(folder, "its recipe is none of this generator's") from error


def _read_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    try:
        return dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise _damaged(folder, f"{WEIGHTS} cannot be read") from error


def _damaged(folder: Path, why: str) -> ModelError:
    return ModelError(f"{folder} cannot be loaded: {why}. Use an intact copy, or fit again")
