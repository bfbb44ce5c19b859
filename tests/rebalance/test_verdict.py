"""The verdict on planted studies: it names a gain that is there and nothing else."""

import numpy as np
import pytest
from scipy import stats

from ehrsynth.rebalance.splits import Split, Splits
from ehrsynth.rebalance.study import COLUMNS, Study
from ehrsynth.rebalance.verdict import advice, decide, p_value
from ehrsynth.rebalance.worth import Curve
from ehrsynth.statistics import Estimate, corrected_paired_interval
from minority import NUMBERS, numbers, plan_of_numbers

PLAN = plan_of_numbers(numbers(100, 60))
HELPED = ("group: b",)
RATIO = 0.5


def planted(
    changes: dict[str, dict[str, float]], *, seed: int = 0, noise: float = 0.004, ratio: float = RATIO
) -> Study:
    """A study in which each method differs from none by so much: "measure" or "measure @ group"."""
    rng, splits = np.random.default_rng(seed), 12
    groups, names = (*PLAN.names, "all patients"), ("none", *changes)
    values = np.full((len(names), splits, len(groups), len(COLUMNS)), np.nan)
    base = {"auroc": 0.75, "log_loss": 0.5, "calibration_slope": 1.0, "excess_risk": 0.0, "brier": 0.2}
    shared = {m: rng.normal(0, 0.03, (splits, len(groups))) for m in base}
    for place, name in enumerate(names):
        for measure, value in base.items():
            column = COLUMNS.index(measure)
            values[place, :, :, column] = value + shared[measure]
            if place:
                values[place, :, :, column] += rng.normal(0, noise, (splits, len(groups)))
            for g, group in enumerate(groups):
                change = changes.get(name, {})
                values[place, :, g, column] += change.get(f"{measure} @ {group}", change.get(measure, 0.0))
    nobody = Splits(tuple(Split(np.arange(1), np.arange(1)) for _ in range(splits)), ratio)
    return Study(PLAN, NUMBERS, groups, names, values, {}, nobody, {})


def test_a_clear_gain_is_named_with_its_size_and_reason() -> None:
    found = decide(planted({"smote": {"auroc": 0.05, "log_loss": -0.02}, "group_weights": {}}), HELPED)
    assert (found.answer, found.recommended) == ("rebalance", "smote")
    assert found.reasons[0].startswith("smote raises the AUROC in group: b by 0.049 (0.041 to 0.057)")
    assert found.gain


def test_where_nothing_gains_the_best_is_told_and_nothing_is_named() -> None:
    found = decide(planted({"smote": {"auroc": -0.01}, "group_weights": {"auroc": 0.001}}), HELPED)
    assert (found.answer, found.recommended) == ("do not rebalance", None)
    assert "group_weights" in found.reasons[0]
    assert "Do not rebalance" in found.sentence


def test_a_gain_too_small_to_matter_is_none() -> None:
    assert not decide(planted({"smote": {"auroc": 0.008}}, noise=0.0005), HELPED).gain


def test_a_gain_for_others_alone_is_none() -> None:
    assert not decide(planted({"smote": {"auroc @ group: a": 0.1, "auroc @ all patients": 0.1}}), HELPED).gain


def test_a_gain_that_spoils_the_slope_is_not_recommended_and_why_is_told() -> None:
    found = decide(planted({"smote": {"auroc": 0.05, "calibration_slope": -0.4}}), HELPED)
    assert not found.gain
    assert any("slope" in reason for reason in found.reasons)


def test_a_gain_with_risks_too_high_is_flagged_and_sent_to_recalibration() -> None:
    found = decide(planted({"smote": {"auroc": 0.05, "excess_risk": 0.2}}), HELPED)
    assert not found.gain
    assert "too high" in found.flags["smote"][0]
    assert "recalibration of=smote" in found.flags["smote"][0]


def test_a_gain_that_costs_the_others_is_not_recommended() -> None:
    found = decide(planted({"smote": {"auroc @ group: b": 0.05, "auroc @ group: a": -0.05}}), HELPED)
    assert not found.gain
    assert any("costs group: a" in reason for reason in found.reasons)
    # It was better for whom it was to help, and the words must not deny it.
    assert found.sentence == (
        "Do not rebalance: what gains for the patients it was to help costs others, or misstates risks."
    )
    assert "a gain that holds, but not one to recommend" in found.reasons[0]
    assert "no method was better than none" in decide(planted({"smote": {}}), HELPED).sentence


def test_risks_that_run_the_wrong_way_are_not_sent_to_recalibration() -> None:
    made = planted({"smote": {}})
    made.values[0, :, 1, COLUMNS.index("calibration_slope")] -= 1.6
    (said,) = advice(made, HELPED)
    assert "run the wrong way" in said
    assert "interaction, group_only" in said


