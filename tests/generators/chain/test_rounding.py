"""Numbers that are declared finer than they are measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.autoregressive import Autoregressive
from ehrsynth.generators.chain.rounding import with_rounding
from ehrsynth.generators.chain.states import States, density_within, held_between
from ehrsynth.generators.storage import load_model
from ehrsynth.schema import Schema
from ehrsynth.tables import table_from_frame

SIZE = 20_000
RNG = np.random.default_rng(3)
WHOLE = 10 * RNG.integers(400, 1_600, 3_000) + 3  # a whole number on a grid of tenths that begins at .7
AVERAGED = np.append(WHOLE[:-12], RNG.integers(4_000, 16_000, 12))
MIXED = np.append(WHOLE[:2_100], RNG.integers(4_000, 16_000, 900))


def learnt(codes: np.ndarray) -> States:
    return with_rounding(States.learn(codes, SIZE, listed=False), codes, SIZE).checked(SIZE)


def drawn(states: States, n: int = 8_000) -> np.ndarray:
    rng = np.random.default_rng(5)
    return states.draw(rng.choice(len(states), n, p=states.share / states.share.sum()), None, rng)


@pytest.mark.parametrize("codes", [WHOLE, AVERAGED, MIXED], ids=["whole", "averaged", "mixed"])
def test_as_many_round_numbers_are_drawn_as_patients_hold(codes: np.ndarray) -> None:
    rows = drawn(learnt(codes))
    assert abs((rows % 10 == 3).mean() - (codes % 10 == 3).mean()) < 0.015
    assert len(np.unique(rows)) > 800


def test_coarser_still_where_all_keep_to_it() -> None:
    codes = np.append(100 * RNG.integers(40, 160, 900), np.full(300, -1))
    states = learnt(codes)
    rows = drawn(states)
    assert (rows[rows >= 0] % 100 == 0).mean() > 0.99
    assert states.is_missing.tolist() == [False] * (len(states) - 1) + [True]


def test_two_kinds_of_rounding_stand_side_by_side() -> None:
    """Six in ten to the hundred, the others to the ten: nobody to the one."""
    codes = np.append(100 * RNG.integers(40, 160, 1_800), 10 * RNG.integers(400, 1_600, 1_200))
    rows = drawn(learnt(codes))
    assert abs((rows % 100 == 0).mean() - (codes % 100 == 0).mean()) < 0.03
    assert (rows % 10 == 0).mean() > 0.99


def test_what_is_measured_finely_is_left_as_it_is() -> None:
    fine = RNG.integers(4_000, 16_000, 3_000)
    states = States.learn(fine, SIZE, listed=False)
    assert with_rounding(states, fine, SIZE).rounded == ()


def test_precision_may_go_by_magnitude() -> None:
    rows = drawn(learnt(np.append(RNG.integers(0, 2_000, 1_500), 10 * RNG.integers(400, 1_600, 1_500))))
    assert 0.05 < (rows[rows < 1_700] % 10 == 0).mean() < 0.15
    assert (rows[rows > 4_500] % 10 == 0).mean() > 0.99


def test_no_range_has_a_single_round_number() -> None:
    for codes in (AVERAGED, MIXED, 10 * RNG.integers(500, 520, 190)):
        for lattice in learnt(codes).rounded:
            assert (lattice.count[lattice.chance > 0] > 1).all()


@pytest.mark.parametrize("codes", [AVERAGED, MIXED], ids=["averaged", "mixed"])
def test_draws_weights_and_densities_are_of_one_distribution(codes: np.ndarray) -> None:
    states, every = learnt(codes), np.arange(SIZE)
    density = np.zeros((len(states), SIZE))
    for state in states.holding(every):
        held = np.flatnonzero(state >= 0)
        density[state[held], held] += density_within(states, state[held], held)
    assert np.allclose(density.sum(axis=1), 1)
    wide = int(states.width.argmax())
    low, high = int(states.low[wide]) + 3, int(states.high[wide]) - 4
    allowed = CodeSet(((low, high),), missing=False)
    assert np.allclose(states.weight(allowed), density[:, low : high + 1].sum(axis=1))
    assert np.allclose(held_between(states, np.array([low]), np.array([high]))[0], states.weight(allowed))
    inside = states.draw(np.full(20_000, wide), allowed, RNG)
    assert inside.min() >= low
    assert inside.max() <= high
    expected = density[wide, low : high + 1] / density[wide, low : high + 1].sum()
    found = np.bincount(inside - low, minlength=high - low + 1) / len(inside)
    assert np.abs(found - expected).max() < 0.02


def test_a_lattice_that_leaves_its_state_is_a_damaged_model() -> None:
    states = learnt(AVERAGED)
    (lattice,) = states.rounded
    with pytest.raises(ModelError):
        replace(states, rounded=(replace(lattice, count=lattice.count + 1),)).checked(SIZE)


def test_a_model_keeps_whole_numbers_through_saving_and_conditions(tmp_path: Path) -> None:
    urea = np.round(np.random.default_rng(4).gamma(4, 12, 500))
    urea[:3] += 0.4
    columns = (
        {"name": "sex", "kind": "category", "values": ("F", "M")},
        {"name": "urea", "kind": "number", "minimum": 0, "maximum": 400, "decimals": 1},
    )
    schema = Schema(citation="made for this test", name="urea", columns=columns)
    table = table_from_frame(pd.DataFrame({"sex": ["F", "M"] * 250, "urea": urea}), schema)
    model = Autoregressive().fit(table, schema, seed=1)
    model.save(tmp_path / "model")
    for one in (model, load_model(tmp_path / "model")):
        drawn = one.sample(400, seed=2).table["urea"]
        assert (drawn % 1 == 0).mean() > 0.99
        inside = one.sample(50, where="30.5 < urea < 60.5", seed=2).table["urea"]
        assert ((inside > 30) & (inside < 61)).all()
        assert (inside % 1 == 0).mean() > 0.95
        # A real patient's averaged value is unlikely, and not impossible.
        rare, common = one.log_prob(table.iloc[[0]]), one.log_prob(table.iloc[[5]])
        assert np.isfinite(rare).all()
        assert rare[0] < common[0] - 3
