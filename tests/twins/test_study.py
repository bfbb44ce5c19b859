"""A whole study: what it says, what a cohort holds, and what is withheld from both."""

import json

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import NotEnoughData, Refused, RequestError
from ehrsynth.files import plain
from ehrsynth.report.twins import question_facts
from ehrsynth.tables import accept_synthetic, from_values, is_synthetic, mark_synthetic, write_table
from ehrsynth.tables.reading import read_table
from ehrsynth.twins.cohort import Cohort, summary, twin_cohort
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.options import Options
from ehrsynth.twins.pairs import outcome_memory, pairs
from ehrsynth.twins.patients import patients_of
from ehrsynth.twins.populations import outsiders
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.results import as_json
from ehrsynth.twins.study import Study, twin_study
from trials import TRIAL, TWO, trial

LEAN = Candidates(bases=("linear",), crossed=(), robust=("linear",))
QUICK = Options(candidates=LEAN, repeats=100)
REQUEST = Request(arms=TWO, outcomes=("score", "poor"), design="randomised")


@pytest.fixture(scope="module")
def study() -> Study:
    return twin_study(trial(500, 31, slope=2.0).table, ask(REQUEST, TRIAL), options=QUICK, seed=1)


@pytest.fixture(scope="module")
def cohort(study: Study) -> Cohort:
    fresh = trial(60, 32).table[["age", "sex", "sbp", "ward"]]
    return twin_cohort(study, mark_synthetic(fresh), draws=20, seed=1)


def test_the_answer_is_plain_and_each_number_has_its_label(study: Study) -> None:
    answer = plain(as_json(study))
    json.dumps(answer)
    assert next(iter(answer)) == "verdict"
    one = answer["outcomes"][0]
    assert one["training_n"] == 500
    assert all(effect["label"].startswith("validated by arms") for effect in one["average_effects"])
    assert all("coupling" in bounds["label"] for bounds in one["coupling"])
    assert {"value", "low", "high", "standard_error"} <= set(one["average_effects"][0])
    whole = one["average_effects"][0]
    assert whole["group"] == "all patients"
    assert whole["low"] < 2.0 < whole["high"] or abs(whole["value"] - 2.0) < 0.8
    assert {r["name"] for r in one["refuters"]} == {"placebo treatment", "random common cause", "subset"}


def test_observational_answers_say_what_no_data_can_show() -> None:
    question = ask(Request(arms=TWO, outcomes=("score",)), TRIAL)
    found = as_json(twin_study(trial(300, 33).table, question, options=QUICK, seed=1))
    for said in ("missing from the covariates", "measured before treatment"):
        assert any(said in text and "No data can show" in text for text in found["identification"])
    assert (
        "only if no confounder is unmeasured and every covariate was measured before treatment"
        in found["outcomes"][0]["average_effects"][0]["label"]
    )
    assert "approximate" in found["outcomes"][0]["predictive_coverage"]["promise"]


def test_individual_effects_are_told_where_they_differ_and_not_elsewhere(study: Study) -> None:
    by_name = {outcome.name: outcome.individual for outcome in study.outcomes}
    assert by_name == {"score": True, "poor": False}
    assert [r.outcome for r in study.every_refusal if r.name == "individual-effects"] == ["poor"]
    assert study.refused
    assert not any(study.stopped(outcome) for outcome in study.outcomes)


def test_not_asking_for_individual_effects_is_no_refusal() -> None:
    options = Options(candidates=LEAN, repeats=100, individual=False)
    question = ask(Request(arms=TWO, outcomes=("poor",), design="randomised"), TRIAL)
    found = twin_study(trial(400, 34).table, question, options=options, seed=1)
    assert not found.refused
    assert as_json(found)["verdict"] == "answered"
    assert twin_cohort(found, draws=5, seed=1).outcomes[0].effects is None
    asked = Options(candidates=LEAN, repeats=100)
    assert (
        as_json(twin_study(trial(400, 34).table, question, options=asked, seed=1))["verdict"]
        == "average only"
    )


