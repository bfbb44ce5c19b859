"""Model folders: whole, sealed, and nothing but data."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ehrsynth.errors import ModelError, OutputError
from ehrsynth.files import canonical_json, seal
from ehrsynth.generators.independent import Independent
from ehrsynth.generators.storage import MODEL, SCHEMA, WEIGHTS, load_model, save_model
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

WARD = Schema(
    name="ward",
    columns=(
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110},
        {"name": "sex", "kind": "category", "values": ("F", "M")},
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    values = {"age": rng.integers(20, 90, 60).astype(float), "sex": rng.integers(0, 2, 60).astype(float)}
    save_model(Independent().fit(from_values(values, WARD), WARD, seed=1), tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, **changes: object) -> None:
    """Change model.json and seal it again, as a forger would."""
    model = json.loads((folder / MODEL).read_bytes())
    (folder / MODEL).write_bytes(canonical_json(model | changes))
    seal(folder)


def test_the_folder_holds_data_only(folder: Path) -> None:
    assert {f.name for f in folder.iterdir()} == {MODEL, WEIGHTS, SCHEMA, "seal.json"}
    model = json.loads((folder / MODEL).read_bytes())
    assert model["generator"] == "independent"
    assert "ehrsynth.generators" not in (folder / MODEL).read_text()


@pytest.mark.parametrize("name", [MODEL, WEIGHTS, SCHEMA, "seal.json"])
def test_one_changed_byte_is_found(folder: Path, name: str) -> None:
    file = folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="changed after it was written"):
        load_model(folder)


@pytest.mark.parametrize("name", [MODEL, WEIGHTS, SCHEMA])
def test_an_absent_or_foreign_file_is_found(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "other")
    with pytest.raises(ModelError):
        load_model(folder)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a folder that ehrsynth wrote"):
        load_model(tmp_path)


def test_a_newer_format_says_update(folder: Path) -> None:
    rewrite(folder, format=2)
    with pytest.raises(ModelError, match="update ehrsynth"):
        load_model(folder)


@pytest.mark.parametrize("name", ["nobody", "os:system", "ehrsynth.generators.independent:Independent"])
def test_only_registered_names_are_resolved(folder: Path, name: str) -> None:
    rewrite(folder, generator=name)
    with pytest.raises(ModelError, match="unknown generator"):
        load_model(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {"epochs": 3}},
        {"recipe": []},
        {"values": 3},
        {"format": "1"},
        {"surplus": 1},
        {"schema_hash": ""},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_damaged_description_is_refused(folder: Path, changes: dict[str, object]) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ModelError):
        load_model(folder)


def test_arrays_of_the_wrong_shape_kind_or_name_are_refused(folder: Path) -> None:
    good = load_file(folder / WEIGHTS)
    for name, array in good.items():
        for bad in ({name: array[:-1]}, {name: array[None]}, {name: array.astype(np.float32)}, {}):
            rest = {k: v for k, v in good.items() if k != name}
            save_file(rest | bad, folder / WEIGHTS)
            seal(folder)
            with pytest.raises(ModelError):
                load_model(folder)


def test_weights_that_are_no_tensors_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\x80\x04 not a tensor file")
    seal(folder)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


def test_a_folder_in_use_is_left_alone(folder: Path) -> None:
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    with pytest.raises(OutputError, match="exists already"):
        save_model(load_model(folder), folder)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before


def test_an_interrupt_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    model = load_model(folder)
    monkeypatch.setattr("ehrsynth.generators.storage.save_file", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, folder.parent / "second")
    assert [f.name for f in folder.parent.iterdir()] == ["model"]
