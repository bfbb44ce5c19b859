"""Rules and grids, counted."""

from cohort import COHORT, cohort
from ehrsynth.evaluation.fidelity.constraint_violations import constraint_violations
from ehrsynth.schema import Implication


def test_broken_rules_and_grids_are_counted() -> None:
    real, made = cohort(100, 1), cohort(50, 2)
    schema = COHORT.changed(constraints=(Implication(**{"if": 'sex == "F"', "then": "age >= 120"}),))
    women = int((made["sex"] == "F").sum())
    score = constraint_violations(real, real, made, schema, seed=0)
    assert score.value == women / 50
    assert score.details["rules"] == [
        {"constraint": 1, "kind": "implication", "description": "", "rows": women}
    ]
    made.loc[made["sex"] == "M", "marker"] = 1e6
    assert constraint_violations(real, real, made, schema, seed=0).value == 1


def test_a_valid_table_has_none_and_an_upper_bound() -> None:
    real = cohort(100, 1)
    score = constraint_violations(real, real, cohort(50, 2), COHORT, seed=0)
    assert score.value == score.low == score.reference == 0
    assert 0.05 < score.high < 0.08
