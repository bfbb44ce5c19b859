"""The verdict says yes to a gain that is there, no to none, and its words follow its numbers."""

import numpy as np
import pytest

from ehrsynth.imaging.study import job
from ehrsynth.imaging.study.arms import ARMS, CONTROL, PRIMARY
from ehrsynth.imaging.study.error_rates import StudyErrorRates, measured_error_rates, study_error_rates
from ehrsynth.imaging.study.verdict import AREA, LOSS, RECALL, contrast, decide, images_worth
from ehrsynth.statistics import corrected_paired_interval, corrected_paired_p, holm


def splits(gain=0.0, *, area=0.0, spread=0.01, n=9, seed=0, slope=0.05, untuned=0.0):
    """Results of n splits in which the class-wise VAE gains so much over class weights."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        base, level = 0.7 + 0.05 * rng.normal(), 0.9 + 0.01 * rng.normal()

        def arms(gain, base=base, level=level):
            return {
                arm.name: {
                    RECALL: base
                    + rng.normal(gain, spread) * (arm == PRIMARY)
                    + rng.normal(0, spread) * (arm != CONTROL) * (arm != PRIMARY),
                    AREA: level + rng.normal(area, spread / 5) * (arm == PRIMARY),
                }
                for arm in ARMS
            }

        curve = [[60, level], [45, level + slope * np.log(0.75)], [30, level + slope * np.log(0.5)]]
        found.append(
            {
                "arms": {"tuned": arms(gain), "untuned": arms(gain + untuned)},
                "pool": 400,
                "n_test": 200,
                "curve": {"curve": curve, "treated": level + slope * np.log(1.5), "synthetic": 300},
            }
        )
    return found


def test_a_gain_that_is_there_is_recommended():
    found = decide(splits(0.05))
    assert found.recommended
    assert found.sentence.startswith("Recommended")
    assert found.primary.difference.low > 0
    assert found.area.difference.low > -LOSS


def test_no_gain_is_not_recommended():
    found = decide(splits(0.0))
    assert not found.recommended
    assert "includes 0" in found.reasons[0]


def test_where_class_weights_find_everybody_it_says_that_nothing_is_left_to_gain():
    found = splits(0.0)
    assert not any("hardly anything is left" in reason for reason in decide(found).reasons)
    for one in found:
        for arm in one["arms"]["tuned"].values():
            arm[RECALL] = 0.999
    assert any("99.9% of the minority" in reason for reason in decide(found).reasons)


def test_a_gain_that_costs_too_much_area_is_not_recommended():
    found = decide(splits(0.05, area=-0.04))
    assert found.primary.difference.low > 0
    assert not found.recommended
    assert any("not ruled out" in reason for reason in found.reasons)


def test_a_gain_of_the_untuned_classifier_alone_is_not_recommended_and_said():
    found = decide(splits(0.0, untuned=0.08))
    assert not found.recommended
    assert found.untuned.difference.low > 0
    assert any("untuned" in reason for reason in found.reasons)


def test_the_interval_is_that_of_overlapping_splits():
    some = splits(0.03, seed=4)
    d = [s["arms"]["tuned"][PRIMARY.name][RECALL] - s["arms"]["tuned"][CONTROL.name][RECALL] for s in some]
    found = contrast(some, "tuned", PRIMARY.name, RECALL)
    assert found.difference == corrected_paired_interval(d, n_train=400, n_test=200)
    assert found.p == corrected_paired_p(d, n_train=400, n_test=200)


def test_all_other_arms_are_looks_at_one_level():
    found = decide(splits(0.02))
    assert {c.arm for c in found.looks} == {a.name for a in ARMS} - {PRIMARY.name, CONTROL.name}
    assert all(c.adjusted >= c.p for c in found.looks)


def test_arms_of_a_classifier_taught_whole_are_looks_at_one_level_too():
    found = job.taught_contrasts(splits(0.01, spread=0.02, n=4))
    names = {c.arm for c in found}
    assert CONTROL.name not in names
    assert len(found) == 2 * len(names)
    assert [c.adjusted for c in found] == pytest.approx(holm([c.p for c in found]))
    assert any(c.adjusted > c.p for c in found)
    assert job.taught_contrasts([]) == ()


def test_worth_is_read_off_the_learning_curve():
    found = images_worth(splits(0.0, slope=0.05))
    assert found.images.value == pytest.approx(100 / 300 * 60 * 0.5, rel=1e-6)
    assert images_worth(splits(slope=0.0)).images is None
    assert images_worth(splits(n=1)).images is None


def test_p_and_interval_agree():
    rng = np.random.default_rng(0)
    for seed in range(30):
        d = np.random.default_rng(seed).normal(0.02, 0.02, 9)
        low, high = corrected_paired_interval(d, n_train=2, n_test=1)[1:]
        assert (corrected_paired_p(d, n_train=2, n_test=1) < 0.05) == (low > 0 or high < 0)
    assert corrected_paired_p([0.0, 0.0], n_train=1, n_test=1) == 1
    assert corrected_paired_p([0.1, 0.1], n_train=1, n_test=1) == 0
    assert 0 < corrected_paired_p(rng.normal(size=5), n_train=1, n_test=1) < 1


def test_the_rates_that_ship_name_both_errors():
    known = study_error_rates()
    if known is None:
        assert "not measured yet" in measured_error_rates()
        return
    assert {r.gain for r in known.measured} == {True, False}
    assert all(r.runs >= 200 for r in known.measured)
    assert "by mistake" in known.sentence


def test_rates_in_words():
    rates = StudyErrorRates(
        date="2026-01-01",
        version="0",
        folds=3,
        seeds=3,
        measured=(
            {"what": "without a gain", "gain": False, "runs": 200, "recommended": 4},
            {"what": "with a gain", "gain": True, "runs": 200, "recommended": 150},
        ),
    )
    assert (
        "by mistake in 4 of 200 without a gain; it missed a gain in 50 of 200 with a gain" in rates.sentence
    )
