"""The trial check: right twins pass, wrong cohorts fail, and sites are cut whole."""

from types import SimpleNamespace

import numpy as np
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.strata import Stratum
from ehrsynth.release.twin_gate import twin_checks
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.model import TwinModel
from ehrsynth.twins.options import Options
from ehrsynth.twins.patients import patients_of
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.results import check_json
from ehrsynth.twins.trial import TrialCheck, check, halves
from ehrsynth.twins.trial_run import half_model, predicted, simulations, trial_check
from trials import TRIAL, TWO, trial

QUICK = Options(candidates=Candidates(bases=("linear",), crossed=(), robust=("linear",)))
QUESTION = ask(Request(arms=TWO, outcomes=("score",), design="randomised"), TRIAL)
SITES = 60


def test_sites_are_cut_whole_and_halves_are_alike_in_size() -> None:
    patients = patients_of(trial(600, 1, sites=SITES).table, QUESTION)
    first, said = halves(patients, seed=3)
    assert "by site" in said
    assert patients.site is not None
    for site in np.unique(patients.site):
        assert len(set(first[patients.site == site])) == 1
    assert 0.4 < first.mean() < 0.6
    other, _ = halves(patients, seed=4)
    assert (first != other).any()


def test_without_sites_patients_are_cut_within_arms() -> None:
    patients = patients_of(trial(600, 1, sites=3).table, QUESTION)
    first, said = halves(patients, seed=3)
    assert "by patient" in said
    for arm in (0, 1):
        assert first[patients.arm == arm].mean() == pytest.approx(0.5, abs=0.01)


def unconditioned(model: TwinModel, rows: Matrix) -> np.ndarray:
    return np.full((len(rows), 2), float(model.fitted.target.values.mean()))


def without_effect(model: TwinModel, rows: Matrix) -> np.ndarray:
    return np.tile(predicted(model, rows).mean(axis=1, keepdims=True), (1, 2))


@pytest.mark.parametrize(("effect", "slope"), [(0.0, 0.0), (2.0, 1.5)])
def test_right_twins_pass(effect: float, slope: float) -> None:
    table = trial(900, 5, effect=effect, slope=slope, sites=SITES).table
    check = trial_check(table, QUESTION, options=QUICK, seed=1)[0]
    assert check.passed, check.failed
    whole = next(c for c in check.cells if c.what == "contrast" and c.group == "all patients")
    assert whole.simulated == pytest.approx(effect, abs=0.7)
    assert whole.difference.value == pytest.approx(whole.simulated - whole.randomised.value)
    assert whole.detectable > 0
    assert {c.group for c in check.cells} >= {"all patients", "sex: F", "age: lowest third"}


def test_outcomes_that_know_nothing_of_the_patient_fail_by_their_levels() -> None:
    table = trial(900, 6, effect=0.0, sites=SITES).table
    check = trial_check(table, QUESTION, options=QUICK, simulate=unconditioned, seed=1)[0]
    assert not check.passed
    assert all(cell.what == "level" for cell in check.failed)
    assert any(cell.group.startswith("age") for cell in check.failed)


def test_twins_without_the_effect_fail_by_their_contrast() -> None:
    table = trial(900, 7, effect=2.0, sites=SITES).table
    check = trial_check(table, QUESTION, options=QUICK, simulate=without_effect, seed=1)[0]
    assert any(cell.what == "contrast" and cell.group == "all patients" for cell in check.failed)
    assert trial_check(table, QUESTION, options=QUICK, seed=1)[0].passed


def test_a_planted_effect_in_a_group_is_found() -> None:
    made = trial(1_200, 8, effect=0.0, sites=SITES)
    table = made.table.copy()
    spared = ((table["sex"] == "F") & (table["drug"] == "low")).to_numpy()
    table.loc[spared, "score"] = table.loc[spared, "score"] + 4.0
    check = trial_check(table, QUESTION, options=QUICK, seed=1)[0]
    women = next(c for c in check.cells if c.what == "contrast" and c.group == "sex: F")
    assert women.simulated == pytest.approx(4.0, abs=1.2)
    assert check.passed
    blind = trial_check(table, QUESTION, options=QUICK, simulate=without_effect, seed=1)[0]
    assert any(c.what == "contrast" and c.group == "sex: F" for c in blind.failed)


def test_groups_that_are_too_small_are_named() -> None:
    table = trial(300, 9, sites=SITES).table
    check = trial_check(table, QUESTION, options=QUICK, seed=1)[0]
    assert any("fewer than 50 patients" in text for text in check.left_out)


def test_a_check_that_compared_nothing_is_no_pass() -> None:
    check = trial_check(trial(150, 9).table, QUESTION, options=QUICK, seed=1)[0]
    assert not check.cells
    assert not check.computed
    assert not check.passed
    told = check_json(check, QUESTION)
    assert (told["verdict"], told["reason"]) == ("not computed", "fewer than 50 patients an arm in a half")


def test_the_gate_takes_no_comparison_for_a_no() -> None:
    study = SimpleNamespace(outcomes=(), question=SimpleNamespace(randomised=True))
    empty = TrialCheck("score", (), ("all patients: too few",), "by patient")
    for checks in ((), (empty,)):
        found = list(twin_checks(study, None, checks, None, policy=None, facts=None, theirs=None))
        assert found[1].value is None
        assert not found[1].passed
        assert "not computed" in found[1].explanation
    assert "'score' (fewer than 50 patients an arm in a half)" in found[1].explanation


def test_a_group_that_the_half_learnt_from_hardly_has_is_left_out() -> None:
    table = trial(300, 10).table
    patients = patients_of(table, QUESTION)
    models, _ = half_model(patients, QUESTION, "score", options=QUICK, seed=1)
    rare = patients.arm == 0
    rare[np.flatnonzero(patients.arm == 1)[:2]] = True
    means = np.tile([10.0, 12.0], (300, 1))
    both = simulations(models, patients, [Stratum("rare", (rare,))], [means, means])
    assert both[0].errors is not None
    assert both[1].errors is None
    found = check(both, patients.targets["score"], patients, [np.ones(300, bool)] * 2, split="")
    assert {cell.group for cell in found.cells} == {"all patients"}
    assert found.left_out == ("rare: fewer than 20 patients in an arm of the half learnt from",)


def test_an_observational_study_has_no_trial_to_be_held_against() -> None:
    with pytest.raises(RequestError, match="randomised"):
        trial_check(trial(100).table, ask(Request(arms=TWO, outcomes=("score",)), TRIAL), seed=1)
