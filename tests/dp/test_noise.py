"""Noise: exact distributions, a stream that nobody foretells, and choices in proportion to their chances."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from ehrsynth.dp.noise import NoiseStream, choose, discrete_gaussian
from ehrsynth.errors import RequestError


@pytest.mark.parametrize("variance", [0.25, 1.0, 7.3, 400.0, 2e6])
def test_the_discrete_gaussian_has_its_distribution(variance: float) -> None:
    n = 40_000
    drawn = discrete_gaussian(NoiseStream(3, "test"), variance, n)
    width = int(np.ceil(6 * np.sqrt(variance))) + 2
    values = np.arange(-width, width + 1)
    odds = np.exp(-(values**2) / (2 * variance))
    chances = odds / odds.sum()
    assert np.abs(drawn).max() <= width
    # The parameter is rounded up to a sixteenth at most.
    exact = float((chances * values**2).sum())
    spread = np.sqrt(2 / n) * exact
    assert exact - 4 * spread <= drawn.var() <= exact * (1 + 1 / 16 / min(variance, 16)) + 5 * spread
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 22)).round())
    held = np.histogram(drawn, edges)[0]
    expected = np.array([chances[(values >= a) & (values < b)].sum() for a, b in pairwise(edges)])
    expected[-1] += chances[values == edges[-1]].sum()
    if variance in {1.0, 400.0, 2e6}:  # whole in sixteenths: the very distribution that was asked for
        kept = expected * n > 5
        assert (
            stats.chisquare(held[kept], expected[kept] / expected[kept].sum() * held[kept].sum()).pvalue
            > 1e-4
        )
    assert drawn.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / n) + 0.02)


def test_huge_noise_is_drawn_exactly_too() -> None:
    drawn = discrete_gaussian(NoiseStream(4), 1e11, 300).astype(float)
    assert np.std(drawn) == pytest.approx(np.sqrt(1e11), rel=0.2)


def test_a_known_seed_gives_equal_noise_and_none_gives_fresh() -> None:
    a, b, c = (NoiseStream(1, *path).words(50) for path in (("x",), ("x",), ("y",)))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(NoiseStream().words(50), NoiseStream().words(50))
    assert not np.array_equal(NoiseStream(1, "ab", "c").words(9), NoiseStream(1, "a", "bc").words(9))


def test_words_do_not_depend_on_how_they_are_asked_for() -> None:
    at_once, bit_by_bit = NoiseStream(7), NoiseStream(7)
    pieces = np.concatenate([bit_by_bit.words(n) for n in (1, 8_191, 5, 10_000)])
    assert len(np.unique(pieces)) == len(pieces)
    assert np.array_equal(at_once.words(8_192), pieces[:8_192])


def test_the_words_are_uniform() -> None:
    stream = NoiseStream(5)
    assert stats.kstest(stream.uniform(20_000), "uniform").pvalue > 1e-3
    found = stream.below(np.full(30_000, 7, np.int64))
    assert stats.chisquare(np.bincount(found, minlength=7)).pvalue > 1e-3
    large = stream.below(np.array([10**30] * 200, object))
    assert all(0 <= x < 10**30 for x in large)


def test_generators_of_the_stream_differ() -> None:
    import torch

    stream = NoiseStream(5)
    one, other = (torch.rand(5, generator=stream.torch_generator()) for _ in range(2))
    assert not torch.equal(one, other)
    assert stream.numpy_generator().random() != stream.numpy_generator().random()
    assert stream.normal_generator().normal() != stream.normal_generator().normal()


def test_normal_noise_is_normal_across_generators() -> None:
    """A training draws from a new generator at each step: the first draws of many, and many of one."""
    stream = NoiseStream(6)
    first = [stream.normal_generator().normal() for _ in range(4_000)]
    assert stats.kstest(first, "norm").pvalue > 1e-3
    assert stats.kstest(stream.normal_generator().normal(size=40_000), "norm").pvalue > 1e-3


def test_the_exponential_mechanism_chooses_in_proportion() -> None:
    scores, epsilon, sensitivity = np.array([0.0, 3.0, 5.0, 5.0]), 0.8, 2.0
    stream = NoiseStream(9)
    found = np.bincount(
        [choose(stream, scores, epsilon=epsilon, sensitivity=sensitivity) for _ in range(8_000)]
    )
    odds = np.exp(epsilon * scores / (2 * sensitivity))
    assert stats.chisquare(found, odds / odds.sum() * found.sum()).pvalue > 1e-3


def test_far_apart_scores_do_not_overflow() -> None:
    assert choose(NoiseStream(1), np.array([-1e9, 1e9]), epsilon=5.0, sensitivity=1.0) == 1


@pytest.mark.parametrize("variance", [0.0, -1.0, float("inf"), float("nan")])
def test_no_noise_is_an_error(variance: float) -> None:
    with pytest.raises(RequestError, match="above 0"):
        discrete_gaussian(NoiseStream(1), variance, 3)
