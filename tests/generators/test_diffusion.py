"""Diffusion: what it learns, that noise obeys its formulas, and what holds inside a condition."""

import numpy as np
import pandas as pd
import pytest
import torch

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError, RequestError, SamplingExhausted
from ehrsynth.generators import diffusion
from ehrsynth.generators.base import Parts
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.denoising.network import new_denoiser
from ehrsynth.generators.denoising.noise import Noise, kept
from ehrsynth.generators.denoising.scale import Scale
from ehrsynth.generators.diffusion import Diffusion, FittedDiffusion
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

SCHEMA = Schema(
    name="ward",
    columns=(
        {"name": "sex", "kind": "category", "values": ("F", "M")},
        {"name": "rare", "kind": "boolean"},
        {
            "name": "height",
            "kind": "number",
            "minimum": 100,
            "maximum": 220,
            "decimals": 1,
            "missing": True,
        },
    ),
)
SMALL = {"epochs": 60, "batch_size": 128, "width": 48, "depth": 1, "steps": 25, "rate": 4e-3}


def table(n: int = 1_500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    male = rng.integers(0, 2, n)
    height = (np.where(male, 178.0, 164.0) + rng.normal(0, 4, n)).round(1)
    height[rng.random(n) < np.where(male, 0.4, 0.05)] = np.nan
    values = {"sex": male.astype(float), "rare": (rng.random(n) < 0.05).astype(float), "height": height}
    return from_values(values, SCHEMA)


@pytest.fixture(scope="module")
def model() -> FittedDiffusion:
    fitted = Diffusion(**SMALL).fit(table(), SCHEMA, seed=1)
    assert isinstance(fitted, FittedDiffusion)
    return fitted


@pytest.fixture(scope="module")
def made(model: FittedDiffusion) -> pd.DataFrame:
    return model.sample(3_000, seed=2).table


def test_relations_and_rare_words_are_learnt(made: pd.DataFrame) -> None:
    mean = made.groupby("sex", observed=True)["height"].mean()
    assert mean["M"] - mean["F"] == pytest.approx(14, abs=3)
    assert made["height"].std() == pytest.approx(table()["height"].std(), rel=0.15)
    assert made["rare"].mean() == pytest.approx(0.05, abs=0.03)


def test_missing_follows_the_other_columns(made: pd.DataFrame) -> None:
    missing = made["height"].isna().groupby(made["sex"], observed=True).mean()
    assert missing["M"] == pytest.approx(0.4, abs=0.1)
    assert missing["F"] == pytest.approx(0.05, abs=0.05)


def test_a_rare_condition_is_inpainted_and_the_rest_follows(model: FittedDiffusion) -> None:
    sample = model.sample(400, where="height > 182", seed=3)
    assert (sample.table["height"] > 182).all()
    assert sample.probability < diffusion.FREQUENT
    assert (sample.table["sex"] == "M").mean() > 0.85  # half of all patients
    assert sample.acceptance == 1
    # Values spread inside the range and do not stand at its edge.
    assert sample.table["height"].std() > 1


def test_a_frequent_condition_is_met_by_redraw(model: FittedDiffusion) -> None:
    sample = model.sample(500, where='sex == "M"', seed=3)
    assert (sample.table["sex"] == "M").all()
    assert sample.probability == pytest.approx(0.5, abs=0.1)
    assert sample.acceptance == pytest.approx(sample.probability, abs=0.1)


def test_values_that_the_model_does_not_know_are_refused(model: FittedDiffusion) -> None:
    with pytest.raises(SamplingExhausted, match="never saw a patient"):
        model.sample(5, where="height > 219", seed=1)


def test_inpainting_can_be_turned_off_and_then_rows_are_scarce(
    model: FittedDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion, "FREQUENT", 0.0)
    assert model.sample(20, where="height > 182", seed=3).acceptance < 0.2


def test_signal_fades_from_all_to_nothing() -> None:
    left = kept(torch.linspace(0, 1, 50))
    assert left[0] == 1
    assert left[-1] < 1e-4
    assert (left.diff() < 0).all()


def test_one_step_back_from_noise_restores_what_noise_alone_would_give() -> None:
    # q(x_s | x_0) is the mean of q(x_s | x_t, x_0) over q(x_t | x_0): both samplers must keep to it.
    noise = Noise(torch.tensor([4]), torch.Generator().manual_seed(1))
    n, now, before = 40_000, 0.3, 0.6
    first, share = torch.full((n, 1), 2), torch.full((n,), now)
    words = noise.words_before(noise.fade_words(first, share), first, now, before)
    assert torch.bincount(words.ravel(), minlength=4)[2] / n == pytest.approx(0.6 + 0.4 / 4, abs=0.01)
    start = torch.full((n, 1), 1.5)
    numbers = noise.numbers_before(noise.fade_numbers(start, share)[0], start, now, before)
    assert numbers.mean().item() == pytest.approx(1.5 * 0.6**0.5, abs=0.02)
    assert numbers.var().item() == pytest.approx(0.4, abs=0.02)


def test_words_that_a_column_does_not_have_are_ruled_out() -> None:
    network = new_denoiser([2, 5], 0, width=8, depth=1, seed=0)
    logits, _ = network(torch.tensor([[1, 4]]), torch.empty(1, 0), torch.tensor([0.5]))
    assert logits.isinf().tolist() == [[[False, False, True, True, True], [False] * 5]]


def test_a_heap_keeps_its_share_and_a_set_is_kept_to() -> None:
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.full(400, 50), rng.integers(0, 100, 600)])
    scale = Scale(States.learn(codes, 100, listed=False))
    start, width = scale.stretch(codes)
    assert ((start >= 0) & (start + width <= 1 + 1e-9)).all()
    drawn = scale.codes(rng.standard_normal(20_000), None, rng)
    assert (drawn == 50).mean() == pytest.approx(0.406, abs=0.02)
    allowed = CodeSet(((10, 12), (90, 99)), missing=False)
    assert allowed.contains(scale.codes(rng.standard_normal(500), allowed, rng)).all()
    low, high = scale.reach(allowed) or (0.0, 0.0)
    assert low < -1 < 1 < high


