"""Weights of densities that make unseen patients likeliest."""

import numpy as np
import pytest

from ehrsynth.generators.chain.stacking import stacked


def test_the_weights_are_those_of_the_mixture_that_made_the_patients():
    rng = np.random.default_rng(1)
    first, second = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.7])
    drawn = rng.choice(3, size=20_000, p=0.3 * first + 0.7 * second)
    assert stacked(np.column_stack([first[drawn], second[drawn]])) == pytest.approx([0.3, 0.7], abs=0.03)


def test_a_density_that_gives_unseen_patients_no_chance_counts_nothing():
    assert stacked(np.column_stack([np.zeros(50), np.full(50, 0.1)])) == pytest.approx([0, 1])


@pytest.mark.parametrize("unseen", [np.full((50, 2), np.nan), np.full((5, 2), 0.1), np.zeros((50, 2))])
def test_without_patients_who_tell_the_weights_are_equal(unseen):
    assert stacked(unseen) == pytest.approx([0.5, 0.5])
