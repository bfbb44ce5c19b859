"""Boosted trees as arrays: the same predictions, nothing about patients, and damage that is found."""

import lightgbm as lgb
import numpy as np
import pytest

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.boosted import BoostedTrees, pack_trees, unpack_trees


@pytest.fixture(scope="module", params=[1, 4])
def trained(request: pytest.FixtureRequest) -> tuple[lgb.Booster, np.ndarray]:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 90, 800), rng.integers(0, 12, 800)]).astype(np.float32)
    y = (x[:, 0] / 30 + (x[:, 1] % 3 == 1) + rng.normal(0, 0.5, 800)).clip(0, 3).astype(int)
    settings = {
        "num_leaves": 5,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "deterministic": True,
    }
    if request.param == 1:
        y, more = y > 1, {"objective": "binary"}
    else:
        more = {"objective": "multiclass", "num_class": 4}
    return lgb.train(settings | more, lgb.Dataset(x, y, categorical_feature=[1]), 12), x


def test_the_same_scores(trained: tuple[lgb.Booster, np.ndarray]) -> None:
    booster, x = trained
    trees = BoostedTrees.of(booster, 9).checked()
    expected = booster.predict(x, raw_score=True, num_iteration=9).reshape(len(x), -1)
    assert trees.arrays["num_cat"].sum() > 0, "the test must have splits by category"
    assert trees.scores(x) == pytest.approx(expected, abs=1e-5)
    unseen = np.array([[1e9, 400], [0, 0]], np.float32)
    assert np.isfinite(trees.scores(unseen)).all()


def test_nothing_about_patients_is_in_the_text(trained: tuple[lgb.Booster, np.ndarray]) -> None:
    text = BoostedTrees.of(trained[0], 9).text()
    assert "feature_infos=none none" in text
    assert not any(word in text for word in ("count", "weight", "internal", "gain", "parameters"))


def test_packing(trained: tuple[lgb.Booster, np.ndarray]) -> None:
    trees = BoostedTrees.of(trained[0], 9)
    again = unpack_trees(pack_trees(trees), trees.inputs, trees.outputs)
    assert np.array_equal(again.scores(trained[1]), trees.scores(trained[1]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left_child", 0),
        ("left_child", 99),
        ("right_child", -99),
        ("split_feature", 2),
        ("num_leaves", 2**31 - 1),
        ("num_cat", -3),
        ("decision_type", 64),
        ("leaf_value", np.nan),
        ("cat_boundaries", 5),
        ("cat_boundaries", -1),
    ],
)
def test_damage_is_found(trained: tuple[lgb.Booster, np.ndarray], field: str, value: float) -> None:
    trees = BoostedTrees.of(trained[0], 9)
    spoilt = trees.arrays[field].copy()
    spoilt[0] = value
    with pytest.raises(ModelError):
        BoostedTrees(trees.inputs, trees.outputs, dict(trees.arrays) | {field: spoilt}).checked()
