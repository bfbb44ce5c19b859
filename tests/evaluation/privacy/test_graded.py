"""Recognised members at a fixed rate of false alarms, counted by hand."""

import numpy as np
import pytest

from cohort import COHORT, cohort
from ehrsynth.evaluation.privacy.exact_match import exact_match, surprise
from ehrsynth.evaluation.privacy.graded import graded, supported
from ehrsynth.evaluation.privacy.targets import Scene, scene, targets


def made_scene(members: int, non_members: int) -> Scene:
    tables = tuple(cohort(n, s) for s, n in enumerate((members, non_members, 50, 50)))
    return scene(tables, COHORT, seed=0)  # type: ignore[arg-type]


def test_no_rate_below_ten_false_alarms() -> None:
    assert supported(99) == ()
    assert supported(100) == supported(999) == (0.10,)
    assert supported(1000) == (0.01, 0.10)


def test_excess_by_hand() -> None:
    there = made_scene(200, 100)
    members = np.where(np.arange(200) < 50, 1000.0, -1.0)
    risk = graded("a", there, {"s": np.concatenate([members, np.arange(100.0)])})
    # Ten of a hundred non-members lie above 89; 50 of 200 members do.
    assert (risk.attack, risk.control) == (0.25, 0.1)
    assert risk.value == pytest.approx((0.25 - 0.1) / 0.9)
    assert risk.details["auroc"]["value"] == pytest.approx(0.25)
    assert [rate["fpr"] for rate in risk.details["tpr"]] == [0.1]


def test_a_score_without_ranks_is_nothing_and_few_non_members_measure_nothing() -> None:
    risk = graded("a", made_scene(200, 150), {"s": np.zeros(350)})
    assert (risk.value, risk.details["auroc"]["value"]) == (0, 0.5)
    few = graded("a", made_scene(200, 60), {"s": np.arange(260.0)})
    assert few.value is None
    assert "100 non-members" in few.reason


def test_fewer_targets_are_the_first_of_more() -> None:
    table = cohort(100, 0)
    few, more = (targets(table, COHORT, 3, "members", most) for most in (10, 60))
    np.testing.assert_array_equal(few.places, more.places[:10])
    assert np.isnan(few.to_rows(np.ones(10))).sum() == 90


def test_values_that_nobody_else_has_give_members_away() -> None:
    members, others = cohort(300, 1), cohort(300, 2)
    halves = others[:150], others[150:]
    shuffled = members.assign(
        **{name: members[name].sample(frac=1, random_state=1).array for name in ("seen", "marker", "lab")}
    )
    risk = exact_match(members, *halves, shuffled, COHORT, seed=0)
    assert risk.details["variant"] == "values"
    assert risk.low > 0.7
    there = scene((members, *halves, cohort(300, 3)), COHORT, seed=0)
    known, unseen = there.parted(surprise(there))
    assert abs(known.mean() - unseen.mean()) < 3 * known.std() / np.sqrt(100)
