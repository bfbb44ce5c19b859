"""The score follows what can be learnt, and says when nothing can be."""

import numpy as np
import pytest

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.utility.train_synthetic_test_real import train_synthetic_test_real
from ehrsynth.schema import Schema


def with_outcome(name: str | None) -> Schema:
    return COHORT.changed(
        columns=tuple(
            c.model_copy(update={"roles": ("outcome",) if c.name == name else ()}) for c in COHORT.columns
        )
    )


def test_another_sample_is_as_good_as_training_and_noise_is_not() -> None:
    train, holdout = cohort(800, 1), cohort(800, 2)
    good = train_synthetic_test_real(train, holdout, cohort(900, 3), COHORT, seed=0)
    bad = train_synthetic_test_real(train, holdout, shuffled_columns(train, 800, 3), COHORT, seed=0)
    assert good.details["outcome"] == "died"
    assert good.reference > 0.65
    assert good.details["difference"]["low"] <= 0 <= good.details["difference"]["high"]
    assert bad.details["difference"]["high"] < 0
    assert bad.low < 0.55
    assert set(good.details["classes"]) == {"false", "true"}
    assert good.details["rows_used_to_learn"] == 800


@pytest.mark.parametrize("name", ["lab", "stage", "stay"])
def test_numbers_have_r2_and_classes_have_auroc(name: str) -> None:
    train, holdout = cohort(400, 1), cohort(400, 2)
    schema = with_outcome(name)
    score = train_synthetic_test_real(train, holdout, cohort(400, 3), schema, seed=0)
    assert score.details["measure"] == ("AUROC" if name == "stage" else "R2")
    assert score.low <= score.value <= score.high
    assert score.details["rows_without_outcome"]["holdout"] == int(holdout[name].isna().sum())
    if name == "stage":
        assert score.value > 0.7


def test_a_synthetic_table_of_one_class_is_worth_a_coin() -> None:
    train, holdout = cohort(300, 1), cohort(300, 2)
    score = train_synthetic_test_real(
        train, holdout, cohort(300, 3).assign(died=train["died"] & False), COHORT, seed=0
    )
    assert score.value == 0.5


def test_what_cannot_be_measured_is_said() -> None:
    train, holdout = cohort(100, 1), cohort(100, 2)
    score = train_synthetic_test_real(train, holdout, train, with_outcome(None), seed=0)
    assert (score.value, score.reference) == (None, None)
    assert "outcome" in score.reason
    alive = holdout.assign(died=holdout["died"] & False)
    assert "two classes" in train_synthetic_test_real(train, alive, train, COHORT, seed=0).reason
    empty = holdout.assign(lab=np.nan)
    assert (
        "known outcome" in train_synthetic_test_real(train, empty, train, with_outcome("lab"), seed=0).reason
    )