def test_a_model_is_no_rebalancing() -> None:
    found = decide(
        planted({"interaction": {"auroc": 0.1, "log_loss": -0.05}, "smote": {"auroc": 0.05}}), HELPED
    )
    assert (found.answer, found.recommended) == ("change the model", "interaction")
    assert "Do not add or weigh rows" in found.sentence


def test_of_two_that_are_alike_the_one_with_the_better_risks_is_taken() -> None:
    found = decide(
        planted({"smote": {"auroc": 0.051, "log_loss": 0.0}, "cart": {"auroc": 0.05, "log_loss": -0.05}}),
        HELPED,
    )
    assert found.recommended == "cart"


def test_recalibration_is_called_for_by_its_log_loss() -> None:
    found = decide(planted({"recalibration": {"log_loss": -0.05}, "smote": {"auroc": -0.02}}), HELPED)
    assert (found.answer, found.recommended) == ("recalibrate", "recalibration")
    worse = decide(planted({"recalibration": {"log_loss": 0.05}}), HELPED)
    assert not worse.gain


def test_p_values_are_those_of_the_corrected_interval() -> None:
    numbers_ = np.random.default_rng(1).normal(0.01, 0.01, 12)
    p = p_value(numbers_, RATIO)
    ends = corrected_paired_interval(numbers_, n_train=2, n_test=1, level=1 - p)
    assert min(abs(ends.low), abs(ends.high)) < 1e-6
    assert p_value(np.zeros(5), RATIO) == 1.0


def test_the_same_gain_in_every_split_is_no_proof() -> None:
    """A score over two events has a handful of values: that two splits agree tells nothing of its spread."""
    assert p_value(np.array([0.0625, np.nan, 0.0625]), RATIO) == 1.0
    assert p_value(np.full(12, 0.1), RATIO) == 1.0
    found = planted({"smote": {"auroc": 0.1}})
    assert found.interval(np.array([0.0625, np.nan, 0.0625])) is None
    assert found.interval(np.zeros(12)) == Estimate(0.0, 0.0, 0.0)


def test_all_methods_and_groups_share_one_level() -> None:
    """Thirty methods of nothing but noise: the smallest p alone would be found one time in two."""
    nothing: dict[str, dict[str, float]] = {f"cart leaf={i + 2}": {} for i in range(30)}
    found = [decide(planted(nothing, seed=s, noise=0.05, ratio=1e-6), HELPED) for s in range(40)]
    assert np.mean([min(look.p for look in one.looks) < 0.05 for one in found]) > 0.5
    assert sum(one.gain for one in found) <= 4  # one in forty is expected


def test_the_level_of_one_test_holds() -> None:
    """Independent splits: the corrected test is conservative, never more often wrong than it says."""
    rng = np.random.default_rng(0)
    p = [p_value(rng.normal(size=12), 1e-6) for _ in range(2_000)]
    assert stats.kstest(p, "uniform").pvalue > 0.001
    corrected = [p_value(rng.normal(size=12), RATIO) for _ in range(2_000)]
    assert np.mean(np.array(corrected) < 0.05) < 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"excess_risk": 0.1}, "off by +0.1"),
        ({"calibration_slope": -0.5}, "too extreme"),
        ({}, "collect more patients"),
    ],
)
def test_what_to_do_instead(change: dict[str, float], words: str) -> None:
    study = planted({"smote": {}})
    for measure, value in change.items():
        study.values[0, :, :, COLUMNS.index(measure)] += value
    assert words in advice(study, HELPED)[0]


def test_slopes_of_few_patients_that_say_nothing_are_no_reason_to_recalibrate() -> None:
    study = planted({"smote": {}})
    slopes = np.random.default_rng(1).normal(0.0, 2.0, 12)  # a dozen test patients: anything can come out
    study.values[0, :, :, COLUMNS.index("calibration_slope")] = slopes[:, None]
    assert slopes.mean() < 0.8
    assert "recalibrate" not in advice(study, HELPED)[0]


def test_where_the_outcome_is_told_perfectly_nobody_is_sent_for_more_patients() -> None:
    study = planted({"smote": {}})
    study.values[:, :, :, COLUMNS.index("auroc")] = 1.0
    said = advice(study, HELPED)[0]
    assert "nothing left to gain" in said
    assert "--predictors" in said


def test_more_patients_are_not_asked_for_where_they_would_add_nothing() -> None:
    study = planted({"smote": {}})
    flat, rising = (
        Curve(
            HELPED[0], (40.0, 80.0), np.zeros((12, 2, 2)), {"auroc": Estimate(mid, mid - 0.01, mid + 0.008)}
        )
        for mid in (0.0, 0.02)
    )
    assert "twice as many patients" in advice(study, HELPED, [flat])[0]
    assert "collect more patients" in advice(study, HELPED, [rising])[0]
