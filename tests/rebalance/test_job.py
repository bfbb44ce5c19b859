"""The whole job: it says no where nothing is to be gained, yes where something is, and writes what it did."""

import numpy as np
import pytest

from ehrsynth.errors import MissingPackage, Refused, RequestError
from ehrsynth.rebalance.job import rebalance
from ehrsynth.rebalance.results import as_values, write_treatment
from ehrsynth.rebalance.wishes import Wishes
from ehrsynth.tables import is_synthetic, read_table
from minority import DEATH, HOSPITAL, NUMBERS, hospital, numbers

SMALL = ("group_weights", "random_oversampling", "smote", "interaction", "group_only", "recalibration")
GROUPS = Wishes("event", protected=("group",), predictors=tuple(f"x{i}" for i in range(5)))


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_is_to_be_gained_it_says_no(seed: int) -> None:
    """A small version of scripts/benchmark/rebalance/errors.py."""
    found = rebalance(numbers(500, 80, seed=seed), NUMBERS, GROUPS, methods=SMALL, splits=6, seed=seed)
    assert found.verdict.recommended is None
    assert found.treatment is None


@pytest.mark.parametrize("seed", range(3))
def test_where_coefficients_are_turned_round_it_recommends_a_model_of_the_group(seed: int) -> None:
    table = numbers(600, 150, flips=3, strength=1.3, seed=seed)
    found = rebalance(table, NUMBERS, GROUPS, methods=SMALL, splits=12, seed=seed)
    assert found.verdict.recommended in {"interaction", "group_only"}
    assert found.treatment.predictor is not None
    assert found.study.mean("none", "group: b", "auroc") < 0.5


@pytest.fixture(scope="module")
def applied():
    methods = ("smote", "cart", "interaction", 'brnet network={"steps":20}')
    return rebalance(hospital(500), HOSPITAL, DEATH, methods=methods, splits=3, apply="smote", seed=2)


def test_everything_that_was_asked_for_is_among_the_values(applied) -> None:
    told = as_values(applied)
    assert told["verdict"] in {"rebalance", "change the model", "recalibrate", "do not rebalance"}
    assert told["applied"] == "smote"
    for measure in (
        "auroc",
        "auprc",
        "brier",
        "calibration_slope",
        "calibration_intercept",
        "sensitivity_at_specificity",
    ):
        assert np.isfinite(told["methods"]["smote"]["sex: F"][measure]["value"])
    assert told["methods"]["smote"]["sex: F"]["test_patients"] == pytest.approx(25, abs=1)
    assert told["membership"]["sex: F"]["before"]["membership"]["value"] > 0
    assert told["membership"]["sex: F"]["after"]["smote"]["membership_by_rows"]["value"] > 0.5
    for known in told["membership"]["sex: F"]["after"].values():
        assert all(0 <= one["low"] <= one["value"] <= one["high"] <= 1 for one in known.values() if one)
    assert len(told["headroom"]["learning_curves"]) == 1
    assert told["sites"]["sites"] == ["north", "south", "east"] or set(told["sites"]["sites"]) == {
        "north",
        "south",
        "east",
    }
    assert told["brnet"]["brnet"]["group"]["squared_distance_correlation"]
    assert told["worth"]["sex: F"]
    assert told["error_rates"]


def test_made_rows_are_no_evidence_of_anybody(applied) -> None:
    women = next(group for group in as_values(applied)["groups"] if group["group"] == "sex: F")
    assert women["patients"] == 75
    assert women["share"] == pytest.approx(0.15)
    assert women["synthetic"] == 350
    assert women["raised"]


def test_the_treatment_is_written_and_read_back_and_nothing_learns_from_it_unasked(applied, tmp_path) -> None:
    names = write_treatment(applied, tmp_path)
    assert names == ("treatment.json", "treatment.csv")
    back = read_table(tmp_path / "treatment.csv", applied.ready.schema)
    assert is_synthetic(back)
    assert len(back) == len(applied.treatment.table)
    assert "real patients and rows made by ehrsynth" in (tmp_path / "treatment.csv.origin.json").read_text()
    lines = (tmp_path / "treatment.csv").read_text().splitlines()
    assert lines[0].endswith(",_origin")
    assert {line.rsplit(",", 1)[1] for line in lines[1:]} == {"real", "synthetic"}


def test_weights_are_written_beside_the_patients(tmp_path) -> None:
    population = {"sex": {"F": 1.0, "M": 1.0}, "age": {"mean": 68.0}}
    wishes = Wishes("died", protected=("sex",), population=population)
    found = rebalance(
        hospital(400), HOSPITAL, wishes, methods=("smote",), splits=2, apply="group_weights", seed=1
    )
    assert write_treatment(found, tmp_path) == ("treatment.json", "treatment.csv", "weights.csv")
    weights = np.loadtxt(tmp_path / "weights.csv", skiprows=1)
    back = read_table(tmp_path / "treatment.csv", found.ready.schema)
    assert not is_synthetic(back)
    assert np.average(back["sex"] == "F", weights=weights) == pytest.approx(0.5, abs=1e-4)
    assert np.average(back["age"].astype(float), weights=weights) == pytest.approx(68, abs=1e-2)
    cells = as_values(found)["population"]
    assert [c["after"] for c in cells if c["margin"] == "sex"] == pytest.approx([0.5, 0.5], abs=1e-4)


def test_a_method_that_adds_rows_meets_every_margin_by_weights() -> None:
    population = {"sex": {"F": 1.0, "M": 1.0}, "age": {"mean": 68.0}}
    wishes = Wishes("died", protected=("sex",), population=population)
    found = rebalance(hospital(400), HOSPITAL, wishes, methods=("none",), splits=2, apply="smote", seed=1)
    table, weights = found.treatment.table, found.treatment.weights
    assert np.average(table["sex"] == "F", weights=weights) == pytest.approx(0.5, abs=1e-4)
    assert np.average(table["age"].astype(float), weights=weights) == pytest.approx(68, abs=1e-2)


def test_equal_seeds_give_equal_values() -> None:
    first, again = (
        as_values(rebalance(hospital(300), HOSPITAL, DEATH, methods=("smote",), splits=2, seed=4))
        for _ in range(2)
    )
    assert repr({k: v for k, v in first.items() if k != "provenance"}) == repr(
        {k: v for k, v in again.items() if k != "provenance"}
    )


def test_where_no_method_can_be_tried_there_is_no_verdict_but_the_reasons() -> None:
    endless = Wishes("event", protected=("group",), counts={"group: b": 100_000})
    with pytest.raises(Refused, match="none of the methods can be tried") as found:
        rebalance(numbers(500, 80), NUMBERS, endless, methods=("random_oversampling",), splits=2, seed=1)
    assert "more than 20 times" in str(found.value)


def test_one_split_and_a_missing_package_are_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="at least 2"):
        rebalance(hospital(300), HOSPITAL, DEATH, methods=("none",), splits=1, seed=1)
    monkeypatch.setattr("ehrsynth.rebalance.methods.find_spec", lambda _: None)
    with pytest.raises(
        MissingPackage, match=r"smote needs an optional package: pip install 'ehrsynth\[rebalance\]'"
    ):
        rebalance(hospital(300), HOSPITAL, DEATH, methods=("smote",), splits=2, seed=1)