def test_few_patients_are_not_learnt_by_heart() -> None:
    said: list[str] = []
    settings = SMALL | {"epochs": 800, "width": 64}
    Diffusion(**settings).fit(table(250), SCHEMA, seed=1, progress=lambda _, m: said.append(m))
    last = [int(m.split()[1]) for m in said if m.startswith("step")][-1]
    assert last < 1_600  # training stops when the patients held out are described no better


def test_a_rate_that_is_too_high_is_named() -> None:
    diverging = Diffusion(epochs=40, width=8, depth=1, batch_size=10).model_copy(update={"rate": 1e30})
    with pytest.raises(RequestError, match="set a lower rate"):
        diverging.fit(table(60), SCHEMA, seed=1)


@pytest.mark.parametrize("spoilt", ["network.out.1.weight", "scales.share", "plain.shares"])
def test_parts_of_another_shape_are_damage(model: FittedDiffusion, spoilt: str) -> None:
    parts = model.parts()
    arrays = dict(parts.arrays) | {spoilt: parts.arrays[spoilt][:-1]}
    with pytest.raises((ModelError, RuntimeError)):
        FittedDiffusion.from_parts(SCHEMA, model.recipe, Parts(parts.values, arrays))


def test_weights_that_are_no_numbers_are_damage(model: FittedDiffusion) -> None:
    parts = model.parts()
    arrays = {k: np.full_like(a, np.nan) if k.startswith("network.") else a for k, a in parts.arrays.items()}
    with pytest.raises(ModelError, match="no numbers"):
        FittedDiffusion.from_parts(SCHEMA, model.recipe, Parts(parts.values, arrays))
