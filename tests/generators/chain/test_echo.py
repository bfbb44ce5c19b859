"""A number that repeats an earlier one."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from ehrsynth.encoding import encode
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.cart import Cart
from ehrsynth.generators.chain.echo import find_source, repeats
from ehrsynth.generators.storage import load_model
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

_TIME = {"roles": ("time",), "missing": True}
STAY = Schema(
    citation="made for this test",
    name="stay",
    columns=(
        {"name": "ward", "kind": "category", "values": ("a", "b"), "roles": ("protected",)},
        {"name": "stay", "kind": "integer", "minimum": 0, "maximum": 400},
        {"name": "zeros", "kind": "integer", "minimum": 0, "maximum": 50},
        {"name": "followed", "kind": "number", "minimum": 0, "maximum": 900, "decimals": 1, **_TIME},
        {"name": "seen", "kind": "date", "minimum": "1980-01-01", "maximum": "2020-01-01", **_TIME},
    ),
)
PLACE = {column.name: place for place, column in enumerate(STAY.learnt)}
SHARE = {0.0: 0.9, 1.0: 0.2}


def stays(n: int = 3_000, seed: int = 0) -> pd.DataFrame:
    """In ward a nine in ten are followed until the day of discharge, in ward b two in ten."""
    rng = np.random.default_rng(seed)
    ward = rng.integers(0, 2, n).astype(float)
    stay = rng.integers(1, 300, n).astype(float)
    same = rng.random(n) < np.where(ward == 0, SHARE[0.0], SHARE[1.0])
    longer = stay + rng.integers(1, 500, n)
    followed = np.where(rng.random(n) < 0.1, np.nan, np.where(same, stay, longer))
    zeros = np.where(rng.random(n) < 0.8, 0, rng.integers(1, 50, n)).astype(float)
    values = {"ward": ward, "stay": stay, "zeros": zeros, "followed": followed, "seen": 9_000 + stay}
    return from_values(values, STAY)


@pytest.fixture(scope="module")
def model() -> FittedAutoregressive:
    return cast("FittedAutoregressive", Autoregressive(trees=3, rounds=60).fit(stays(), STAY, seed=1))


def test_the_source_is_who_is_repeated_beyond_chance() -> None:
    codes = encode(stays(), STAY)
    earlier = [PLACE["zeros"], PLACE["stay"]]
    assert find_source(STAY, codes, PLACE["followed"], earlier) == PLACE["stay"]
    # Equal heaps are chance, a date is none of a stay's numbers, and a category repeats nothing.
    assert find_source(STAY, codes, PLACE["zeros"], [PLACE["stay"], PLACE["ward"]]) is None
    assert find_source(STAY, codes, PLACE["seen"], [PLACE["stay"], PLACE["followed"]]) is None
    assert find_source(STAY, codes[:40], PLACE["followed"], earlier) is None


def test_two_columns_of_zeros_repeat_nothing() -> None:
    rng = np.random.default_rng(3)
    columns = tuple({"name": n, "kind": "integer", "minimum": 0, "maximum": 9} for n in ("a", "b"))
    plain = Schema(citation="made for this test", name="zeros", columns=columns)
    codes = np.where(rng.random((4_000, 2)) < 0.7, 0, rng.integers(1, 10, (4_000, 2)))
    assert find_source(plain, codes, 1, [0]) is None


def test_the_code_of_the_same_value_on_another_grid() -> None:
    codes = encode(stays(5), STAY)
    codes[:, PLACE["stay"]] = [0, 5, 12, 400, -1]
    assert repeats(STAY, PLACE["stay"], PLACE["followed"], codes).tolist() == [0, 50, 120, 4_000, -1]
    codes[:, PLACE["followed"]] = [0, 5, 120, 9_000, -1]  # 0.0, 0.5, 12.0, 900.0 and missing
    assert repeats(STAY, PLACE["followed"], PLACE["stay"], codes).tolist() == [0, -1, 12, -1, -1]


def test_synthetic_patients_repeat_as_often_as_real_ones_of_their_group(model: FittedAutoregressive) -> None:
    made = model.sample(6_000, seed=2).table
    made = made[made["followed"].notna()]
    same = made["followed"].astype(float) == made["stay"].astype(float)
    for ward, share in zip(("a", "b"), SHARE.values(), strict=True):
        assert same[made["ward"] == ward].mean() == pytest.approx(share, abs=0.06)
    plain = Cart().fit(stays(), STAY, seed=1).sample(2_000, seed=2).table
    assert (plain["followed"].astype(float) == plain["stay"].astype(float)).mean() < 0.5


def test_density_and_draws_agree(model: FittedAutoregressive) -> None:
    """The density of all values of the last column sums to one, and is how often they are drawn."""
    step = next(iter(model.chain.echoes))
    place = model.chain.order[step]
    row = encode(stays(1, seed=9), STAY)
    features = np.column_stack(
        [f.of(row[:, p]) for f, p in zip(model.chain.features, model.chain.order, strict=True)]
    )[:, :step]
    size = STAY.learnt[place].size
    grid = np.arange(-1, size)
    every = model.chain.link(step, np.repeat(row, len(grid), axis=0))
    density = np.exp(every.log_density(np.repeat(features, len(grid), axis=0), grid))
    assert density.sum() == pytest.approx(1)
    low, high = np.array([0, 3, 5]), np.array([size - 1, 20, 4])
    found = model.chain.link(step, np.repeat(row, 3, axis=0)).mass(np.repeat(features, 3, axis=0), low, high)
    assert found == pytest.approx([density[a + 1 : b + 2].sum() for a, b in zip(low, high, strict=True)])
    draws = 4_000
    link = model.chain.link(step, np.repeat(row, draws, axis=0))
    drawn, mass = link.draw(np.repeat(features, draws, axis=0), None, np.random.default_rng(1))
    assert mass == pytest.approx(np.ones(draws))
    repeated = repeats(STAY, model.chain.echoes[step].source, place, row)[0]
    assert (drawn == repeated).mean() == pytest.approx(density[repeated + 1], abs=0.03)


def test_conditions_keep_their_probability(model: FittedAutoregressive) -> None:
    free = model.sample(20_000, seed=4).table
    where = "followed == stay and ward == 'b'"
    expected = ((free["followed"].astype(float) == free["stay"].astype(float)) & (free["ward"] == "b")).mean()
    found = model.sample(200, where=where, seed=5)
    assert (found.table["followed"].astype(float) == found.table["stay"].astype(float)).all()
    late = model.sample(200, where="followed < 20", seed=5)
    assert (late.table["followed"] < 20).all()
    assert late.probability == pytest.approx((free["followed"] < 20).fillna(False).mean(), rel=0.25)
    assert found.probability == pytest.approx(expected, rel=0.25)


def test_an_echo_survives_the_disk(model: FittedAutoregressive, tmp_path) -> None:
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    pd.testing.assert_frame_equal(again.sample(50, seed=3).table, model.sample(50, seed=3).table)
