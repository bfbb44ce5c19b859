"""Plain words and numbers: everything comes back, and nothing of a single patient stays."""

import numpy as np
import pytest

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError, RequestError
from ehrsynth.generators.plain import (
    PlainRows,
    check_memory,
    from_rows,
    learn_columns,
    pack_columns,
    to_frame,
    unpack_columns,
)
from ehrsynth.schema import Schema

SCHEMA = Schema(
    name="ward",
    columns=(
        {"name": "cost", "kind": "integer", "minimum": 0, "maximum": 10**9, "missing": True},
        {"name": "score", "kind": "integer", "minimum": 3, "maximum": 15},
        {"name": "code", "kind": "code", "values": tuple(f"C{k:04}" for k in range(5_000)), "missing": True},
        {"name": "empty", "kind": "number", "minimum": 0, "maximum": 9, "decimals": 1, "missing": True},
    ),
)
RNG = np.random.default_rng


def codes(n: int = 2_000) -> np.ndarray:
    rng = RNG(0)
    cost = np.where(rng.random(n) < 0.3, 0, rng.gamma(3, 1_000, n).astype(int))
    cost[:3] = 987_654_321
    cost[3:200] = -1
    code = np.minimum(rng.zipf(1.3, n) - 1, 4_999)
    code[:100] = -1
    return np.column_stack([cost, rng.integers(0, 13, n), code, np.full(n, -1)])


def rows_of(frame, n: int) -> PlainRows:
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    return PlainRows(
        n,
        {int(c[1:]): v.astype(np.int64) for c, v in columns.items() if c[0] == "w"},
        {int(c[1:]): v.astype(float) for c, v in columns.items() if c[0] == "n"},
    )


def test_a_frame_comes_back() -> None:
    real = codes()
    columns = learn_columns(real, SCHEMA, most_words=50)
    frame, words = to_frame(real, columns, RNG(1))
    assert list(frame.columns) == ["w0", "n0", "w1", "w2"]
    assert words == ["w0", "w1", "w2"]
    assert not frame.isna().any().any()
    back = from_rows(rows_of(frame, len(real)), columns, RNG(2))
    usual = slice(3, None)  # the three enormous costs are drawn in
    assert (back[usual, 0] == real[usual, 0]).mean() > 0.97
    assert np.abs(back[usual, 0] - real[usual, 0]).max() <= real[usual, 0].max()
    assert (back[:, 1] == real[:, 1]).all()
    assert ((back[:, 0] == -1) == (real[:, 0] == -1)).all()
    assert ((back[:, 0] == 0) == (real[:, 0] == 0)).mean() > 0.99
    assert ((back[:, 2] == -1) == (real[:, 2] == -1)).all()
    assert (back[:, 3] == -1).all()


def test_many_categories_become_few_words_and_keep_their_shares() -> None:
    real = codes()
    columns = learn_columns(real, SCHEMA, most_words=20)
    assert len(columns[2].shares) == 20
    frame, _ = to_frame(real, columns, RNG(1))
    back = from_rows(rows_of(frame, len(real)), columns, RNG(2))
    frequent = np.bincount(real[:, 2][real[:, 2] >= 0]).argsort()[-10:]
    for code in frequent:
        assert (back[:, 2] == code).sum() == (real[:, 2] == code).sum()
    rare = ~np.isin(real[:, 2], columns[2].levels)
    assert set(back[rare, 2]) <= set(real[rare, 2])


def test_extreme_values_are_drawn_in() -> None:
    columns = learn_columns(codes(), SCHEMA, most_words=50)
    assert columns[0].high < 10**6
    stored = np.concatenate([a.ravel().astype(float) for a in pack_columns(columns).values()])
    assert 987_654_321 not in stored


def test_rows_that_are_not_finite_are_left_out() -> None:
    columns = learn_columns(codes(), SCHEMA, most_words=50)
    last = len(columns[0].shares) - 1
    words = {0: np.full(3, last), 1: np.zeros(3, int), 2: np.zeros(3, int)}
    found = from_rows(PlainRows(3, words, {0: np.array([1.0, np.nan, 1e300])}), columns, RNG(0))
    assert found[:, 0].tolist()[1:] == [10**9]  # clipped to the schema's bound
    assert len(found) == 2


def test_masses_of_a_condition() -> None:
    real = codes()
    cost, _, code, _ = learn_columns(real, SCHEMA, most_words=20)
    only_zero = CodeSet(intervals=((0, 0),), missing=False)
    assert cost.masses(only_zero).sum() == pytest.approx((real[:, 0] == 0).mean())
    assert cost.masses(CodeSet(intervals=(), missing=True)).sum() == pytest.approx((real[:, 0] == -1).mean())
    rare = int(real[:, 2][~np.isin(real[:, 2], code.levels)][0])
    assert code.masses(CodeSet(intervals=((rare, rare),), missing=False)).sum() == pytest.approx(
        (real[:, 2] == rare).mean()
    )


def test_memory_is_said_before_it_is_needed() -> None:
    columns = learn_columns(codes(), SCHEMA, most_words=5_000)
    check_memory(columns, 2_000, 4.0)
    with pytest.raises(RequestError, match=r"most_words"):
        check_memory(columns, 10**7, 4.0)


def test_pack_and_unpack_are_inverse_and_check() -> None:
    real = codes()
    columns = learn_columns(real, SCHEMA, most_words=20)
    arrays = pack_columns(columns)
    again = unpack_columns(arrays, SCHEMA)
    assert {k: v.tolist() for k, v in pack_columns(again).items()} == {
        k: v.tolist() for k, v in arrays.items()
    }
    with pytest.raises(ModelError):
        unpack_columns(arrays | {"plain.levels": arrays["plain.levels"] + 10**10}, SCHEMA)
    with pytest.raises(ModelError):
        unpack_columns(arrays | {"plain.words": arrays["plain.words"][:-1]}, SCHEMA)
