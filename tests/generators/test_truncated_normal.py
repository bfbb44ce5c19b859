"""The boxed normal against known probabilities."""

import numpy as np
import pytest
from scipy.stats import norm

from ehrsynth.generators.truncated_normal import BoxedNormal, nearest_correlation

UP = np.array([[0.0, np.inf]])


def test_quadrant_probability_is_the_arcsine_law() -> None:
    rho = 0.6
    normal = BoxedNormal(np.array([[1, rho], [rho, 1]]), {0: UP, 1: UP})
    _, weights = normal.propose(50_000, np.random.default_rng(0))
    assert weights.mean() == pytest.approx(0.25 + np.arcsin(rho) / (2 * np.pi), rel=0.01)


def test_draws_lie_inside_and_follow_the_conditional() -> None:
    rho = 0.8
    box = np.array([[-2.0, -1.0], [1.0, 2.0]])
    normal = BoxedNormal(np.array([[1, rho], [rho, 1]]), {1: box})
    points, worth = normal.draw(20_000, np.random.default_rng(1))
    held = np.abs(points[:, 1])
    assert ((held >= 1) & (held <= 2)).all()
    assert worth == pytest.approx(20_000)
    assert np.polyfit(points[:, 1], points[:, 0], 1)[0] == pytest.approx(rho, abs=0.02)


def test_two_held_coordinates_cost_effective_rows_and_match_rejection() -> None:
    matrix = nearest_correlation(np.array([[1, 0.9, 0.3], [0.9, 1, 0.2], [0.3, 0.2, 1]]))
    points, worth = BoxedNormal(matrix, {0: UP + 1, 1: -UP[:, ::-1]}).draw(5_000, np.random.default_rng(2))
    assert 0 < worth <= 5_000
    free = np.random.default_rng(3).multivariate_normal(np.zeros(3), matrix, 2_000_000)
    kept = free[(free[:, 0] > 1) & (free[:, 1] < 0)]
    assert points[:, 0].mean() == pytest.approx(kept[:, 0].mean(), abs=0.05)
    assert points[:, 2].mean() == pytest.approx(kept[:, 2].mean(), abs=0.1)


def test_far_tail_is_finite_and_right() -> None:
    points, _ = BoxedNormal(np.eye(2), {0: np.array([[9.0, np.inf]])}).draw(1_000, np.random.default_rng(4))
    assert np.isfinite(points).all()
    assert points[:, 0].min() >= 9
    assert points[:, 0].mean() == pytest.approx(norm.pdf(9) / norm.sf(9), rel=0.01)


def test_nearest_correlation_mends_an_impossible_matrix() -> None:
    fixed = nearest_correlation(np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]))
    assert np.linalg.eigvalsh(fixed).min() > 0
    assert np.diag(fixed) == pytest.approx(np.ones(3))