def test_a_stopped_outcome_has_no_number_and_an_override_is_written_down() -> None:
    table = trial(90, 35).table
    question = ask(Request(arms=TWO, outcomes=("score",), design="randomised"), TRIAL)
    stopped = twin_study(table, question, options=QUICK, seed=1)
    answer = as_json(stopped)
    assert answer["verdict"] == "refused"
    assert "average_effects" not in answer["outcomes"][0]
    assert twin_cohort(stopped, draws=5, seed=1).outcomes == ()
    accepted = Options(candidates=LEAN, repeats=100, accepted=frozenset({"small-arms", "individual-effects"}))
    forced = as_json(twin_study(table, question, options=accepted, seed=1))
    assert "average_effects" in forced["outcomes"][0]
    assert all(r["overridden"] for r in forced["refusals"])
    assert forced["verdict"] == "answered"


def test_hardly_any_patients_and_synthetic_ones_are_errors() -> None:
    question = ask(REQUEST, TRIAL)
    with pytest.raises(Refused, match="cannot be fitted"):
        twin_study(trial(14, 36).table, question, options=QUICK, seed=1)
    with pytest.raises(NotEnoughData, match="'high'"):
        twin_study(trial(60, 36).table, ask(Request(outcomes=("score",)), TRIAL), options=QUICK, seed=1)
    with pytest.raises(RequestError, match="synthetic"):
        twin_study(mark_synthetic(trial(100, 36).table), question, options=QUICK, seed=1)
    accepted = accept_synthetic(mark_synthetic(trial(100, 36).table))
    assert len(patients_of(accepted, question)) == 100


def test_a_population_and_unknown_outcomes_are_counted() -> None:
    question = ask(Request(arms=TWO, outcomes=("poor",), where="age >= 60"), TRIAL)
    table = trial(400, 37).table
    patients = patients_of(table, question)
    assert len(patients) == int((table["age"] >= 60).sum())
    assert patients.left_out["outside the population asked for"] == 400 - len(patients)
    assert patients.left_out["value of 'poor' unknown"] > 0
    weights = patients.targets["poor"].weights
    assert weights.sum() == pytest.approx(len(patients), rel=0.02)


def test_a_horizon_is_answered_both_ways() -> None:
    table = trial(700, 38).table
    found = []
    for censoring in ("ipcw", "pseudo"):
        request = Request(arms=TWO, horizon=120.0, cause="death", censoring=censoring, design="randomised")  # type: ignore[arg-type]
        study = twin_study(table, ask(request, TRIAL), options=QUICK, seed=1)
        assert [o.name for o in study.outcomes] == ["event death within 120 days"]
        found.append(study.outcomes[0].effects[0].effect)
    assert abs(found[0].value - found[1].value) < 0.04
    assert all(effect.value < 0.03 for effect in found)


def test_three_arms_have_two_contrasts_throughout() -> None:
    question = ask(Request(outcomes=("score",), design="randomised"), TRIAL)
    study = twin_study(trial(450, 39, arms=3).table, question, options=QUICK, seed=1)
    whole = [e for e in study.outcomes[0].effects if e.group == "all patients"]
    assert [e.arm for e in whole] == [1, 2]
    assert whole[1].effect.value == pytest.approx(4.0, abs=1.0)
    cohort = twin_cohort(study, draws=5, seed=1)
    assert len(cohort.outcomes[0].twins.frame) == 3 * 450


def test_groups_with_hardly_anybody_of_an_arm_are_left_out_and_named() -> None:
    table = trial(420, 43).table
    women = np.flatnonzero((table["sex"] == "F") & (table["drug"] == "low"))
    table = table.drop(index=women[2:]).reset_index(drop=True)
    rare = np.flatnonzero(table["ward"] == "c")
    table = table.drop(index=rare[8:]).reset_index(drop=True)
    accepted = frozenset({"imbalance", "placebo", "individual-effects"})
    options = Options(candidates=LEAN, repeats=100, accepted=accepted)
    asked = Request(arms=TWO, outcomes=("score",), design="randomised", by=("sex", "ward"))
    study = twin_study(table, ask(asked, TRIAL), options=options, seed=1)
    groups = {effect.group for effect in study.outcomes[0].effects}
    assert "sex: F" not in groups
    assert groups >= {"all patients", "sex: M"}
    told = as_json(study)["outcomes"][0]["groups_left_out"]
    assert any(one.startswith("sex: F, low against none: fewer than 20 patients of an arm") for one in told)
    assert "ward: c: fewer than 20 patients in a table" in told


