"""Recalibration moves risks to what happened, in each group, and a small group little."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.rebalance import treating
from ehrsynth.rebalance.calibration import Recalibration
from ehrsynth.rebalance.learners import expit
from ehrsynth.rebalance.measures import measures
from ehrsynth.rebalance.treating import predictor_of
from minority import NUMBERS, numbers, plan_of_numbers


def told(text: str, classes: str = "equal", seed: int = 1) -> dict[str, dict[str, float]]:
    """Each group's measures in patients who were not learnt from, after classes were made equal."""
    train, test = (skewed(n, seed + i) for i, n in enumerate((600, 4_000)))
    plan = replace(plan_of_numbers(train), classes=classes)
    risks = predictor_of(text, train, plan, NUMBERS, seed=seed).risks(test)
    event, group = test["event"].to_numpy(bool), test["group"].to_numpy()
    nobody = np.zeros(len(event), bool)
    return {
        g: measures(event[group == g], risks[group == g], nobody[group == g], specificity=0.8) for g in "ab"
    }


def skewed(n: int, seed: int):
    """Few have the event: two of three who have it are left out."""
    table = numbers(n, n // 2, seed=seed)
    drop = table["event"].to_numpy(bool) & (np.random.default_rng(seed).random(len(table)) < 0.8)
    return table[~drop].reset_index(drop=True)


@pytest.mark.parametrize("method", ["random_oversampling", "class_weights"])
def test_after_oversampling_risks_are_too_high_and_recalibration_mends_it(method: str) -> None:
    before, after = told(method), told(f"recalibration of={method}")
    for group in "ab":
        assert before[group]["excess_risk"] > 0.15
        assert abs(after[group]["excess_risk"]) < 0.04
        assert abs(after[group]["calibration_slope"] - 1) < 0.35
        assert after[group]["auroc"] == pytest.approx(before[group]["auroc"], abs=0.01)


def test_a_group_of_few_patients_is_moved_less_than_one_of_many() -> None:
    """Risks of the same model, four times too extreme: 25 patients are believed less than 600."""
    rng = np.random.default_rng(0)
    method = Recalibration(slope_spread=0.3)
    slopes = []
    for n in (25, 600):
        fitted = []
        for _ in range(20):
            log_odds = rng.normal(0, 1, n)
            event = rng.random(n) < expit(log_odds)
            fitted.append(method._fit(expit(4 * log_odds), event, np.ones(n, bool))[1])
        slopes.append(np.mean(fitted))
    assert slopes[1] == pytest.approx(0.25, abs=0.1)
    assert slopes[1] < slopes[0] < 1


def test_a_patients_own_outcome_plays_no_part_in_their_cross_fitted_risk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = numbers(200, 60, seed=5)
    plan = plan_of_numbers(train)
    fold = np.arange(len(train)) % 5
    monkeypatch.setattr(treating, "inner_folds", lambda *_, **__: fold)
    first = treating.cross_fitted("none", train, plan, NUMBERS, folds=5, seed=3)
    for place in (0, 230):
        turned = train.copy()
        turned.loc[place, "event"] = not train["event"][place]
        second = treating.cross_fitted("none", turned, plan, NUMBERS, folds=5, seed=3)
        moved = first != second
        assert not moved[fold == fold[place]].any()
        assert moved[fold != fold[place]].any()
