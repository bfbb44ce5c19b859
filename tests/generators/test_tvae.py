"""TVAE: what it learns, and that a rare condition ends."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import MissingPackage, SamplingExhausted
from ehrsynth.generators import rejection
from ehrsynth.generators.tvae import TVAE
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

pytest.importorskip("ctgan", reason="pip install 'ehrsynth[sdv]'")

SCHEMA = Schema(
    name="ward",
    columns=(
        {"name": "sex", "kind": "category", "values": ("F", "M")},
        {"name": "rare", "kind": "boolean"},
        {"name": "height", "kind": "number", "minimum": 100, "maximum": 220, "decimals": 1},
    ),
)
SMALL = {"embedding_dim": 8, "compress_dims": (64,), "decompress_dims": (64,), "batch_size": 50}


def table(n: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    male = rng.integers(0, 2, n)
    height = np.where(male, 178.0, 164.0) + rng.normal(0, 4, n)
    values = {
        "sex": male.astype(float),
        "rare": (rng.random(n) < 0.05).astype(float),
        "height": height.round(1),
    }
    return from_values(values, SCHEMA)


@pytest.fixture(scope="module")
def model():
    return TVAE(**SMALL, epochs=60).fit(table(), SCHEMA, seed=1)


def test_relations_and_rare_words_are_learnt(model) -> None:
    made, real = model.sample(3_000, seed=2).table, table()
    gap = made.groupby("sex", observed=True)["height"].mean()
    assert gap["M"] - gap["F"] > 7
    assert made["height"].std() == pytest.approx(real["height"].std(), rel=0.3)
    assert 0.005 < made["rare"].mean() < 0.15  # the package's own argmax would give none


def test_a_rare_condition_ends_with_the_numbers(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "FEWEST_PROPOSALS", 2_000)
    monkeypatch.setattr(rejection, "MOST_PROPOSALS", 2_000)
    with pytest.raises(SamplingExhausted, match="tvae found 0 of the 5 rows"):
        model.sample(5, where='height > 219 and sex == "F"', seed=1)


def test_each_epoch_is_reported() -> None:
    said: list[str] = []
    TVAE(**SMALL, epochs=2).fit(table(60), SCHEMA, seed=1, progress=lambda _, m: said.append(m))
    assert said[1:] == ["epoch 1 of 2", "epoch 2 of 2"]


def test_without_the_package_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ctgan", None)
    with pytest.raises(MissingPackage, match=r"pip install 'ehrsynth\[sdv\]'"):
        TVAE(**SMALL, epochs=1).fit(table(60), SCHEMA, seed=1)
