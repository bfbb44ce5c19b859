"""Known answers from the papers and textbooks, and properties that each formula must have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ehrsynth.statistics import (
    auroc,
    auroc_influence,
    auroc_interval,
    clopper_pearson,
    corrected_paired_interval,
    holm,
    interval_of_influence,
    jackknife,
    permutation_maxima,
    residual_risk,
    wilson,
)

counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_wilson_known_answers() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_clopper_pearson_known_answers() -> None:
    # The same table, method 5.
    assert clopper_pearson(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert clopper_pearson(0, 20) == pytest.approx((0.0, 0.1684), abs=5e-5)
    assert clopper_pearson(1, 29) == pytest.approx((0.0009, 0.1776), abs=5e-5)


@given(counts)
def test_intervals_of_proportions_hold_the_rate_and_mirror(pair: tuple[int, int]) -> None:
    k, n = pair
    for interval in (wilson, clopper_pearson):
        low, high = interval(k, n)
        assert 0 <= low <= k / n <= high <= 1
        assert interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_clopper_pearson_covers_at_least_its_level() -> None:
    n, p = 30, 0.07
    inside = [clopper_pearson(k, n)[0] <= p <= clopper_pearson(k, n)[1] for k in range(n + 1)]
    assert stats.binom.pmf(np.arange(n + 1)[inside], n, p).sum() >= 0.95


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_counts_that_cannot_be_are_refused(k: int, n: int) -> None:
    for interval in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match="trials"):
            interval(k, n)


def test_residual_risk_known_answers() -> None:
    assert residual_risk(75, 100, 50, 100).value == pytest.approx(0.5)
    assert residual_risk(100, 100, 0, 100).value == 1
    assert residual_risk(20, 100, 40, 100).value < 0
    assert residual_risk(90, 100, 100, 100) == (0, -1, 1)
    # By hand, of failures: Wilson 0.0435 (0.0260 to 0.0610) and 0.5 (0.4563 to 0.5437), so the ratio 0.0870
    # with log errors hypot(ln(0.0610 / 0.0435), ln(0.5 / 0.4563)) up, hypot(ln(0.0435 / 0.0260), ...) down.
    found = residual_risk(480, 500, 250, 500)
    assert found.value == pytest.approx(0.92)
    assert found.low == pytest.approx(0.8766, abs=2e-4)
    assert found.high == pytest.approx(0.9483, abs=2e-4)


@given(counts, counts)
def test_residual_risk_lies_in_its_interval(a: tuple[int, int], c: tuple[int, int]) -> None:
    found = residual_risk(*a, *c)
    assert found.low <= found.value <= found.high <= 1
    if c[0] < c[1]:
        assert (found.value > 0) == (a[0] * c[1] > c[0] * a[1])


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.98])
def test_residual_risk_covers_zero_when_there_is_none(rate: float) -> None:
    rng = np.random.default_rng(0)
    attack, control = rng.binomial(400, rate, (2, 2000))
    ends = [residual_risk(a, 400, c, 400)[1:] for a, c in zip(attack, control, strict=True)]
    assert np.mean([low <= 0 <= high for low, high in ends]) > 0.94
    assert np.mean([low > 0 for low, _ in ends]) < 0.03


def test_holm_known_answer_and_order() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.001]) == pytest.approx([0.04, 0.002])
    assert holm([]).size == 0
    with pytest.raises(ValueError, match="0 to 1"):
        holm([0.2, 1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_raw_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()


def test_permutation_maxima_known_answer() -> None:
    permuted = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])  # maxima 2, 3, 1
    assert permutation_maxima([2.5, 0.5], permuted) == pytest.approx([2 / 4, 4 / 4])
    assert permutation_maxima([9.0, 2.0], permuted) == pytest.approx([1 / 4, 3 / 4])
    with pytest.raises(ValueError, match="shape"):
        permutation_maxima([1.0], permuted)


def test_permutation_maxima_keeps_the_family_wise_level() -> None:
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(400, 100, 10))
    smallest = [permutation_maxima(d[0], d[1:]).min() for d in draws]
    assert np.mean(np.array(smallest) <= 0.05) < 0.09


def test_corrected_paired_interval_known_answer() -> None:
    # Nadeau and Bengio 2003, equation 8: by hand for J = 4, n_test / n_train = 1 / 9.
    d = np.array([0.1, 0.2, 0.3, 0.4])
    half = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 1 / 9) * d.var(ddof=1))
    found = corrected_paired_interval(d, n_train=900, n_test=100)
    assert found == pytest.approx((0.25, 0.25 - half, 0.25 + half))
    plain = stats.t.interval(0.95, 3, loc=0.25, scale=d.std(ddof=1) / 2)
    assert found.low < plain[0] < plain[1] < found.high
    with pytest.raises(ValueError, match="at least 2"):
        corrected_paired_interval([0.1], n_train=9, n_test=1)


def test_jackknife_is_that_of_a_mean() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=50)
    left_out = (x.sum() - x) / 49
    found = jackknife(float(x.mean()), left_out)
    assert found[1:] == pytest.approx(stats.t.interval(0.95, 49, loc=x.mean(), scale=stats.sem(x)))


def test_auroc_against_counting_pairs_and_delong_against_its_definition() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 60)
    s = np.round(rng.normal(size=60) + y, 1)  # with ties
    pairs = np.array([[(a > b) + 0.5 * (a == b) for b in s[y == 0]] for a in s[y == 1]])
    value, influence = auroc_influence(y, s)
    assert value == pytest.approx(pairs.mean())
    assert influence.mean() == pytest.approx(0)
    m, n = pairs.shape
    delong = pairs.mean(axis=1).var() / m + pairs.mean(axis=0).var() / n
    assert np.sum(influence**2) / 60**2 == pytest.approx(delong)
    low, high = auroc_interval(y, s)[1:]
    assert (low, high) == pytest.approx((value - 1.96 * delong**0.5, value + 1.96 * delong**0.5), abs=1e-4)


def test_auroc_flips_with_its_labels_and_needs_both() -> None:
    y, s = [0, 1, 1, 0, 1], [1.0, 2.0, 0.5, 0.7, 3.0]
    assert auroc(y, s) + auroc(1 - np.array(y), s) == pytest.approx(1)
    assert auroc(y, np.exp(s)) == auroc(y, s)
    with pytest.raises(ValueError, match="needs both"):
        auroc([1, 1], [0.0, 1.0])


def test_a_faultless_auroc_still_has_an_interval() -> None:
    value, low, high = auroc_interval([0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6])
    assert value == high == 1
    assert 0.2 < low < 0.9


def test_interval_of_influence_is_that_of_a_mean_and_is_cut() -> None:
    x = np.array([0.9, 1.0, 0.7, 1.0])
    found = interval_of_influence(0.9, x - 0.9, bounds=(0, 1))
    half = 1.959964 * x.std() / 2
    assert found == pytest.approx((0.9, 0.9 - half, min(1, 0.9 + half)))
