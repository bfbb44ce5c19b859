"""Marginals: shares survive, rare values do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.marginals import CROWD, Marginal, common_range, learn_marginal, pack, unpack


def drawn(marginal: Marginal, n: int = 20_000) -> np.ndarray:
    return marginal.draw(n, np.random.default_rng(0))


def test_listed_values_keep_their_shares_and_missing() -> None:
    codes = np.repeat([0, 2, -1], [50, 1, 49])
    marginal = learn_marginal(codes, 3, listed=True)
    assert marginal.missing == pytest.approx(0.49)
    assert dict(zip(marginal.low.tolist(), marginal.share.tolist(), strict=True)) == pytest.approx(
        {0: 0.5, 2: 0.01}
    )
    assert np.mean(drawn(marginal) == -1) == pytest.approx(0.49, abs=0.02)


def test_zeros_and_heaps_survive_and_the_rest_keeps_its_quantiles() -> None:
    rng = np.random.default_rng(1)
    codes = np.concatenate([np.zeros(300, int), np.full(200, 5_000), rng.gamma(2, 10_000, 1_500).astype(int)])
    found = drawn(learn_marginal(codes, 10**6, listed=False))
    assert np.mean(found == 0) == pytest.approx(0.15, abs=0.01)
    assert np.mean(found == 5_000) == pytest.approx(0.10, abs=0.01)
    for q in (0.3, 0.5, 0.9):
        assert np.quantile(found, q) == pytest.approx(np.quantile(codes, q), rel=0.1)


@given(st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=200), st.integers(0, 30))
def test_is_a_distribution_on_the_grid(values: list[int], n_missing: int) -> None:
    codes = np.array(values + [-1] * n_missing)
    marginal = learn_marginal(codes, 10**9, listed=False).checked(10**9)
    assert marginal.missing == pytest.approx(n_missing / len(codes))
    found = drawn(marginal, 50)
    assert found.min() >= -1
    assert found.max() < 10**9


def test_a_rare_value_is_stored_nowhere() -> None:
    rng = np.random.default_rng(2)
    codes = np.append(rng.permutation(10**6)[:500], [123_456_789, 987_654_321])
    marginal = learn_marginal(codes, 10**9, listed=False)
    stored = np.concatenate([marginal.low, marginal.high])
    assert not np.isin([123_456_788, 123_456_789, 987_654_321], stored).any()
    assert stored.max() < 10**8  # nor does it stretch the last interval to itself


def test_fewer_patients_than_a_crowd_say_nothing() -> None:
    marginal = learn_marginal(np.array([70, 71]), 100, listed=False)
    assert (marginal.low.tolist(), marginal.high.tolist()) == ([0], [99])


def test_each_interval_holds_a_crowd() -> None:
    codes = np.random.default_rng(3).permutation(10**6)[:1_000]
    marginal = learn_marginal(codes, 10**6, listed=False)
    assert (np.round(marginal.share * len(codes)) >= CROWD).all()


def test_all_missing() -> None:
    assert (drawn(learn_marginal(np.full(5, -1), 10, listed=False), 9) == -1).all()


def test_within_is_exact_truncation() -> None:
    marginal = Marginal(np.array([0, 10]), np.array([0, 19]), np.array([0.2, 0.5]), 0.3)
    inside = marginal.within(CodeSet(intervals=((0, 14),), missing=False))
    assert inside.mass == pytest.approx(0.2 + 0.25)
    found = drawn(inside)
    assert set(np.unique(found)) == {0, 10, 11, 12, 13, 14}
    assert np.mean(found == 0) == pytest.approx(0.2 / 0.45, abs=0.02)
    assert marginal.within(CodeSet(intervals=(), missing=True)).mass == pytest.approx(0.3)
    assert marginal.within(CodeSet(intervals=((30, 40),), missing=False)).mass == 0


def test_drawing_from_nothing_is_an_error() -> None:
    empty = Marginal(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 0.0)
    with pytest.raises(ModelError, match="add up to nothing"):
        drawn(empty, 3)


def test_common_range_ignores_the_outermost() -> None:
    low, high = common_range(np.array([0, *range(100, 200), 10**9]))
    assert 100 <= low <= 110
    assert 190 <= high <= 200


def test_pack_and_unpack_are_inverse_and_check() -> None:
    both = [
        learn_marginal(np.array([0, 1, 1, -1]), 2, listed=True),
        learn_marginal(np.arange(50), 60, listed=False),
    ]
    arrays = pack(both)
    for old, new in zip(both, unpack(arrays, [2, 60]), strict=True):
        assert drawn(old, 50).tolist() == drawn(new, 50).tolist()
    with pytest.raises(ModelError):
        unpack(arrays, [2, 10])
    with pytest.raises(ModelError):
        unpack(arrays | {"marginals.share": arrays["marginals.share"] * np.nan}, [2, 60])
