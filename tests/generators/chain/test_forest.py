"""Forests: known answers of small trees, and agreement of draws, masses and probabilities."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.forest import Forest, pack_forest, unpack_forest
from ehrsynth.generators.chain.growing import Bagging, grow
from ehrsynth.generators.chain.means import CategoryMeans, learn_means
from ehrsynth.generators.marginals import CROWD

NO_MEANS = CategoryMeans(np.empty(0, np.int32), np.zeros(1, np.int64), np.empty(0, np.float32))
# One tree: feature 0 up to 1.5 holds states 0, 0, 1; above, states 1, 2.
STUMP = Forest(
    roots=np.array([0]),
    weights=np.ones(1),
    feature=np.array([0, -1, -1], np.int32),
    threshold=np.array([1.5, 0, 0], np.float32),
    left=np.array([1, -1, -1], np.int32),
    right=np.array([2, -1, -1], np.int32),
    first=np.array([0, 0, 3], np.int32),
    count=np.array([0, 3, 2], np.int32),
    states=np.array([0, 0, 1, 1, 2], np.int32),
    means=NO_MEANS,
)
ROWS = np.array([[1.0], [2.0]], np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_probabilities_of_a_stump() -> None:
    for state, expected in enumerate([[2 / 3, 0], [1 / 3, 1 / 2], [0, 1 / 2]]):
        assert STUMP.probability(ROWS, np.full(2, state)) == pytest.approx(expected)


def test_masses_of_a_stump_and_draws_within(rng: np.random.Generator) -> None:
    weighed = STUMP.weigh(ROWS, np.array([0.0, 1.0, 0.5]))
    assert weighed.mass == pytest.approx([1 / 3, 3 / 4])
    drawn = weighed.draw(np.repeat([0, 1], 3_000), rng)
    assert (drawn[:3_000] == 1).all()
    assert (drawn[3_000:] == 1).mean() == pytest.approx(2 / 3, abs=0.03)
    assert set(drawn[3_000:].tolist()) == {1, 2}


def test_free_draws_of_a_stump(rng: np.random.Generator) -> None:
    drawn = STUMP.draw(np.repeat(ROWS, 3_000, axis=0), rng)
    assert (drawn[:3_000] == 0).mean() == pytest.approx(2 / 3, abs=0.03)
    assert (drawn[3_000:] == 2).mean() == pytest.approx(1 / 2, abs=0.03)


def test_trees_count_as_much_as_they_weigh(rng: np.random.Generator) -> None:
    both = replace(
        STUMP,
        roots=np.array([0, 3]),
        weights=np.array([0.25, 0.75]),
        feature=np.array([0, -1, -1, -1], np.int32),
        threshold=np.array([1.5, 0, 0, 0], np.float32),
        left=np.array([1, -1, -1, -1], np.int32),
        right=np.array([2, -1, -1, -1], np.int32),
        first=np.array([0, 0, 3, 5], np.int32),
        count=np.array([0, 3, 2, 1], np.int32),
        states=np.array([0, 0, 1, 1, 2, 2], np.int32),
    ).checked(1, 3)
    chances = [0.25 * 2 / 3, 0.25 * 1 / 3, 0.75]
    assert [both.probability(ROWS[:1], np.array([s]))[0] for s in range(3)] == pytest.approx(chances)
    assert both.weigh(ROWS[:1], np.array([0.0, 0.0, 1.0])).mass == pytest.approx([0.75])
    drawn = both.draw(np.repeat(ROWS[:1], 6_000, axis=0), rng)
    assert np.bincount(drawn, minlength=3) / 6_000 == pytest.approx(chances, abs=0.03)
    within = both.weigh(np.repeat(ROWS[:1], 6_000, axis=0), np.array([1.0, 0.0, 0.5]))
    within_drawn = within.draw(np.arange(6_000), rng)
    assert (within_drawn == 0).mean() == pytest.approx((1 / 6) / (1 / 6 + 0.375), abs=0.03)
    with pytest.raises(ModelError):
        replace(both, weights=np.array([0.25, 0.5])).checked(1, 3)


def test_where_nothing_is_to_be_learnt_large_leaves_count_and_small_ones_where_much_is(
    rng: np.random.Generator,
) -> None:
    features = rng.integers(0, 100, (3_000, 1)).astype(np.float32)
    noise, rule = rng.integers(0, 50, 3_000), features[:, 0].astype(np.int64)
    small = {}
    for name, state in (("noise", noise), ("rule", rule)):
        forest = grow(features, state, state / 100, listed=[], bagging=Bagging(4, 10), rng=rng)
        assert forest.weights.sum() == pytest.approx(1)
        assert len(forest.weights) == 12
        small[name] = forest.weights[:4].sum()
    assert small["noise"] < 0.1
    assert small["rule"] > 0.9


@pytest.mark.parametrize("ordered", [True, False])
def test_a_grown_forest_is_a_distribution_and_draws_from_it(rng: np.random.Generator, ordered: bool) -> None:
    features = np.column_stack([rng.integers(0, 20, 600), rng.integers(1, 4, 600)]).astype(np.float32)
    state = (features[:, 0] > 9).astype(np.int64) * 2 + (rng.random(600) < 0.3)
    place = state / 4 if ordered else None
    forest = grow(features, state, place, listed=[1], bagging=Bagging(5, 10), rng=rng).checked(2, 4)
    row = np.array([[15, 2]], np.float32)
    chances = [float(forest.probability(row, np.array([s]))[0]) for s in range(4)]
    assert sum(chances) == pytest.approx(1)
    assert chances[0] + chances[1] < 0.05
    drawn = forest.draw(np.repeat(row, 4_000, axis=0), rng)
    assert np.bincount(drawn, minlength=4) / 4_000 == pytest.approx(chances, abs=0.03)
    for s in range(4):
        assert forest.weigh(row, np.eye(4)[s]).mass == pytest.approx([chances[s]])


def test_leaves_hold_enough_rows_and_every_state_of_one_tree(rng: np.random.Generator) -> None:
    features, state = rng.integers(0, 50, (400, 3)).astype(np.float32), rng.integers(0, 9, 400)
    forest = grow(features, state, state / 9, listed=[], bagging=Bagging(1, 7), rng=rng)
    assert forest.count[forest.feature < 0].min() >= 7
    assert sorted(forest.states.tolist()) == sorted(state.tolist())


def test_many_states_without_an_order_are_learnt_quickly(rng: np.random.Generator) -> None:
    features = rng.integers(0, 9, (3_000, 2)).astype(np.float32)
    state = rng.integers(0, 1_000, 3_000)
    forest = grow(features, state, None, listed=[0], bagging=Bagging(2, 10), rng=rng)
    assert forest.checked(2, 1_000).states.max() < 1_000


def test_a_rare_category_gets_the_overall_mean() -> None:
    category = np.repeat([1, 2], [50, CROWD - 1]).astype(np.float32)[:, None]
    target = np.repeat([0.0, 1.0], [50, CROWD - 1])
    means = learn_means(category, target, [0])
    put = means.put_into(np.array([[1.0], [2.0], [77.0]], np.float32))
    assert put[0, 0] < put[1, 0]
    assert put[1, 0] == put[2, 0] == pytest.approx(target.mean())


def test_packing_and_damage() -> None:
    packed = pack_forest(STUMP)
    again = unpack_forest(packed, 1, 3)
    assert again.states.tolist() == STUMP.states.tolist()
    for field, value in {
        "left": np.array([0, -1, -1], np.int32),  # a circle
        "feature": np.array([5, -1, -1], np.int32),
        "states": np.array([0, 0, 1, 1, 9], np.int32),
        "count": np.array([0, 3, 1], np.int32),
        "threshold": np.array([np.nan, 0, 0], np.float32),
        "roots": np.array([7]),
    }.items():
        with pytest.raises(ModelError):
            unpack_forest(packed | {field: value}, 1, 3)
    with pytest.raises(ModelError):
        replace(
            STUMP, means=CategoryMeans(np.array([4], np.int32), np.array([0, 1]), np.ones(1, np.float32))
        ).checked(1, 3)
