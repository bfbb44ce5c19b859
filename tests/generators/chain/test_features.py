"""Features: what later links see of a column."""

import numpy as np
import pytest

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.features import (
    MOST_CELLS,
    Feature,
    feature_matrix,
    learn_feature,
    with_gaps,
    with_gaps_seen,
)
from ehrsynth.generators.marginals import CROWD


def test_each_cell_of_a_number_holds_a_crowd_and_no_cut_stands_alone() -> None:
    rng = np.random.default_rng(0)
    codes = np.append(rng.integers(0, 1_000, 3_000), [-1] * 100 + [50_000])
    feature = learn_feature(codes, listed=False)
    cells = feature.of(codes)
    counts = np.unique(cells[codes >= 0], return_counts=True)[1]
    assert counts.min() >= CROWD
    assert len(counts) <= MOST_CELLS + 1
    assert (cells[codes < 0] == 0).all()
    assert feature.cuts.max() < 1_000
    assert (np.diff(feature.of(np.arange(1_000))) >= 0).all()


def test_known_cuts() -> None:
    codes = np.repeat([10, 20, 40], CROWD)
    feature = learn_feature(codes, listed=False)
    assert feature.cuts.tolist() == [15, 30]
    assert feature.of(np.array([-1, 0, 14, 15, 29, 30, 99])).tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_a_heap_leaves_the_cells_to_the_others() -> None:
    """Nine in ten are zero: the tenth is told apart as finely as a whole column, each cell still a crowd."""
    rng = np.random.default_rng(2)
    few = rng.integers(1, 10_000, 3_000)
    heaped = learn_feature(np.append(few, np.zeros(27_000, np.int64)), listed=False)
    assert heaped.cuts.min() == (few.min() + 1) // 2
    counts = np.unique(heaped.of(few), return_counts=True)[1]
    assert counts.min() >= CROWD
    assert len(counts) > MOST_CELLS // 2
    assert len(heaped.cuts) < 2 * MOST_CELLS


def test_how_many_are_missing_is_a_feature() -> None:
    features = np.array([[1, 0, 3], [0, 0, 0], [2, 2, 2]], np.float32)
    assert with_gaps(features)[:, -1].tolist() == [2, 4, 1]
    assert with_gaps(features)[:, :-1].tolist() == features.tolist()
    seen = with_gaps_seen([Feature(np.empty(0, np.int64), listed=True)] * 3)
    assert len(seen) == with_gaps(features).shape[1]
    assert with_gaps(np.empty((4, 0), np.float32)).shape == (4, 0)
    assert with_gaps_seen([]) == ()


def test_a_listed_column_is_its_code_and_missing_is_0() -> None:
    feature = learn_feature(np.array([0, 1, 4, -1]), listed=True)
    assert feature.of(np.array([0, 4, -1])).tolist() == [1, 5, 0]


@pytest.mark.parametrize("codes", [np.full(30, -1), np.full(30, 7), np.arange(5), np.empty(0, np.int64)])
def test_nothing_to_cut(codes: np.ndarray) -> None:
    feature = learn_feature(codes, listed=False)
    assert len(feature.cuts) == 0
    assert set(feature.of(codes).tolist()) <= {0.0, 1.0}


def test_matrix_has_a_column_for_each() -> None:
    codes = np.array([[0, 5], [-1, 7]])
    features = (Feature(np.empty(0, np.int64), listed=True), Feature(np.array([6]), listed=False))
    assert feature_matrix(codes, features).tolist() == [[1, 1], [0, 2]]


def test_damage_is_found() -> None:
    with pytest.raises(ModelError):
        Feature(np.array([3, 1]), listed=False).checked()
