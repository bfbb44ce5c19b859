"""Raking: known answers, every margin met, what cannot be met is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import Refused, RequestError
from ehrsynth.rebalance.raking import Moment, Shares, achieved, rake


def shares(name: str, cell: list[int], wanted: list[float]) -> Shares:
    return Shares(name, np.array(cell), tuple(f"{name} {i}" for i in range(len(wanted))), np.array(wanted))


def test_one_margin_has_a_known_answer() -> None:
    found = rake([shares("sex", [0, 0, 0, 1], [0.5, 0.5])], 4)
    assert found.weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert found.effective == pytest.approx(3)


def test_two_margins_of_a_table_of_independent_columns_multiply() -> None:
    sex, old = [0, 0, 1, 1], [0, 1, 0, 1]
    found = rake([shares("sex", sex, [0.8, 0.2]), shares("old", old, [0.3, 0.7])], 4)
    assert found.weights == pytest.approx(4 * np.array([0.8 * 0.3, 0.8 * 0.7, 0.2 * 0.3, 0.2 * 0.7]))


def test_a_mean_and_a_spread_are_met_by_a_tilt() -> None:
    x = np.random.default_rng(0).normal(size=2_000)
    squares = Moment("variance", (x - 0.4) ** 2, 0.8**2)
    found = rake([Moment("mean", x, 0.4), squares], len(x))
    assert np.average(x, weights=found.weights) == pytest.approx(0.4, abs=1e-4)
    assert np.average((x - 0.4) ** 2, weights=found.weights) == pytest.approx(0.64, abs=1e-4)
    # The tilt is exponential in x and its square: log weights are a quadratic.
    fitted = np.polyval(np.polyfit(x, np.log(found.weights), 2), x)
    assert np.abs(fitted - np.log(found.weights)).max() < 1e-6


def test_a_table_that_has_the_margins_already_is_left_alone() -> None:
    found = rake([shares("sex", [0, 1, 0, 1], [0.5, 0.5])], 4)
    assert found.rounds == 0
    assert found.weights.tolist() == [1.0] * 4


def test_rows_in_no_cell_and_missing_numbers_keep_their_part() -> None:
    x = np.array([1.0, 2.0, np.nan, 3.0, np.nan])
    found = rake([Moment("x", x, 2.4)], 5)
    assert found.weights[[2, 4]] == pytest.approx([1, 1])
    assert np.average(x[[0, 1, 3]], weights=found.weights[[0, 1, 3]]) == pytest.approx(2.4, abs=1e-5)


@given(
    st.integers(0, 10_000),
    st.lists(st.floats(0.05, 1), min_size=2, max_size=4),
    st.lists(st.floats(0.05, 1), min_size=2, max_size=5),
)
def test_every_margin_is_met_and_weights_are_positive(
    seed: int, one: list[float], other: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    cells = [np.concatenate([np.arange(len(w)), rng.integers(0, len(w), 300 - len(w))]) for w in (one, other)]
    # Each cell of the one with each of the other: the margins cannot contradict each other.
    grid = np.stack(np.meshgrid(np.arange(len(one)), np.arange(len(other))), axis=-1).reshape(-1, 2)
    cells = [np.concatenate([c, grid[:, i]]) for i, c in enumerate(cells)]
    margins = [
        Shares("m", c, tuple(map(str, range(len(w)))), np.array(w) / sum(w))
        for c, w in zip(cells, (one, other), strict=True)
    ]
    found = rake(margins, len(cells[0]))
    assert (found.weights > 0).all()
    assert found.weights.mean() == pytest.approx(1)
    for margin in margins:
        assert achieved(margin, found.weights) == pytest.approx(margin.shares, abs=1e-5)


def test_a_cell_without_patients_is_impossible_and_all_are_named() -> None:
    with pytest.raises(RequestError, match="impossible") as caught:
        rake([shares("sex", [0, 0], [0.5, 0.5]), Moment("age", np.array([50.0, 60.0]), 70.0)], 2)
    assert "sex 1 shall be 50.0%" in str(caught.value)
    assert "age: no weights give 70" in str(caught.value)


def test_a_cell_that_shall_be_empty_may_be() -> None:
    found = rake([shares("sex", [0, 0, 1], [1.0, 0.0])], 3)
    assert found.weights == pytest.approx([1.5, 1.5, 0])


def test_margins_that_contradict_each_other_are_refused() -> None:
    # Everybody in cell 0 of the one is in cell 0 of the other: 90 % and 10 % cannot both be.
    with pytest.raises(Refused, match="contradict"):
        rake([shares("a", [0, 0, 1, 1], [0.9, 0.1]), shares("b", [0, 0, 1, 1], [0.1, 0.9])], 4)
