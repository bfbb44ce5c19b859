"""Gaps are filled with present values that keep the correlations."""

import numpy as np
import pytest

from ehrsynth.generators.filling import fill


def numbers(n: int = 4_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    height = rng.normal(170, 10, n)
    return np.column_stack([height, height - 100 + rng.normal(0, 5, n), rng.normal(0, 1, n)])


def test_correlations_and_margins_survive() -> None:
    full = numbers()
    gaps = np.random.default_rng(1).random(full.shape) < [0.0, 0.3, 0.3]
    filled = fill(full, gaps, np.random.default_rng(2))
    assert (filled[~gaps] == full[~gaps]).all()
    assert set(filled[gaps[:, 1], 1]) <= set(full[~gaps[:, 1], 1])
    assert np.corrcoef(filled.T) == pytest.approx(np.corrcoef(full.T), abs=0.03)
    assert filled.std(axis=0) == pytest.approx(full.std(axis=0), rel=0.03)


def test_what_stood_in_a_gap_does_not_matter() -> None:
    full = numbers(200)
    gaps = np.random.default_rng(1).random(full.shape) < 0.2
    other = np.where(gaps, 1e9, full)
    assert (fill(full, gaps, np.random.default_rng(2)) == fill(other, gaps, np.random.default_rng(2))).all()


@pytest.mark.parametrize("columns", [0, 1])
def test_few_columns(columns: int) -> None:
    full = numbers(30)[:, :columns]
    gaps = np.zeros(full.shape, bool)
    gaps[:5] = True
    filled = fill(full, gaps, np.random.default_rng(0))
    assert filled.shape == full.shape
    assert np.isfinite(filled).all()
