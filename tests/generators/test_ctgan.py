"""CTGAN: its condition vector is built here, checked here, and only ever a proposal."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import Condition
from ehrsynth.errors import MissingPackage, RequestError, SamplingExhausted
from ehrsynth.generators import _ctgan_package
from ehrsynth.generators.ctgan import CTGAN, FittedCTGAN
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import silent
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

pytest.importorskip("ctgan", reason="pip install 'ehrsynth[sdv]'")

SCHEMA = Schema(
    name="ward",
    columns=(
        {"name": "first", "kind": "category", "values": ("a", "b", "c")},
        {"name": "second", "kind": "category", "values": ("u", "v")},
        {"name": "third", "kind": "category", "values": ("x", "y", "z"), "missing": True},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110, "missing": True},
    ),
)
SMALL = {"embedding_dim": 16, "generator_dim": (64,), "discriminator_dim": (64,), "batch_size": 100}


def table(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    second = rng.choice(2, n, p=[0.9, 0.1])
    return from_values(
        {
            "first": rng.integers(0, 3, n).astype(float),
            "second": second.astype(float),
            "third": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 3, n)),
            "age": np.where(rng.random(n) < 0.3, np.nan, np.where(second, 80, 40) + rng.integers(-9, 9, n)),
        },
        SCHEMA,
    )


@pytest.fixture(scope="module")
def model() -> FittedCTGAN:
    fitted = CTGAN(**SMALL, epochs=100, generator_lr=2e-3, discriminator_lr=2e-3).fit(table(), SCHEMA, seed=1)
    assert isinstance(fitted, FittedCTGAN)
    return fitted


CASES = {'first == "b"': (0, 1), 'second == "v"': (1, 1), 'third == "z"': (2, 2), "missing(third)": (2, -1)}


@pytest.mark.parametrize(("where", "asked"), CASES.items(), ids=CASES.keys())
def test_the_condition_vector_names_the_right_word(
    model: FittedCTGAN, where: str, asked: tuple[int, int]
) -> None:
    (proposal,) = model._proposals(Condition.parse(where, SCHEMA))
    (at,) = set(model._conditions(proposal, 50, np.random.default_rng(0)).argmax(axis=1))
    every = [
        (s.place, model.columns[s.place].levels[w])
        for s in model.spans
        if s.is_word
        for w in s.order[:4]
        if w < len(model.columns[s.place].levels)
    ]
    assert every[at] == asked


@pytest.mark.parametrize("where", ['second == "v"', "missing(age)"])
def test_the_condition_vector_raises_its_word(model: FittedCTGAN, where: str) -> None:
    # Of free rows 10 and 30 % have it: a vector on another column, as the package's own, would leave it so.
    assert model.sample(300, where=where, seed=4).acceptance > 0.5


def test_the_rarest_word_of_several_is_forced(model: FittedCTGAN) -> None:
    where = 'first == "a" and second == "v" and age > 20'
    (proposal,) = model._proposals(Condition.parse(where, SCHEMA))
    assert proposal.mass == pytest.approx((table()["second"] == "v").mean())
    words = [s.place for s in model.spans if s.is_word]
    assert words[proposal.span or 0] == 1


def test_what_every_word_meets_is_not_forced(model: FittedCTGAN) -> None:
    (proposal,) = model._proposals(Condition.parse('first in ("a", "b", "c")', SCHEMA))
    assert proposal.span is None


def test_a_word_that_nobody_has_ends_at_once(model: FittedCTGAN) -> None:
    rare = table()
    rare = rare[rare["second"] == "u"].reset_index(drop=True)
    fitted = CTGAN(**SMALL, epochs=1).fit(rare, SCHEMA, seed=1)
    with pytest.raises(SamplingExhausted, match="never saw"):
        fitted.sample(5, where='second == "v"', seed=1)


def test_unconditioned_rows_keep_the_shares(model: FittedCTGAN) -> None:
    made = model.sample(3_000, seed=5).table
    assert 0.02 < (made["second"] == "v").mean() < 0.3
    assert made["age"].isna().mean() == pytest.approx(0.3, abs=0.15)


def test_each_epoch_is_reported() -> None:
    said: list[str] = []
    CTGAN(**SMALL, epochs=3).fit(table(120), SCHEMA, seed=1, progress=lambda _, m: said.append(m))
    assert said[0].startswith("mixtures of 1 number")
    assert said[1:] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]


def test_a_loss_that_is_no_number_ends_the_fit_with_a_remedy() -> None:
    import ctgan

    watched = _ctgan_package._watched(ctgan.CTGAN, {"epochs": 3}, silent)
    watched.loss_values = pd.DataFrame({"Epoch": [0], "Generator Loss": [0.5]})
    with pytest.raises(RequestError, match=r"epoch 2.*learning rate"):
        watched.loss_values = pd.DataFrame({"Epoch": [0, 1], "Generator Loss": [0.5, float("nan")]})


def test_five_thousand_categories_stay_small() -> None:
    schema = Schema(
        name="codes",
        columns=(
            {"name": "code", "kind": "code", "values": [f"C{k:04}" for k in range(5_000)]},
            {"name": "sex", "kind": "category", "values": ("F", "M")},
        ),
    )
    rng = np.random.default_rng(0)
    values = {
        "code": rng.integers(0, 5_000, 3_000).astype(float),
        "sex": rng.integers(0, 2, 3_000).astype(float),
    }
    fitted = CTGAN(**SMALL, epochs=1, most_words=50).fit(from_values(values, schema), schema, seed=1)
    assert sum(s.width for s in fitted.spans) == 52
    code = "C" + f"{int(values['code'][0]):04}"
    assert (fitted.sample(20, where=f'code == "{code}"', seed=1).table["code"] == code).all()


def test_too_much_memory_is_refused_before_training() -> None:
    with pytest.raises(RequestError, match=r"memory_gb"):
        CTGAN(**SMALL, memory_gb=1e-6).fit(table(), SCHEMA, seed=1)


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"batch_size": 55}, "multiple of pac"),
        ({"epochs": 0}, "greater than"),
        ({"cuda": True}, "unknown setting"),
    ],
)
def test_settings_are_checked(setting: dict[str, object], word: str) -> None:
    with pytest.raises(RequestError, match=word):
        recipe("ctgan", setting)


def test_without_the_package_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ctgan", None)
    with pytest.raises(MissingPackage, match=r"pip install 'ehrsynth\[sdv\]'"):
        CTGAN(**SMALL, epochs=1).fit(table(), SCHEMA, seed=1)
