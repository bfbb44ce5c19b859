"""Forgetting by subtraction: the counts of those who are left are those of a count without the others."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import ModelError, RequestError
from ehrsynth.generators.counting import Counts
from ehrsynth.generators.independent import FittedIndependent, Independent
from ehrsynth.generators.storage import load_model, save_model
from ward import WARD, patients

TABLE = patients(400)


def learnt(table=TABLE, *, counts: bool = True) -> FittedIndependent:
    return cast("FittedIndependent", Independent(counts=counts).fit(table, WARD, seed=1))


def saved(model: FittedIndependent, folder: Path) -> dict[str, bytes]:
    save_model(model, folder)
    return {f.name: f.read_bytes() for f in folder.iterdir()}


@given(st.integers(0, 2**31), st.integers(1, 60))
def test_subtraction_is_counting_without_them(seed, many):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 7, (60, 3))
    gone = rng.permutation(60)[: many - 1]
    left, fresh = Counts.of(codes).without(codes[gone]), Counts.of(np.delete(codes, gone, axis=0))
    for one, other in zip((*left.values, *left.held), (*fresh.values, *fresh.held), strict=True):
        assert np.array_equal(one, other)
    assert left.patients == 60 - len(gone)


def test_who_was_never_counted_cannot_be_subtracted():
    counts = Counts.of(np.array([[0, 1], [0, 2], [3, -1]]))
    for codes in ([[5, 1]], [[3, -1], [3, -1]], [[-1, 1]]):
        with pytest.raises(RequestError, match="not among those who were counted"):
            counts.without(np.array(codes))


@pytest.mark.parametrize("gone", [1, 11, 250, 398])
def test_the_model_has_the_bytes_of_a_fit_that_never_saw_them(gone, tmp_path):
    rows, remaining = TABLE.head(gone), TABLE.iloc[gone:].reset_index(drop=True)
    mended = learnt().forget(rows, remaining, seed=5)
    assert saved(mended, tmp_path / "a") == saved(learnt(remaining), tmp_path / "b")


def test_counts_are_kept_only_where_asked_for_and_change_nothing_else(tmp_path):
    plain, counted = learnt(counts=False), learnt()
    assert not plain.forgets
    assert counted.forgets
    assert plain.sample(30, seed=1).table.equals(counted.sample(30, seed=1).table)
    with pytest.raises(RequestError, match="kept no counts"):
        plain.forget(TABLE.head(1), TABLE.iloc[1:], seed=1)
    save_model(counted, tmp_path / "model")
    assert load_model(tmp_path / "model").forgets
    with pytest.raises(RequestError, match="would be left"):
        counted.forget(TABLE.head(399), TABLE.tail(1), seed=1)


@pytest.mark.parametrize("name", ["length", "values", "held"])
def test_damaged_counts_are_refused(name):
    arrays = Counts.of(np.array([[0, 1], [0, 2]])).pack()
    arrays[f"counts.{name}"] = arrays[f"counts.{name}"] - 5
    with pytest.raises(ModelError, match="damaged"):
        Counts.unpack(arrays, [4, 4])
