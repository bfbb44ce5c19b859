"""Copies, lost groups and invented patients each move the share that is theirs."""

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.fidelity.precision_recall import precision_recall
from ehrsynth.evaluation.fidelity.rare_categories import rare_categories

TRAIN, HOLDOUT, MADE = cohort(400, 1), cohort(400, 2), cohort(400, 3)


def measures(made) -> dict[str, float]:
    score = precision_recall(TRAIN, HOLDOUT, made, COHORT, seed=0)
    return {name: m["value"] for name, m in score.details["measures"].items()}


def test_copies_are_not_authentic_and_others_are_as_much_as_the_holdout() -> None:
    score = precision_recall(TRAIN, HOLDOUT, MADE, COHORT, seed=0)
    own = score.details["measures"]["authenticity"]
    assert measures(TRAIN)["authenticity"] == 0
    assert abs(own["value"] - own["reference"]) < 0.12


def test_a_lost_group_lowers_coverage_and_invented_patients_lower_precision() -> None:
    good = measures(MADE)
    old = MADE[MADE["age"] > 62]
    narrow = measures(old)
    assert narrow["coverage"] < good["coverage"] - 0.1
    wild = measures(shuffled_columns(MADE, 400, 1))
    assert wild["precision"] < good["precision"] - 0.05


def test_a_lost_rare_category_costs_its_share() -> None:
    few = HOLDOUT.copy()
    few.loc[few.index[few["region"].notna()][:390], "region"] = "north"
    few.loc[few.index[few["region"].notna()][:10], "region"] = "east"
    without = MADE.assign(region=MADE["region"].mask(MADE["region"] == "east", "north"))
    score = rare_categories(TRAIN, few, without, COHORT, seed=0)
    kept = rare_categories(TRAIN, few, few, COHORT, seed=0)
    assert kept.value == 1
    assert score.value < 1
    assert score.details["lost"] >= 1
