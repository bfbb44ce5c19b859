"""Accountants: known values, agreement with each other, and targets that are never passed."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrsynth.dp.accounting import (
    AGREEMENT,
    epsilon_of_rho,
    multiplier_for,
    pld,
    prv,
    rdp,
    rho_of_epsilon,
    spent,
)
from ehrsynth.dp.events import Exponential, Gaussian, SampledGaussian, event_from, gathered
from ehrsynth.errors import ModelError, RequestError

# Noise, rate, steps; what opacus' PRV and dp-accounting's PLD gave when they were looked at by hand.
KNOWN = [
    (1.0, 0.01, 1_000, 1.8384, 1.8282),
    (2.0, 0.05, 1_000, 3.7100, 3.6997),
    (1.1, 0.0256, 2_000, 6.2440, 6.2336),
]


@pytest.mark.parametrize(("noise", "rate", "steps", "by_prv", "by_pld"), KNOWN)
def test_two_accountants_agree_and_the_larger_counts(noise, rate, steps, by_prv, by_pld) -> None:
    events = (SampledGaussian(rate, noise, steps),)
    one, other = prv(events, 1e-5), pld(events, 1e-5)
    assert one == pytest.approx(by_prv, abs=2e-3)
    assert other == pytest.approx(by_pld, abs=2e-3)
    assert other <= one <= other + AGREEMENT
    assert rdp(events, 1e-5) >= other
    found = spent(events, 1e-5, "PRV and PLD")
    assert found.epsilon == max(one, other)
    assert set(found.by) == {"PRV", "PLD"}


def test_noise_without_sampling_is_the_gaussian_mechanism() -> None:
    """Balle and Wang 2018: the exact delta of one Gaussian mechanism."""

    def delta(epsilon: float, noise: float) -> float:
        def normal(x: float) -> float:
            return 0.5 * math.erfc(-x / math.sqrt(2))

        a, b = 1 / (2 * noise), epsilon * noise
        return normal(a - b) - math.exp(epsilon) * normal(-a - b)

    found = pld((Gaussian(3.0),), 1e-5)
    assert delta(found, 3.0) == pytest.approx(1e-5, rel=0.02)
    assert pld((Gaussian(3.0 * 2, 4),), 1e-5) == pytest.approx(found, abs=2e-3)
    assert prv((Gaussian(3.0),), 1e-5) == pytest.approx(found, abs=AGREEMENT)


@settings(max_examples=25)
@given(
    noise=st.floats(1, 200),
    counts=st.integers(1, 40),
    choice=st.floats(1e-4, 1),
    delta=st.sampled_from([1e-3, 1e-6, 1e-9]),
)
def test_our_own_zcdp_is_what_renyi_gives(noise, counts, choice, delta) -> None:
    """Checked against dp-accounting, whose orders are a grid: it is a little above, never below."""
    events = (Gaussian(noise, counts), Exponential(choice, counts))
    ours, theirs = spent(events, delta, "zCDP").epsilon, rdp(events, delta)
    assert ours <= theirs + 1e-9
    assert theirs <= ours * 1.02 + 1e-6


@given(epsilon=st.floats(0.01, 20), delta=st.floats(1e-12, 1e-2))
def test_a_budget_in_zcdp_is_never_passed_and_hardly_wasted(epsilon, delta) -> None:
    rho = rho_of_epsilon(epsilon, delta)
    assert epsilon_of_rho(rho, delta) <= epsilon
    assert epsilon_of_rho(rho * 1.0001 + 1e-12, delta) > epsilon * (1 - 1e-6)


def test_the_exponential_mechanism_costs_no_more_than_its_pure_epsilon() -> None:
    assert Exponential(1.0).rho == pytest.approx(1 / 8)
    assert Exponential(0.3, 4).rho == pytest.approx(4 * 0.09 / 8)


@settings(max_examples=6)
@given(
    epsilon=st.floats(0.3, 6),
    rate=st.floats(0.01, 0.5),
    steps=st.integers(5, 400),
    delta=st.sampled_from([1e-4, 1e-6]),
)
def test_the_noise_found_keeps_the_target(epsilon, rate, steps, delta) -> None:
    ones = Gaussian(60.0, 8)
    noise = multiplier_for([ones], SampledGaussian(rate, 4.0, steps), epsilon, delta)
    found = spent([ones, SampledGaussian(rate, noise, steps)], delta, "PRV and PLD").epsilon
    assert found <= epsilon
    assert noise == 0.5 or found > 0.95 * epsilon - AGREEMENT


def test_what_cannot_be_added_up_is_an_error() -> None:
    with pytest.raises(RequestError, match="PRV and PLD"):
        spent([SampledGaussian(0.1, 1.0)], 1e-5, "zCDP")
    with pytest.raises(RequestError, match="zCDP"):
        spent([Exponential(0.1)], 1e-5, "PRV and PLD")
    with pytest.raises(RequestError, match="too small"):
        multiplier_for([Gaussian(0.5)], SampledGaussian(0.1, 1.0, 10), 0.1, 1e-6)


def test_nothing_costs_nothing() -> None:
    assert spent([], 1e-6, "zCDP").epsilon == 0
    assert epsilon_of_rho(0.0, 1e-6) == 0


@pytest.mark.parametrize("event", [Gaussian(2.5, 3), Exponential(0.25), SampledGaussian(0.02, 1.5, 700)])
def test_events_survive_storage(event) -> None:
    assert event_from(event.as_json()) == event


@pytest.mark.parametrize(
    "values",
    [{}, {"kind": "laplace"}, {"kind": "gaussian"}, {"kind": "gaussian", "multiplier": -1, "count": 1}],
)
def test_a_stored_event_that_is_none_is_an_error(values) -> None:
    with pytest.raises(ModelError, match="damaged"):
        event_from(values)


@pytest.mark.parametrize(
    "make",
    [lambda: Gaussian(0), lambda: SampledGaussian(1.5, 1), lambda: Exponential(-1), lambda: Gaussian(1, 0)],
)
def test_an_event_without_noise_or_chance_is_refused(make) -> None:
    with pytest.raises(RequestError):
        make()


def test_equal_events_are_counted_together() -> None:
    events = gathered(
        [Gaussian(2.0), SampledGaussian(0.1, 1.0), Gaussian(2.0, 2), SampledGaussian(0.1, 1.0, 5)]
    )
    assert events == (Gaussian(2.0, 3), SampledGaussian(0.1, 1.0, 6))
