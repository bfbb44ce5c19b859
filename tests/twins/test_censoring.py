"""Censored before the horizon is not event-free: both ways against truth and against each other."""

import numpy as np
import pytest

from ehrsynth.twins.censoring import Horizon, incidence, ipcw, pseudo_observations, state


def by_hand() -> Horizon:
    #        death at 1, censored at 2, relapse at 3, death at 4, followed to 9
    return Horizon(np.array([1.0, 2, 3, 4, 9]), np.array([1.0, 0, 2, 1, 0]), 5.0, 1, 2)


def test_who_is_known_at_the_horizon() -> None:
    found = state(by_hand())
    assert np.isnan(found[1])
    assert found[[0, 2, 3, 4]].tolist() == [1, 0, 1, 0]


def test_follow_up_that_ends_at_the_horizon_is_enough_and_an_event_there_counts() -> None:
    given = Horizon(np.array([5.0, 5.0]), np.array([0.0, 1.0]), 5.0, 1, 1)
    assert state(given).tolist() == [0, 1]


def test_incidence_by_hand() -> None:
    # Aalen-Johansen: 1/5 at day 1; survival 4/5; day 3 relapse leaves 4/5 * 2/3; day 4: 8/15 * 1/2.
    assert incidence(by_hand()) == pytest.approx(1 / 5 + 8 / 15 / 2)


def test_without_censoring_pseudo_observations_are_the_events() -> None:
    given = Horizon(np.array([1.0, 2, 3, 9]), np.array([1.0, 2, 1, 0]), 5.0, 1, 2)
    np.testing.assert_allclose(pseudo_observations(given), [1, 0, 1, 0], atol=1e-12)


def simulated(n: int, seed: int, by_covariate: float) -> tuple[Horizon, np.ndarray, np.ndarray, float]:
    """Follow-up that ends sooner for those with a large x, who also die sooner; and the true incidence."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    death, other = rng.exponential(np.exp(1.2 - x)), rng.exponential(8, n)
    end = rng.exponential(np.exp(1.5 - by_covariate * x))
    time = np.minimum(np.minimum(death, other), end)
    event = np.where(end <= np.minimum(death, other), 0.0, np.where(death < other, 1.0, 2.0))
    truth = float(np.mean((death <= 2) & (death < other)))
    return Horizon(time, event, 2.0, 1, 2), x[:, None], np.zeros(n, np.int64), truth


def test_both_ways_agree_with_the_truth_and_the_naive_share_does_not() -> None:
    given, x, arm, truth = simulated(6_000, 1, by_covariate=0.0)
    weight, known = ipcw(given, arm, x), state(given)
    weighted = np.average(np.nan_to_num(known), weights=weight)
    assert weighted == pytest.approx(truth, abs=0.02)
    assert pseudo_observations(given.of(np.arange(1_500))).mean() == pytest.approx(truth, abs=0.04)
    event_free = np.mean((given.event == 1) & (given.time <= 2))
    assert event_free < truth - 0.05


def test_ipcw_follows_covariates_that_end_follow_up() -> None:
    given, x, arm, truth = simulated(8_000, 2, by_covariate=0.8)
    known = np.nan_to_num(state(given))
    adjusted = np.average(known, weights=ipcw(given, arm, x))
    blind = np.average(known, weights=ipcw(given, arm, np.zeros_like(x)))
    assert abs(adjusted - truth) < 0.02
    assert abs(blind - truth) > 2 * abs(adjusted - truth)


def test_weights_stand_for_all_patients() -> None:
    given, x, arm, _ = simulated(4_000, 3, by_covariate=0.0)
    weight = ipcw(given, arm, x)
    assert (weight[np.isnan(state(given))] == 0).all()
    assert weight.sum() == pytest.approx(4_000, rel=0.03)
