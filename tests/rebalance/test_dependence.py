"""Distance correlation and the probe: known answers."""

import numpy as np
import pytest

from ehrsynth.rebalance.dependence import probe, squared_distance_correlation, within_classes

RNG = np.random.default_rng(0)
X = RNG.normal(size=500)


def test_a_linear_function_is_fully_dependent() -> None:
    assert squared_distance_correlation(X, -3 * X + 2) == pytest.approx(1)


def test_independent_columns_are_near_zero_however_many_there_are() -> None:
    many = [squared_distance_correlation(RNG.normal(size=(100, 20)), RNG.normal(size=100)) for _ in range(20)]
    assert np.mean(many) < 0.01


def test_it_sees_what_a_correlation_does_not() -> None:
    assert abs(np.corrcoef(X, X**2)[0, 1]) < 0.2
    assert squared_distance_correlation(X, X**2) > 0.1


def test_it_does_not_change_with_scale_shift_or_order() -> None:
    y = X + RNG.normal(size=500)
    found = squared_distance_correlation(X, y)
    order = RNG.permutation(500)
    assert squared_distance_correlation(10 * X[order] + 3, y[order]) == pytest.approx(found)
    assert 0 < found < 1


def test_for_normal_columns_it_is_what_the_correlation_says() -> None:
    """Szekely, Rizzo and Bakirov 2007, theorem 7, for correlation 0.5."""
    rho, n = 0.5, 2_000
    rng = np.random.default_rng(1)
    a = rng.normal(size=n)
    b = rho * a + np.sqrt(1 - rho**2) * rng.normal(size=n)
    top = rho * np.arcsin(rho) + np.sqrt(1 - rho**2) - rho * np.arcsin(rho / 2) - np.sqrt(4 - rho**2) + 1
    expected = top / (1 + np.pi / 3 - np.sqrt(3))
    assert squared_distance_correlation(a, b) == pytest.approx(expected, abs=0.03)


def test_within_classes_a_difference_between_classes_does_not_count() -> None:
    y = np.repeat([0, 1], 250)
    features, bias = y[:, None] * 5 + RNG.normal(size=(500, 2)), y * 5 + RNG.normal(size=500)
    assert squared_distance_correlation(features, bias) > 0.5
    assert within_classes(features, bias, y, seed=0)["mean"] < 0.03


def test_a_probe_reads_what_is_there_also_where_it_is_no_line() -> None:
    features = RNG.normal(size=(400, 3))
    assert probe(features, features[:, 0] > 0, seed=1).value > 0.95
    assert probe(features, np.abs(features[:, 0]) > 0.7, seed=1).value > 0.9
    fresh = probe(features, RNG.integers(0, 2, 400), seed=1)
    assert fresh.low < 0.55
    assert probe(features, np.arange(400) < 5, seed=1) is None
