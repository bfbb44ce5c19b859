"""Copies are counted, and what coincidence does stands beside them."""

import pandas as pd
import pytest

from cohort import COHORT, cohort
from ehrsynth.evaluation.privacy.copied_rows import copied_rows


def test_planted_copies_are_counted_whatever_their_identifier() -> None:
    train, holdout, fresh = cohort(200, 1), cohort(200, 2), cohort(80, 3)
    made = pd.concat([fresh, train.iloc[:20]], ignore_index=True).astype(train.dtypes)
    made["id"] = pd.array([f"{n:08d}" for n in range(100)], dtype="string")
    score = copied_rows(train, holdout, made, COHORT, seed=0)
    assert score.value == pytest.approx(0.2)
    assert score.reference == 0
    assert score.low < 0.2 < score.high
    assert score.details["excess"]["low"] > 0.1
    assert score.details["copies_of_single_rows"]["train"] == pytest.approx(0.2)


def test_the_larger_real_table_is_cut_to_the_smaller() -> None:
    train, holdout = cohort(400, 1), cohort(100, 2)
    score = copied_rows(train, holdout, train, COHORT, seed=0)
    assert score.value == pytest.approx(0.25)
    assert score.details["share_of_all_training_rows"] == 1


def test_coincidence_in_a_coarse_table_is_the_same_on_both_sides() -> None:
    schema = COHORT.subset(("sex", "stage", "died"))
    tables = [cohort(300, s)[list(schema.names)] for s in (1, 2, 3)]
    score = copied_rows(*tables, schema, seed=0)
    assert score.value > 0.95
    assert score.details["excess"]["low"] <= 0 <= score.details["excess"]["high"]
