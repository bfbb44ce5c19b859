"""How good risks are: known answers."""

import numpy as np
import pytest

from ehrsynth.rebalance.learners import expit
from ehrsynth.rebalance.measures import (
    MEASURES,
    calibration_intercept,
    log_loss,
    measures,
    patient_losses,
    sensitivity_at,
)

RNG = np.random.default_rng(0)
LOG_ODDS = RNG.normal(-1, 1.2, 20_000)
EVENT = RNG.random(20_000) < expit(LOG_ODDS)


def of(risk: np.ndarray) -> dict[str, float]:
    return measures(EVENT, risk, risk > 0.5, specificity=0.8)


def test_true_risks_are_calibrated() -> None:
    found = of(expit(LOG_ODDS))
    assert found["calibration_slope"] == pytest.approx(1, abs=0.05)
    assert found["calibration_intercept"] == pytest.approx(0, abs=0.05)
    assert found["excess_risk"] == pytest.approx(0, abs=0.01)
    assert set(found) == set(MEASURES)


def test_risks_that_are_too_high_have_a_negative_intercept_and_the_same_ranks() -> None:
    right, high = of(expit(LOG_ODDS)), of(expit(LOG_ODDS + 1))
    assert high["calibration_intercept"] == pytest.approx(right["calibration_intercept"] - 1, abs=0.01)
    assert high["excess_risk"] > 0.1
    for same in ("auroc", "auprc", "sensitivity_at_specificity"):
        assert high[same] == pytest.approx(right[same])
    assert high["brier"] > right["brier"]
    assert high["log_loss"] > right["log_loss"]


def test_risks_that_are_too_extreme_have_a_slope_below_one() -> None:
    assert of(expit(2 * LOG_ODDS))["calibration_slope"] == pytest.approx(0.5, abs=0.03)


def test_sensitivity_and_specificity_are_of_who_was_called() -> None:
    event = np.array([True, True, False, False, False])
    found = measures(
        event, np.linspace(0.9, 0.1, 5), np.array([True, False, True, False, False]), specificity=0.8
    )
    assert found["sensitivity"] == 0.5
    assert found["specificity"] == pytest.approx(2 / 3)


def test_sensitivity_at_a_specificity_by_hand() -> None:
    event = np.repeat([False, True], 5)
    risk = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.35, 0.45, 0.5, 0.95, 0.05])
    assert sensitivity_at(event, risk, 0.8) == pytest.approx(3 / 5)  # above 0.4
    assert sensitivity_at(event, risk, 1.0) == pytest.approx(1 / 5)  # above 0.9


def test_log_loss_by_hand() -> None:
    event, risk = np.array([True, False]), np.array([0.8, 0.4])
    assert patient_losses(event, risk) == pytest.approx([-np.log(0.8), -np.log(0.6)])
    assert log_loss(event, risk) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)


def test_one_outcome_alone_has_no_measures() -> None:
    found = measures(np.ones(5, bool), np.full(5, 0.5), np.ones(5, bool), specificity=0.8)
    assert np.isnan(list(found.values())).all()


def test_the_intercept_exists_for_risks_that_are_sure() -> None:
    event = np.array([True, False, True, False])
    assert np.isfinite(calibration_intercept(event, np.array([1.0, 0.0, 1.0, 1.0])))
