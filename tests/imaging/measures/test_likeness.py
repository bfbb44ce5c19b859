"""The scores are their formulas, written out once more the slow way; and each has its floor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from ehrsynth.imaging.measures.likeness import (
    enough_for_fid,
    frechet_distance,
    kernel_distance,
    kernel_distance_interval,
    likeness,
    shares,
)


def rows(n, d=12, *, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


@given(n=st.integers(2, 9), m=st.integers(2, 9), seed=st.integers(0, 50))
def test_the_kernel_distance_is_its_formula(n, m, seed):
    x, y = rows(n, 5, seed=seed), rows(m, 5, shift=0.3, seed=seed + 1)

    def k(a, b):
        return (a @ b / 5 + 1) ** 3

    own = np.mean([k(x[i], x[j]) for i in range(n) for j in range(n) if i != j])
    their = np.mean([k(y[i], y[j]) for i in range(m) for j in range(m) if i != j])
    cross = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(own + their - 2 * cross, abs=1e-9)


def test_the_kernel_distance_is_unbiased_and_its_interval_holds_its_level():
    values, held = [], 0
    for seed in range(60):
        found = kernel_distance_interval(rows(40, seed=2 * seed), rows(40, seed=2 * seed + 1), seed=seed)
        values.append(found.value)
        held += found.low <= 0 <= found.high
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert held >= 52


def test_what_is_further_is_further():
    near, far = (kernel_distance(rows(80), rows(80, shift=s, seed=1)) for s in (0.2, 1.0))
    assert near < far


@given(n=st.integers(8, 20), seed=st.integers(0, 50))
def test_the_shares_are_their_formulas(n, seed):
    real, other = rows(n, 4, seed=seed), rows(n, 4, shift=0.5, seed=seed + 1)

    def nearest(points, k):
        return [np.sort([np.linalg.norm(p - q) for q in points])[k] for p in points]

    own, their = nearest(real, 5), nearest(other, 5)
    distance = np.array([[np.linalg.norm(r - o) for o in other] for r in real])
    within = distance <= np.array(own)[:, None]
    wanted = {
        "precision": within.any(axis=0).mean(),
        "density": within.sum(axis=0).mean() / 5,
        "recall": (distance <= np.array(their)[None, :]).any(axis=1).mean(),
        "coverage": within.any(axis=1).mean(),
    }
    found = shares(real, other)
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name
        assert found[name].low <= found[name].value <= found[name].high


def test_the_frechet_distance_is_its_formula():
    x, y = rows(300, 6), rows(300, 6, shift=0.4, seed=1) * 1.3
    shift, (first, second) = x.mean(axis=0) - y.mean(axis=0), (np.cov(x.T), np.cov(y.T))
    wanted = shift @ shift + np.trace(first + second - 2 * np.real(linalg.sqrtm(first @ second)))
    assert frechet_distance(x, y) == pytest.approx(wanted, rel=1e-6)


def test_the_frechet_distance_of_known_normals():
    x, y = rows(20_000, 3), rows(20_000, 3, shift=1.0, seed=1)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, y) == pytest.approx(3.0, abs=0.1)


def test_fid_is_left_out_where_there_are_few():
    assert not enough_for_fid(500, 500, 1280)
    assert enough_for_fid(6400, 6400, 1280)
    found = likeness(rows(50), rows(50, seed=1), rows(50, seed=2), seed=0)
    assert found.fid is None
    assert "60 images a side" in found.reason
    assert likeness(rows(80, 12), rows(80, 12, seed=1), rows(80, 12, seed=2), seed=0).fid is not None


def test_every_score_has_its_floor_and_too_few_have_none():
    found = likeness(rows(60), rows(60, seed=1), rows(60, shift=2.0, seed=2), seed=0)
    assert found.kid.low > found.kid_floor
    assert found.shares["precision"].value < found.floor["precision"]
    few = likeness(rows(5), rows(60), rows(60), seed=0)
    assert few.kid is None
    assert "at least 12" in few.reason
