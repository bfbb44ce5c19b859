"""What counts as a right guess, and which secrets are guessed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort import COHORT, cohort
from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.privacy.inference import chance_of_a_draw, guessed_right, inference, secrets
from ehrsynth.schema import CategoryColumn, NumberColumn

LAB = NumberColumn(name="lab", minimum=-100, maximum=100, decimals=1)


def test_a_wrong_negative_guess_is_wrong() -> None:
    guesses, truth = np.array([-5.0, -1.0, 2.0, np.nan]), np.array([100.0, 7.0, 2.0, 2.0])
    assert guessed_right(guesses, truth, LAB).tolist() == [False, True, True, False]


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_scoring_is_symmetric_and_knows_no_sign(a: float, b: float) -> None:
    one, other = np.array([a]), np.array([b])
    assert guessed_right(one, other, LAB) == guessed_right(other, one, LAB)
    assert guessed_right(-one, -other, LAB) == guessed_right(one, other, LAB)


def test_the_baseline_is_the_chance_of_a_draw() -> None:
    column = CategoryColumn(name="c", values=("a", "b", "c"))
    truth, reference = np.array([0, 0, 1, np.nan]), np.array([0, 1, 1, 2, np.nan])
    assert chance_of_a_draw(truth, reference, column) == pytest.approx((2 * 0.25 + 0.5) / 3)
    assert chance_of_a_draw(np.array([0.0]), np.array([-10.0, 10.0, 11.0, 50.0]), LAB) == pytest.approx(0.5)
    assert chance_of_a_draw(truth, np.array([np.nan]), column) is None


def test_secrets_are_those_of_a_role_and_what_is_hardest_to_guess() -> None:
    table = cohort(300, 1)
    made = matrix(table, COHORT)
    assert secrets(COHORT, made) == (
        "smoker",
        "died",
        "seen",
        "admitted",
    )  # a moment within half a year of ten
    none = COHORT.subset(("age", "sex", "lab"))
    few = matrix(table[list(none.names)], none)
    assert secrets(none, few) == ("lab",)  # one is left to know, and age and sex are likelier known
    alone = COHORT.subset(("sex",))
    assert secrets(alone, matrix(table[["sex"]], alone)) == ("sex",)


def test_missing_secrets_are_no_targets() -> None:
    members, others = cohort(300, 1), cohort(300, 2)
    risk = inference(members, others[:150], others[150:], members, COHORT, seed=0)
    assert risk.n_attacks == int(members["smoker"].notna().sum())
    assert risk.n_control == int(others["smoker"].notna().sum())
    assert risk.attack == 1
    assert risk.low > 0.8


def test_a_synthetic_table_without_the_secret_gives_nothing_away() -> None:
    members, others = cohort(300, 1), cohort(300, 2)
    made = members.assign(smoker=members["smoker"].mask(members["smoker"].notna()))
    risk = inference(members, others[:150], others[150:], made, COHORT, seed=0)
    (smoker,) = [variant for variant in risk.details["variants"] if variant["what"] == "smoker"]
    assert (smoker["attack"], smoker["control"]) == (0, 0)
