"""Numbers that are declared finer than they are measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.autoregressive import Autoregressive
from ehrsynth.generators.chain.rounding import rounded
from ehrsynth.generators.chain.states import States, held_between, nearest_held
from ehrsynth.generators.storage import load_model
from ehrsynth.schema import Schema
from ehrsynth.tables import table_from_frame

SIZE = 20_000
RNG = np.random.default_rng(3)
WHOLE = 10 * RNG.integers(400, 1_600, 3_000) + 3  # a whole number on a grid of tenths that begins at .7
AVERAGED = np.append(WHOLE[:-12], RNG.integers(4_000, 16_000, 12))


def learnt(codes: np.ndarray) -> States:
    return rounded(States.learn(codes, SIZE, listed=False), codes, SIZE)


def test_where_nearly_all_are_whole_numbers_so_is_who_is_drawn() -> None:
    states = learnt(AVERAGED)
    drawn = states.draw(RNG.integers(0, len(states), 4_000), None, RNG)
    assert set(drawn % 10) == {3}
    assert len(np.unique(drawn)) > 800
    states.checked(SIZE)


def test_coarser_still_where_all_keep_to_it() -> None:
    states = learnt(np.append(100 * RNG.integers(40, 160, 900), np.full(300, -1)))
    assert set(states.step[states.width > 1]) <= {100}
    assert states.is_missing.tolist() == [False] * (len(states) - 1) + [True]


def test_what_is_measured_finely_stays_fine() -> None:
    fine = RNG.integers(4_000, 16_000, 3_000)
    before, after = States.learn(fine, SIZE, listed=False), learnt(fine)
    assert (after.step == 1).all()
    for one, other in ((before.low, after.low), (before.high, after.high), (before.share, after.share)):
        assert np.array_equal(one, other)


def test_where_some_round_and_others_do_not_both_are_drawn() -> None:
    mixed = np.append(WHOLE[:2_100], RNG.integers(4_000, 16_000, 900))
    states = learnt(mixed)
    assert set(states.step) == {1, 10}
    state = states.assign(mixed)
    assert ((states.step[state] == 10) == (mixed % 10 == 3)).mean() > 0.95
    drawn = states.draw(np.random.default_rng(5).choice(len(states), 8_000, p=states.share), None, RNG)
    assert abs((drawn % 10 == 3).mean() - (mixed % 10 == 3).mean()) < 0.03


def test_precision_may_go_by_magnitude() -> None:
    states = learnt(np.append(RNG.integers(0, 2_000, 1_500), 10 * RNG.integers(400, 1_600, 1_500)))
    wide = states.width > 1
    assert set(states.step[wide & (states.high < 1_700)]) == {1}
    assert set(states.step[wide & (states.low > 4_500)]) == {10}


def test_codes_of_a_state_are_counted_drawn_and_weighed_alike() -> None:
    states = learnt(AVERAGED)
    wide = int(np.flatnonzero(states.width > 3)[0])
    codes = np.arange(states.low[wide], states.high[wide] + 1, states.step[wide])
    assert len(codes) == states.width[wide]
    allowed = CodeSet(((int(codes[1]) - 2, int(codes[2]) + 2), (int(codes[-1]), SIZE - 1)), missing=False)
    assert states.weight(allowed)[wide] * len(codes) == 3
    drawn = states.draw(np.full(300, wide), allowed, RNG)
    assert set(drawn) == {codes[1], codes[2], codes[-1]}
    inside = held_between(states, codes[:1] + 1, codes[-1:])
    assert inside[0, wide] * len(codes) == len(codes) - 1
    held = np.column_stack(states.holding(codes[0] + np.arange(11)))
    assert ((held == wide).any(axis=1) == (np.arange(11) % 10 == 0)).all()
    assert nearest_held(states, codes[1:2] + 4).tolist() == [codes[1]]
    assert nearest_held(states, codes[1:2] + 6).tolist() == [codes[2]]


@pytest.mark.parametrize("codes", [AVERAGED, np.append(WHOLE[:2_100], RNG.integers(4_000, 16_000, 900))])
def test_densities_of_all_codes_add_up(codes: np.ndarray) -> None:
    states = learnt(codes)
    density = np.zeros(SIZE)
    for state in states.holding(np.arange(SIZE)):
        held = state >= 0
        density[held] += (states.share / states.width)[state[held]]
    assert abs(density.sum() - 1) < 1e-9


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
        assert (drawn % 1 == 0).all()
        inside = one.sample(50, where="30.5 < urea < 60.5", seed=2).table["urea"]
        assert ((inside % 1 == 0) & (inside > 30) & (inside < 61)).all()
    assert np.isfinite(model.log_prob(model.sample(200, seed=3).table)).all()
