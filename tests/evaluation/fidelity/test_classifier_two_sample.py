"""The judge finds what is wrong, names it, and lets the right one pass."""

import numpy as np

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.fidelity.classifier_two_sample import classifier_two_sample
from ehrsynth.evaluation.protocol import protocol


def test_another_sample_passes_and_independent_columns_do_not() -> None:
    train, holdout = cohort(600, 1), cohort(600, 2)
    good = classifier_two_sample(train, holdout, cohort(700, 3), COHORT, seed=0)
    bad = classifier_two_sample(train, holdout, shuffled_columns(cohort(600, 3), 600, 4), COHORT, seed=0)
    assert good.low <= 0.5 <= good.high
    assert abs(good.reference - 0.5) < 0.06
    assert bad.low > 0.6
    assert good.details["rows_used_of_each"] == 600
    assert good.details["protocol"] == protocol().hash


def test_decimals_that_are_not_rounded_are_seen_and_named() -> None:
    holdout, made = cohort(500, 1), cohort(500, 2)
    made["marker"] += np.random.default_rng(0).uniform(-0.04, 0.04, len(made))
    made["age"] = holdout["age"]
    coarse = holdout.assign(marker=holdout["marker"].round(-1))
    score = classifier_two_sample(holdout, coarse, made, COHORT, seed=0)
    assert score.value > 0.9
    assert score.details["telling_columns"][0]["column"] == "marker"


def test_too_few_rows_are_said() -> None:
    few = cohort(9, 1)
    score = classifier_two_sample(few, few, few, COHORT, seed=0)
    assert score.value is None
    assert "10 rows" in score.reason
