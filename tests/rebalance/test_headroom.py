"""The learning curve, mask-and-restore, and what made rows are worth: planted answers."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.rebalance.coefficients import kept_coefficients
from ehrsynth.rebalance.headroom import as_json, headroom
from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.splits import Split, Splits, repeated_splits
from ehrsynth.rebalance.study import COLUMNS, Study, study
from ehrsynth.rebalance.worth import Curve, best_worth, row_worth
from minority import NUMBERS, numbers, plan_of_numbers

TABLE = numbers(300, 120, flips=2, seed=3)
PLAN = plan_of_numbers(TABLE)
SPLITS = repeated_splits(rows_of(TABLE, PLAN, NUMBERS), count=4, test_share=1 / 3, seed=5)
HELPED = ("group: b",)


@pytest.fixture(scope="module")
def measured():
    studied = study(TABLE, PLAN, NUMBERS, ["group_only", "smote", "cart"], splits=SPLITS, seed=1)
    return studied, headroom(TABLE, studied, HELPED, seed=1)


def test_the_curve_has_the_sizes_and_ends_at_the_studys_number(measured) -> None:
    studied, found = measured
    curve = found.curves[0]
    assert curve.sizes == pytest.approx([16, 40, 64, 80], abs=1.5)
    assert np.array_equal(curve.values[:, -1, 0], studied.of("none", "group: b", "auroc"))
    # Coefficients are turned round in the group: more of its patients must help.
    assert curve.per_doubling["auroc"].value > 0.02


def test_only_methods_that_make_rows_restore(measured) -> None:
    _, found = measured
    assert {r.method for r in found.restored} == {"none", "smote", "cart"}
    assert {round(r.removed, 2) for r in found.restored} == {0.8, 0.5, 0.2}
    for one in found.restored:
        if one.method == "none":
            assert one.regained.value == 0.0
    lost = {round(r.removed, 2): r.lost.value for r in found.restored if r.method == "none"}
    assert lost[0.8] > lost[0.2]
    assert {w.method for w in found.worth} == {"smote", "cart"}


def test_it_is_plain_json(measured) -> None:
    import json

    _, found = measured
    told = json.loads(json.dumps(as_json(found)))
    assert len(told["learning_curves"][0]["training_patients"]) == 4
    assert set(best_worth(found.worth, None)) == set(HELPED)


def planted(gain: float, slope: float, *, noise: float = 0.001, splits: int = 12) -> tuple[Study, Curve]:
    """A method that adds `gain` by 200 rows, for a group of 100 whose AUROC rises by `slope` a doubling."""
    rng = np.random.default_rng(0)
    values = np.zeros((2, splits, 2, len(COLUMNS)))
    auroc, made = COLUMNS.index("auroc"), COLUMNS.index("made")
    values[0, :, 0, auroc] = 0.7 + rng.normal(0, noise, splits)
    values[1, :, 0, auroc] = values[0, :, 0, auroc] + gain + rng.normal(0, noise, splits)
    values[1, :, 0, made] = 200
    nobody = Splits(tuple(Split(np.arange(1), np.arange(1)) for _ in range(splits)), 0.5)
    found = Study(PLAN, NUMBERS, ("group: b", "all patients"), ("none", "smote"), values, {}, nobody, {})
    sizes = np.array([25.0, 50.0, 100.0])
    curve = values[0, :, 0, auroc][:, None] + slope * np.log2(sizes / 100)
    curve = curve + rng.normal(0, noise / 3, curve.shape)
    flat = np.zeros_like(curve)
    return found, Curve("group: b", tuple(sizes), np.stack([curve, flat], axis=-1), {})


def test_rows_that_do_what_a_doubling_does_were_worth_as_many_as_there_are() -> None:
    found = row_worth(*planted(gain=0.02, slope=0.02), "smote")
    assert found.value == pytest.approx(50, rel=0.15)  # 100 patients by 200 rows
    assert found.low < 50 < found.high
    assert found.sentence.startswith("100 rows made by smote for group: b were worth ")


def test_rows_that_do_nothing_were_worth_nothing_and_rows_that_harm_less() -> None:
    nothing, harm = (row_worth(*planted(gain=g, slope=0.02), "smote") for g in (0.0, -0.02))
    assert nothing.low < 0 < nothing.high
    assert harm.value == pytest.approx(-25, rel=0.2)
    assert harm.high < 0
    assert harm.low >= -50  # no rows can cost more than all patients


def test_a_flat_curve_cannot_tell_and_says_so() -> None:
    found = row_worth(*planted(gain=0.02, slope=0.0), "smote")
    assert found.value is None
    assert "learning curve is too flat" in found.sentence


def test_farther_than_the_curve_was_measured_nothing_is_told() -> None:
    """A gain of five doublings, on a curve of two: 3,100 more patients are a guess, not a measurement."""
    found = row_worth(*planted(gain=0.1, slope=0.02), "smote")
    assert found.value is None
    assert "beyond 4 times the group's patients" in found.sentence
    assert row_worth(*planted(gain=0.03, slope=0.02), "smote").value is not None


def test_where_ranks_cannot_tell_log_loss_is_asked() -> None:
    studied, curve = planted(gain=0.02, slope=0.0)
    loss = COLUMNS.index("log_loss")
    rng = np.random.default_rng(1)
    studied.values[:, :, 0, loss] = 0.6 + rng.normal(0, 0.001, (2, 12))
    studied.values[1, :, 0, loss] -= 0.02
    fall = 0.02 * np.log2(np.array([25.0, 50.0, 100.0]) / 100)
    curve.values[:, :, 1] = 0.6 - fall + rng.normal(0, 3e-4, (12, 3))
    found = row_worth(studied, curve, "smote")
    assert found.score == "log_loss"
    assert found.value == pytest.approx(50, rel=0.2)
    assert "by log loss" in found.sentence


def test_coefficients_of_the_same_table_are_kept_and_of_noise_are_not() -> None:
    plan = replace(PLAN, groups=PLAN.groups)
    same = kept_coefficients(TABLE, TABLE, plan, NUMBERS, group="group: b")
    assert same.bias == pytest.approx(0, abs=1e-6)
    assert same.overlap == pytest.approx(1, abs=1e-6)
    rng = np.random.default_rng(0)
    shuffled = TABLE.assign(event=rng.permutation(TABLE["event"])).astype({"event": "boolean"})
    noise = kept_coefficients(shuffled, TABLE, plan, NUMBERS, group="group: b")
    assert noise.bias > 1
    assert noise.overlap < 0.7
    few = TABLE.iloc[np.r_[0:300, 300:308]]
    assert kept_coefficients(few, few, plan, NUMBERS, group="group: b") is None
