"""Cells of a number share two shapes, so that few patients tell how columns move together."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth import generator
from ehrsynth.generators.chain.cells import cells_of
from ehrsynth.generators.chain.classifier import Boosting, learn_classifier
from ehrsynth.generators.chain.features import learn_feature
from ehrsynth.generators.chain.linear import learn_score_card
from ehrsynth.generators.chain.shapes import card_shapes
from ehrsynth.generators.chain.states import States
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values, to_values

_SLOPE = 0.5


def two(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A number, and one that goes up by half of it, as codes of a grid from -8 to 8 with two decimals."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = _SLOPE * x + rng.normal(size=n)
    return np.round(100 * x).astype(np.int64) + 800, np.round(100 * y).astype(np.int64) + 800


def test_shapes_rise_and_bend_over_known_values() -> None:
    codes = np.where(np.arange(1_100) < 100, -1, two(1_100, 0)[1])
    states = States.learn(codes, 1_601, listed=False)
    cell = cells_of(states, ordered=True)
    rise, bend = card_shapes(states, cell, ordered=True)
    assert len(rise) == cell[states.is_missing][0] == cell.max()
    assert (np.diff(rise) > 0).all()
    assert rise[0] < -1 < 1 < rise[-1]
    assert bend.argmin() in range(2, 6)


def test_categories_and_few_cells_have_points_of_their_own() -> None:
    listed = States.learn(np.repeat(np.arange(6), 30), 6, listed=True)
    assert np.array_equal(card_shapes(listed, np.arange(6), ordered=False), np.eye(6))
    few = States.learn(np.repeat([-1, 0, 1, 2], 30), 3, listed=False)
    assert np.array_equal(card_shapes(few, np.arange(4), ordered=True), np.eye(3))


def test_a_card_of_two_shapes_predicts_better_from_few_patients() -> None:
    losses = []
    for seed in range(5):
        (x, y), (new_x, new_y) = two(150, seed), two(3_000, 100 + seed)
        states = States.learn(y, 1_601, listed=False)
        cell = cells_of(states, ordered=True)
        feature = learn_feature(x, listed=False)
        shapes = card_shapes(states, cell, ordered=True)
        label, new = cell[states.assign(y)], cell[states.assign(new_y)]
        for points in (shapes, np.eye(shapes.shape[1])):
            card = learn_score_card(feature.of(x)[:, None], label, points, (feature,), ridge=1.0)
            scores = card.scores(feature.of(new_x)[:, None])
            odds = np.exp(scores)
            losses.append(-np.log((odds / odds.sum(axis=1, keepdims=True))[np.arange(len(new)), new]).mean())
    shaped, free = np.array(losses).reshape(-1, 2).mean(axis=0)
    assert shaped < free - 0.02


def test_cells_have_points_of_their_own_where_the_order_misleads() -> None:
    """In one group the number is low or high, in the other in between or far out: no two shapes say so."""
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, 3_000)
    label = 2 * rng.integers(0, 4, 3_000) + group
    states = States.learn(label, 8, listed=False)
    shapes = card_shapes(states, np.arange(8), ordered=True)
    assert shapes.shape == (2, 8)
    feature = learn_feature(group, listed=True)
    found = learn_classifier(
        feature.of(group)[:, None],
        label,
        shapes,
        (feature,),
        boosting=Boosting(),
        rng=np.random.default_rng(0),
    )
    assert found.card is not None
    scores = found.card.scores(np.array([[1], [2]], np.float32))
    own = np.exp(scores[1] - scores[0])
    assert own[1::2].min() > 10 * own[::2].max()


def test_regressions_on_synthetic_patients_find_the_effect_of_real_ones() -> None:
    numbers = {"kind": "number", "minimum": -8, "maximum": 8, "decimals": 2}
    schema = Schema(
        name="slope",
        citation="made for this test",
        columns=({"name": "x", **numbers}, {"name": "y", **numbers}),
    )
    ratios = []
    for seed in range(6):
        x, y = two(400, seed)
        real = pd.DataFrame(from_values({"x": x / 100 - 8.0, "y": y / 100 - 8.0}, schema))
        made = generator("autoregressive").fit(real, schema, seed=seed).sample(8_000, seed=1).table
        slopes = [
            np.polyfit(v["x"], v["y"], 1)[0] for v in (to_values(made, schema), to_values(real, schema))
        ]
        ratios.append(slopes[0] / slopes[1])
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
