"""The score follows what can be learnt, and says when nothing can be."""

import numpy as np
import pytest

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.utility.train_synthetic_test_real import train_synthetic_test_real
from ehrsynth.schema import Schema


def with_outcomes(*names: str) -> Schema:
    return COHORT.changed(
        columns=tuple(
            c.model_copy(update={"roles": ("outcome",) if c.name in names else ()}) for c in COHORT.columns
        )
    )


def test_another_sample_is_as_good_as_training_and_noise_is_not() -> None:
    train, holdout = cohort(800, 1), cohort(800, 2)
    good = train_synthetic_test_real(train, holdout, cohort(900, 3), COHORT, seed=0)
    bad = train_synthetic_test_real(train, holdout, shuffled_columns(train, 800, 3), COHORT, seed=0)
    assert set(good.details["outcomes"]) == {"died"}
    assert good.reference > 0.65
    assert good.details["difference"]["low"] <= 0 <= good.details["difference"]["high"]
    assert bad.details["difference"]["high"] < 0
    assert bad.low < 0.55
    died = good.details["outcomes"]["died"]
    assert set(died["classes"]) == {"false", "true"}
    assert died["rows_used_to_learn"] == 800
    assert (died["value"], died["low"], died["high"]) == (good.value, good.low, good.high)


@pytest.mark.parametrize("name", ["lab", "stage", "stay"])
def test_numbers_have_r2_and_classes_have_auroc(name: str) -> None:
    train, holdout = cohort(400, 1), cohort(400, 2)
    schema = with_outcomes(name)
    score = train_synthetic_test_real(train, holdout, cohort(400, 3), schema, seed=0)
    assert score.details["measure"] == ("AUROC" if name == "stage" else "R2")
    assert score.low <= score.value <= score.high
    counted = score.details["outcomes"][name]["rows_without_outcome"]
    assert counted["holdout"] == int(holdout[name].isna().sum())
    if name == "stage":
        assert score.value > 0.7


def test_the_score_is_the_mean_over_all_outcomes() -> None:
    train, holdout, made = cohort(300, 1), cohort(400, 2), cohort(300, 3)
    names = ("stage", "smoker", "died")  # smoker is missing on some rows, and lab is no class
    score = train_synthetic_test_real(train, holdout, made, with_outcomes("lab", *names), seed=0)
    found = score.details["outcomes"]
    assert tuple(found) == names
    assert score.value == pytest.approx(np.mean([o["value"] for o in found.values()]))
    assert score.reference == pytest.approx(np.mean([o["reference"] for o in found.values()]))
    difference = score.details["difference"]
    assert difference["value"] == pytest.approx(score.value - score.reference)
    assert difference["low"] < difference["value"] < difference["high"]
    # The mean of several is known no worse than the worst of them, and no better than if they were unrelated.
    widths = np.array([o["high"] - o["low"] for o in found.values()])
    assert 0.8 * np.sqrt((widths**2).sum()) / 3 < score.high - score.low <= widths.max()
    alone = train_synthetic_test_real(train, holdout, made, with_outcomes("smoker"), seed=0)
    assert found["smoker"] == alone.details["outcomes"]["smoker"]


def test_an_outcome_that_cannot_be_measured_is_left_out_and_named() -> None:
    train, holdout, made = cohort(200, 1), cohort(200, 2), cohort(200, 3)
    unknown = made.assign(smoker=made["smoker"].mask(made["smoker"].notna()))
    score = train_synthetic_test_real(train, holdout, unknown, with_outcomes("smoker", "died"), seed=0)
    assert set(score.details["outcomes"]) == {"died"}
    left_out = score.details["left_out"]["smoker"]
    assert "known outcome" in left_out["reason"]
    assert left_out["rows_without_outcome"]["synthetic"] == 200
    alone = train_synthetic_test_real(train, holdout, unknown, with_outcomes("died"), seed=0)
    assert (score.value, score.low, score.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_a_synthetic_table_of_one_class_is_worth_a_coin() -> None:
    train, holdout = cohort(300, 1), cohort(300, 2)
    score = train_synthetic_test_real(
        train, holdout, cohort(300, 3).assign(died=train["died"] & False), COHORT, seed=0
    )
    assert score.value == 0.5


def test_what_cannot_be_measured_is_said() -> None:
    train, holdout = cohort(100, 1), cohort(100, 2)
    score = train_synthetic_test_real(train, holdout, train, with_outcomes(), seed=0)
    assert (score.value, score.reference) == (None, None)
    assert "outcome" in score.reason
    alive = holdout.assign(died=holdout["died"] & False)
    assert "two classes" in train_synthetic_test_real(train, alive, train, COHORT, seed=0).reason
    empty = holdout.assign(lab=np.nan)
    assert (
        "known outcome" in train_synthetic_test_real(train, empty, train, with_outcomes("lab"), seed=0).reason
    )
