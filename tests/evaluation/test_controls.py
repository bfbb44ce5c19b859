"""The holdout is split once, by patient."""

import pandas as pd
import pytest

from cohort import COHORT, cohort
from ehrsynth.errors import NotEnoughData
from ehrsynth.evaluation.controls import controls


def test_the_halves_part_the_holdout_and_one_patient_moves_no_other() -> None:
    holdout = cohort(300, 1)
    non_members, reference = controls(holdout, COHORT, key=b"key")
    assert sorted([*non_members["id"], *reference["id"]]) == sorted(holdout["id"])
    assert 100 < len(reference) < 200
    without = controls(holdout.drop(index=7).reset_index(drop=True), COHORT, key=b"key")
    gone = holdout["id"][7]
    assert list(without[0]["id"]) == [i for i in non_members["id"] if i != gone]
    assert list(without[1]["id"]) == [i for i in reference["id"] if i != gone]


def test_the_key_that_made_the_holdout_still_splits_it() -> None:
    from ehrsynth.tables.splitting import split

    _, holdout = split(cohort(400, 1), COHORT, key=b"key")
    non_members, reference = controls(holdout, COHORT, key=b"key")
    assert min(len(non_members), len(reference)) > 0.3 * len(holdout)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(NotEnoughData, match=r"19 patients.*20"):
        controls(cohort(19, 1), COHORT, key=b"key")
    assert isinstance(controls(cohort(20, 1), COHORT, key=b"key")[0], pd.DataFrame)