def test_an_average_over_a_target_table_says_so_and_is_over_the_population_asked_for() -> None:
    question = ask(Request(arms=TWO, outcomes=("score",), design="randomised", where="age >= 60"), TRIAL)
    others = trial(120, 44).table
    others.loc[0, ["age", "sbp"]] = [100, 50.0]
    options = Options(candidates=LEAN, repeats=100, individual=False, accepted=frozenset({"overlap"}))
    study = twin_study(trial(400, 45).table, question, options=options, target=others, seed=1)
    answer = as_json(study)
    told = answer["question"]["target"]
    assert told["outside_support"] >= 1
    assert told["patients"] + told["outside_support"] == int((others["age"] >= 60).sum())
    assert not told["synthetic"]
    facts = dict(question_facts(answer["question"]))
    assert facts["Whom an average is about"].startswith(f"{told['patients']} patients of a target table (")
    assert facts["Whom an average is about"].endswith("left out); age >= 60")
    assert study.overlap.outside == told["outside_support"]


def test_a_target_table_is_a_population_of_its_own() -> None:
    others = trial(50, 44).table
    treated = ask(Request(arms=TWO, outcomes=("score",), estimand="treated"), TRIAL)
    with pytest.raises(RequestError, match="leave --estimand or --target out"):
        outsiders(others, treated)
    old = ask(Request(arms=TWO, outcomes=("score",), where="age > 99.5"), TRIAL)
    with pytest.raises(NotEnoughData, match="no patient of the target table"):
        outsiders(others[others["age"] < 90], old)


@pytest.mark.parametrize("elsewhere", ["b", "a"])
def test_an_arm_with_nobody_on_common_support_is_refused_and_no_crash(elsewhere: str) -> None:
    table = trial(200, 46).table
    low = (table["drug"] == "low").to_numpy()
    others = np.where(np.arange(200) % 2, "b", elsewhere)  # "a": some of them are like the treated
    table["ward"] = pd.Categorical(np.where(low, "a", others), categories=["a", "b", "c"])
    table.loc[low, "age"] = 95
    question = ask(Request(arms=TWO, outcomes=("score",)), TRIAL)
    accepted = frozenset({"overlap", "placebo", "individual-effects", "outside-support"})
    options = Options(candidates=LEAN, repeats=100, accepted=accepted)
    with pytest.raises(Refused, match="on common support") as caught:
        twin_study(table, question, options=options, seed=1)
    assert caught.value.exit_code == 3


# ---- the cohort ----


def test_a_cohort_is_a_table_that_its_schema_reads(cohort: Cohort, tmp_path) -> None:
    assert cohort.synthetic
    for twins in cohort.outcomes:
        for table in (twins.twins, twins.effects):
            if table is None:
                continue
            assert is_synthetic(table.frame)
            write_table(table.frame, table.schema, tmp_path / "t.csv")
            back = read_table(tmp_path / "t.csv", table.schema)
            pd.testing.assert_frame_equal(back, table.frame, check_frame_type=False)


def test_no_column_subtracts_one_arms_draw_from_the_others(cohort: Cohort) -> None:
    score = cohort.outcomes[0]
    frame = score.twins.frame
    draws = [name for name in frame.columns if name.startswith("draw_")]
    assert len(draws) == 20
    by_arm = {arm: frame.loc[frame["arm"] == arm, draws].to_numpy(float) for arm in ("none", "low")}
    gap = by_arm["low"] - by_arm["none"]
    for twins in cohort.outcomes:
        for table in (twins.twins, twins.effects):
            for name in [] if table is None else table.frame.columns:
                values = pd.to_numeric(table.frame[name], errors="coerce").to_numpy(float)
                if len(values) == len(gap):
                    assert not any(np.allclose(values, gap[:, k], atol=1e-3) for k in range(20)), name


