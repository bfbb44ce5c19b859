"""States: what a link tells apart in a column."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.cells import cells_of
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.marginals import CROWD


def heaped(rng: np.random.Generator, n: int = 2_000) -> np.ndarray:
    """Zeros, a heap at 100, a spread tail and some missing."""
    tail = (rng.gamma(2, 200, n) + 1).astype(np.int64)
    which = rng.random(n)
    return np.where(which < 0.3, 0, np.where(which < 0.5, 100, np.where(which < 0.6, -1, tail)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_heaps_are_points_and_the_rest_ranges_without_a_rare_value(rng: np.random.Generator) -> None:
    codes = heaped(rng)
    codes[0] = 9_999
    states = States.learn(codes, 10_000, listed=False)
    points = {int(low) for low in states.low[states.width == 1]}
    assert {0, 100, -1} <= points
    assert states.share.sum() == pytest.approx(1)
    assert states.is_missing[-1]
    assert states.is_missing.sum() == 1
    values, counts = np.unique(codes, return_counts=True)
    rare = set(values[counts < CROWD].tolist())
    assert 9_999 not in set(states.low.tolist()) | set(states.high.tolist())
    assert not rare & {int(v) for v in states.low[(states.width == 1)] if counts[values == v].sum() >= CROWD}


def test_every_code_has_a_state_and_frequent_ones_their_own(rng: np.random.Generator) -> None:
    codes = heaped(rng)
    states = States.learn(codes, 10_000, listed=False)
    state = states.assign(codes)
    assert (state >= 0).all()
    assert (states.low[state[codes == 0]] == 0).all()
    assert (states.low[state[codes == 100]] == 100).all()
    assert states.is_missing[state[codes == -1]].all()
    inside = (codes >= states.low[state]) & (codes <= states.high[state])
    assert inside.mean() > 0.98  # a tail's outermost values belong to the nearest state


def test_draws_stay_in_their_state_and_in_the_set(rng: np.random.Generator) -> None:
    states = States.learn(heaped(rng), 10_000, listed=False)
    allowed = CodeSet(((50, 99), (150, 400)), missing=False)
    weight = states.weight(allowed)
    state = np.repeat(np.flatnonzero(weight > 0), 50)
    codes = states.draw(state, allowed, rng)
    assert allowed.contains(codes).all()
    assert (codes >= states.low[state]).all()
    assert (codes <= states.high[state]).all()


@given(st.integers(0, 300), st.integers(0, 300))
def test_weight_is_the_share_of_a_states_codes(a: int, b: int) -> None:
    states = States(np.array([3, 10, -1]), np.array([3, 109, -1]), np.array([0.5, 0.3, 0.2]))
    low, high = min(a, b), max(a, b)
    weight = states.weight(CodeSet(((low, high),), missing=False))
    grid = np.arange(low, high + 1)
    assert weight[0] == float(low <= 3 <= high)
    assert weight[1] == pytest.approx(((grid >= 10) & (grid <= 109)).mean() * len(grid) / 100)
    assert weight[2] == 0
    assert states.weight(CodeSet((), missing=True)).tolist() == [0, 0, 1]


def test_a_state_that_the_set_spares_gives_some_code_of_its_own(rng: np.random.Generator) -> None:
    states = States(np.array([3, 10]), np.array([3, 109]), np.array([0.5, 0.5]))
    codes = states.draw(np.array([1, 1]), CodeSet(((200, 300),), missing=False), rng)
    assert ((codes >= 10) & (codes <= 109)).all()


@pytest.mark.parametrize(
    "states",
    [
        States(np.array([0]), np.array([10]), np.array([1.0])),
        States(np.array([5]), np.array([4]), np.array([1.0])),
        States(np.array([-1, 0]), np.array([-1, 0]), np.array([0.5, 0.5])),
        States(np.array([0, 1]), np.array([0, 1]), np.array([0.5, np.nan])),
    ],
)
def test_damage_is_found(states: States) -> None:
    with pytest.raises(ModelError):
        states.checked(10)


def test_few_states_have_a_cell_each_and_missing_is_alone(rng: np.random.Generator) -> None:
    few = States.learn(np.array([0] * 50 + [1] * 30 + [2] * 20), 3, listed=True)
    assert cells_of(few, ordered=False).tolist() == [0, 1, 2]
    states = States.learn(heaped(rng), 10_000, listed=False)
    cell = cells_of(states, ordered=True)
    assert (cell == cell[-1]).sum() == 1
    assert (np.diff(cell) >= 0).all()
    assert len(np.unique(cell)) == cell.max() + 1 <= 12


def test_many_categories_are_grouped_by_frequency() -> None:
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.geometric(0.01, 20_000), 4_999)
    states = States.learn(codes, 5_000, listed=True)
    cell = cells_of(states, ordered=False)
    assert cell.max() < 48
    alone = np.bincount(cell) == 1
    held = np.bincount(cell, states.share)
    assert states.share[alone[cell]].min() >= states.share[~alone[cell]].max()
    assert held.sum() == pytest.approx(1)
