"""Weights of particles."""

import numpy as np
import pytest

from ehrsynth.generators.chain.particles import effective, log_mean, systematic


def test_known_weights() -> None:
    log_weight = np.log(np.array([1.0, 1.0, 2.0]))
    assert log_mean(log_weight) == pytest.approx(np.log(4 / 3))
    assert effective(log_weight) == pytest.approx(16 / 6)
    assert effective(log_weight - 1_000) == pytest.approx(16 / 6)
    assert effective(np.zeros(7)) == pytest.approx(7)


def test_no_weight_at_all() -> None:
    nothing = np.full(3, -np.inf)
    assert log_mean(nothing) == -np.inf
    assert effective(nothing) == 0


def test_systematic_choice_is_proportional_within_one() -> None:
    log_weight = np.log(np.array([0.5, 0.0, 0.3, 0.2]) + 1e-300)
    counts = np.bincount(systematic(log_weight, 10, np.random.default_rng(0)), minlength=4)
    assert (np.abs(counts - [5, 0, 3, 2]) <= 1).all()
    assert counts[1] == 0