def test_patients_outside_support_have_no_number_unless_accepted(study: Study) -> None:
    values = {"age": [65.0, 18.0], "sex": [0.0, 1.0], "sbp": [140.0, 259.0], "ward": [0.0, 1.0]}
    question = ask(REQUEST, TRIAL)
    far = from_values({k: np.array(v) for k, v in values.items()}, question.covariate_schema)
    found = twin_cohort(study, far, draws=5, seed=1)
    assert found.withheld.tolist() == [False, True]
    frame = found.outcomes[0].twins.frame
    mine = frame[frame["patient"] == 2]
    assert (mine["flags"] == "outside support").all()
    assert (
        mine[[c for c in frame.columns if c.startswith(("mean", "low", "high", "draw_"))]]
        .isna()
        .all(axis=None)
    )
    assert frame[frame["patient"] == 1]["mean"].notna().all()
    assert found.outcomes[0].effects is not None
    assert found.outcomes[0].effects.frame["average_effect"].isna().tolist() == [False, True]
    from dataclasses import replace

    options = replace(study.options, accepted=frozenset({"outside-support"}))
    told = twin_cohort(replace(study, options=options), far, draws=5, seed=1)
    assert told.outcomes[0].twins.frame["mean"].notna().all()
    assert (told.outcomes[0].twins.frame["flags"] == "outside support").sum() == 2


def test_the_studys_own_cohort_is_real_and_spoken_of_by_models_that_did_not_see_it(study: Study) -> None:
    own = twin_cohort(study, draws=5, seed=1)
    assert not own.synthetic
    assert len(own) == 500
    levelled = study.outcomes[0].model.levelled(study.outcomes[0].model.fitted.said.means)
    np.testing.assert_allclose(own.outcomes[0].prediction.means, levelled)


def test_a_summary_gives_means_and_no_error(cohort: Cohort) -> None:
    text = json.dumps(summary(cohort))
    assert "mean_of_draws" in text
    assert "error" not in text


# ---- what an outsider would attack ----


def test_pairs_have_the_columns_of_real_patients(study: Study, cohort: Cohort) -> None:
    question = ask(REQUEST, TRIAL)
    others = patients_of(trial(300, 40).table, question)
    found = pairs(cohort, study.patients, others, question)
    assert len(found.twins) == 2 * len(cohort)
    assert is_synthetic(found.twins)
    assert not is_synthetic(found.members)
    assert list(found.twins.columns) == list(found.members.columns) == list(found.schema.names)
    assert len(found.members) == 500
    assert (found.members["drug"] == "none").sum() == int((study.patients.arm == 0).sum())


@pytest.mark.parametrize("ages", [(65.0, 18.0), (18.0, 18.0)])
def test_patients_who_leave_without_an_outcome_are_attacked_all_the_same(study: Study, ages) -> None:
    values = {
        "age": ages,
        "sex": (0.0, 1.0),
        "sbp": (140.0 if ages[0] > 18 else 259.0, 259.0),
        "ward": (0.0, 1.0),
    }
    question = ask(REQUEST, TRIAL)
    far = from_values({k: np.array(v) for k, v in values.items()}, question.covariate_schema)
    found = twin_cohort(study, mark_synthetic(far), draws=5, seed=1)
    assert found.withheld[1]
    table = pairs(found, study.patients, study.patients, question).twins
    for name in found.patients.frame:
        assert set(table[name]) == set(found.patients.frame[name])
    assert table[["score", "poor"]].isna().all(axis=1).tolist() == np.repeat(found.withheld, 2).tolist()


def test_memory_of_outcomes_is_noticed(study: Study) -> None:
    from dataclasses import replace

    question = ask(REQUEST, TRIAL)
    others = patients_of(trial(300, 41, slope=2.0).table, question)
    covariates = patients_of(trial(500, 31, slope=2.0).table, question).covariates
    frame = from_values(
        dict(zip(covariates.names, covariates.values.T, strict=True)), question.covariate_schema
    )
    fine = twin_cohort(study, frame, draws=5, synthetic=True, seed=1)
    sound = outcome_memory(fine, fine.outcomes[0], study.patients, others)
    assert sound.low < 0.56
    means = fine.outcomes[0].prediction.means.copy()
    means[np.arange(500), study.patients.arm] = study.patients.targets["score"].values
    leaking = replace(fine.outcomes[0], prediction=replace(fine.outcomes[0].prediction, means=means))
    assert outcome_memory(fine, leaking, study.patients, others).low > 0.8
