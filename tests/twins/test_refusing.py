"""Refusals: what is refused, what is not, and what stands in the reason."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ehrsynth.twins import error_rates as rates
from ehrsynth.twins.average import study_population
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.error_rates import error_rates, measured_error_rates
from ehrsynth.twins.evidence import evidence, with_constant_effect
from ehrsynth.twins.fitting import Crosswise, fit_crosswise
from ehrsynth.twins.overlap import Supported, overlap
from ehrsynth.twins.patients import Patients, covariates_of, patients_of
from ehrsynth.twins.question import Question, Request, ask
from ehrsynth.twins.quick import chance, quick_effect
from ehrsynth.twins.refusals import (
    NAMES,
    Refusal,
    imbalance,
    poor_overlap,
    settled,
    small_arms,
)
from ehrsynth.twins.refutation import CONTROL, PLACEBO, refute
from trials import TRIAL, TWO, Truth, trial

QUICK = Candidates(bases=("linear",), crossed=(), robust=("linear",))
OBSERVED = ask(Request(arms=TWO, outcomes=("score",)), TRIAL)
RANDOMISED = ask(Request(arms=TWO, outcomes=("score",), design="randomised"), TRIAL)


def fit(made: Truth, question: Question = OBSERVED, outcome: str = "score") -> tuple[Patients, Crosswise]:
    patients = patients_of(made.table, question)
    return patients, fit_crosswise(patients, question, outcome, candidates=QUICK, seed=1)


# ---- overlap ----


def described(made: Truth):
    patients, fitted = fit(made)
    supported = Supported(patients.covariates, patients.arm, 2, lowest=0.03, seed=1)
    outside = supported.of(patients.covariates, fitted.said.chances).outside
    population = study_population(patients, fitted.said.chances, ~outside, "all")
    return overlap(
        patients.covariates, patients.arm, fitted.said.chances, population, outside=outside, lowest=0.03
    )


def test_arms_that_overlap_are_answered_and_arms_that_do_not_are_refused() -> None:
    fine = described(trial(500, 1, confounding=0.4))
    assert not list(poor_overlap(fine, OBSERVED))
    assert min(e / n for e, n in zip(fine.effective, fine.patients, strict=True)) > 0.7
    none = described(trial(500, 1, confounding=6.0))
    found = list(poor_overlap(none, OBSERVED))
    assert found
    assert none.separation[0] > 0.95
    assert {r.name for r in found} == {"overlap"}


def test_arms_that_weights_do_not_bring_together_are_refused() -> None:
    """The old are treated, the young are not, but for one in a hundred: these few stand for nobody."""
    made, rng = trial(1_500, 3, effect=0.0), np.random.default_rng(4)
    old = made.table["age"].to_numpy(float) > 65
    crossed = rng.random(len(old)) < 0.01
    table = made.table.copy()
    table["drug"] = pd.Categorical(np.where(old ^ crossed, "low", "none"), ["none", "low", "high"])
    table.attrs = dict(made.table.attrs)
    found = described(replace(made, table=table))
    said = [r.reason for r in poor_overlap(found, OBSERVED)]
    assert any("still differ in 'age'" in reason for reason in said)


def test_balance_is_better_after_weighting() -> None:
    found = described(trial(800, 2, confounding=1.0))
    age = next(b for b in found.balance if b.column == "age")
    assert age.before > 0.5
    assert age.after < 0.3 * age.before


def test_effective_sample_sizes_of_known_weights() -> None:
    patients, fitted = fit(trial(200, 3))
    chances = np.full((200, 2), 0.5)
    population = study_population(patients, chances, np.ones(200, bool), "all")
    whole = overlap(
        patients.covariates, patients.arm, chances, population, outside=np.zeros(200, bool), lowest=0.03
    )
    assert whole.effective == pytest.approx(whole.patients)
    del fitted


def test_patients_far_from_everybody_are_outside_and_the_studys_own_are_not() -> None:
    made = trial(400, 4)
    patients, fitted = fit(made)
    supported = Supported(patients.covariates, patients.arm, 2, lowest=0.03, seed=1)
    own = supported.of(patients.covariates, fitted.said.chances)
    assert own.outside.mean() < 0.03
    assert ((own.score >= 0) & (own.score <= 1)).all()
    fresh = covariates_of(trial(400, 5).table, OBSERVED.covariate_schema)
    even = np.full((400, 2), 0.5)
    assert supported.of(fresh, even).outside.mean() < 0.03
    far = replace(fresh, values=fresh.values.copy())
    far.values[:, far.place("sbp")] = 255.0
    assert supported.of(far, even).outside.mean() > 0.95
    assert supported.of(fresh, np.tile([0.99, 0.01], (400, 1))).outside.all()


def test_a_category_that_an_arm_never_has_is_outside() -> None:
    made = trial(300, 6)
    ward, drug = made.table["ward"], made.table["drug"]
    kept = made.part(np.flatnonzero(~((ward == "c") & (drug == "low")).to_numpy()))
    patients, fitted = fit(kept)
    supported = Supported(patients.covariates, patients.arm, 2, lowest=0.0, seed=1)
    found = supported.of(patients.covariates, fitted.said.chances)
    assert found.outside[(kept.table["ward"] == "c").to_numpy()].all()


# ---- arms ----


def test_small_arms_and_few_events() -> None:
    made = trial(80, 7)
    few = patients_of(made.table, OBSERVED)
    reasons = [r.reason for r in small_arms(few, OBSERVED, "score")]
    assert any("50 are needed" in reason for reason in reasons)
    assert all("join arms (--arm)" in reason for reason in reasons)
    enough = patients_of(trial(200, 7).table, OBSERVED)
    assert not list(small_arms(enough, OBSERVED, "score"))
    question = ask(Request(arms=TWO, outcomes=("poor",)), TRIAL)
    patients = patients_of(trial(200, 8).table, question)
    target = patients.targets["poor"]
    rare = replace(target, values=np.where(np.arange(200) < 6, 1.0, 0.0), weights=np.ones(200))
    found = list(small_arms(replace(patients, targets={"poor": rare}), question, "poor"))
    assert len(found) == 2
    assert all("fewer than 10" in r.reason for r in found)


def test_randomised_arms_that_differ_before_treatment_are_refused() -> None:
    made = trial(400, 9)
    assert not list(imbalance(patients_of(made.table, RANDOMISED), RANDOMISED))
    table = made.table.copy()
    table["sbp"] = table["sbp"] - 12 * (table["drug"] == "low")
    found = list(imbalance(patients_of(table, RANDOMISED), RANDOMISED))
    assert len(found) == 1
    assert "'sbp'" in found[0].reason
    # An observational study expects it.
    assert not list(imbalance(patients_of(table, OBSERVED), OBSERVED))


def test_arms_of_sizes_that_randomisation_does_not_give() -> None:
    odd = ask(
        Request(arms=TWO, outcomes=("score",), design="randomised", probabilities={"none": 0.8, "low": 0.2}),
        TRIAL,
    )
    found = list(imbalance(patients_of(trial(400, 10).table, odd), odd))
    assert any("sizes" in r.reason for r in found)


# ---- evidence ----


def test_effects_that_differ_are_told_and_a_constant_one_is_not() -> None:
    patients, fitted = fit(trial(600, 11, slope=2.0), RANDOMISED)
    found = evidence(fitted, patients)
    assert found.individual
    assert found.against_constant.low > 0
    assert found.slope.low < 1 < found.slope.high + 0.5
    told = []
    for seed in range(6):
        patients, fitted = fit(trial(300, 20 + seed, slope=0.0), RANDOMISED)
        told.append(evidence(fitted, patients).individual)
    assert sum(told) <= 2


def test_evidence_from_a_dozen_sites_has_as_few_degrees_of_freedom() -> None:
    """With the normal distribution an effect of nothing passes too often: twelve sites are twelve numbers."""
    patients, fitted = fit(trial(300, 22, slope=0.5, sites=12), RANDOMISED)
    found = evidence(fitted, patients)
    error = (found.slope.high - found.slope.low) / 2 / stats.t.ppf(0.975, 11)
    assert found.p_value == pytest.approx(stats.t.sf(found.slope.value / error, 11))
    assert found.p_value > stats.norm.sf(found.slope.value / error)
    assert evidence(fitted, patients, outcomes=3).p_value == pytest.approx(min(1.0, 3 * found.p_value))
    assert 0 < found.p_value < 1


def test_a_constant_effect_is_better_than_none_where_there_is_one() -> None:
    patients, fitted = fit(trial(400, 12, effect=3.0), RANDOMISED)
    assert evidence(fitted, patients).constant_against_zero.low > 0
    patients, fitted = fit(trial(400, 13, effect=0.0), RANDOMISED)
    assert evidence(fitted, patients).constant_against_zero.low < 0.05


def test_with_a_constant_effect_nobody_differs() -> None:
    patients, fitted = fit(trial(400, 14, slope=2.0), RANDOMISED)
    held = with_constant_effect(fitted)
    for fold in range(5):
        assert np.ptp(held.said.effects[fitted.unseen.fold == fold]) < 1e-9
    assert np.ptp(fitted.said.effects) > 1
    del patients


# ---- refuters ----


def refuters(made: Truth, question: Question = OBSERVED, **how):
    patients, fitted = fit(made, question)
    given = {
        "randomised": question.randomised,
        "inside": np.ones(len(patients), bool),
        "seed": 1,
        "repeats": 200,
    }
    return refute(fitted, patients, **(given | how))


def test_a_sound_study_is_not_refuted() -> None:
    for made, question in ((trial(500, 15, confounding=0.7), OBSERVED), (trial(500, 16), RANDOMISED)):
        found = refuters(made, question)
        assert [r.failed for r in found] == [False] * 3
        placebo = found[0]
        assert placebo.name == PLACEBO
        assert abs(placebo.mean) < 0.1
        assert placebo.false_positives is not None
        assert placebo.false_positives < 0.15


def test_a_negative_control_gives_a_hidden_confounder_away() -> None:
    made = trial(500, 17)
    arm = made.table["drug"].cat.codes.to_numpy()
    rng = np.random.default_rng(0)
    marked, unmarked = arm + rng.normal(size=500), rng.normal(size=500)
    found = refuters(made, controls=(("marked", marked), ("unmarked", unmarked)))
    by_name = {r.name: r.failed for r in found}
    assert by_name[f"{CONTROL}: marked"]
    assert not by_name[f"{CONTROL}: unmarked"]


def test_a_placebo_that_finds_an_effect_fails() -> None:
    """Placebo arms that follow the outcome: what a leak of the outcome into the arms would do."""
    made = trial(400, 18)
    patients, fitted = fit(made)
    outcome = fitted.target.values
    leaking = np.where(outcome > np.median(outcome), 0.85, 0.15)
    said = replace(fitted.said, chances=np.stack([1 - leaking, leaking], axis=1))
    found = refute(
        replace(fitted, said=said), patients, randomised=False, inside=np.ones(400, bool), seed=1, repeats=200
    )
    assert found[0].name == PLACEBO
    assert found[0].failed


def test_the_quick_estimate_is_the_difference_where_nothing_is_adjusted_for() -> None:
    rng = np.random.default_rng(1)
    treated, y = rng.random(300) < 0.5, rng.normal(size=300)
    found = quick_effect(np.zeros((300, 1)), treated, y, np.ones(300), randomised=True)
    assert found.value == pytest.approx(y[treated].mean() - y[~treated].mean(), abs=1e-6)
    assert np.isnan(
        quick_effect(np.zeros((300, 1)), np.zeros(300, bool), y, np.ones(300), randomised=True).value
    )


def test_the_quick_chance_is_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 3))
    treated = rng.random(400) < 1 / (1 + np.exp(-x[:, 0]))
    ours = chance(np.column_stack([np.ones(400), x]), treated)
    theirs = LogisticRegression(C=1.0, tol=1e-8).fit(x, treated).predict_proba(x)[:, 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


# ---- overriding ----


def test_an_override_is_by_name_and_stays_in_the_report() -> None:
    given = [Refusal("overlap", "", "reason"), Refusal("placebo", "score", "reason")]
    found = settled(iter(given), frozenset({"overlap"}))
    assert [r.overridden for r in found] == [True, False]
    assert [r.stops for r in found] == [False, True]
    assert found[1].flag == "--accept-placebo"
    assert not Refusal("individual-effects", "score", "reason").stops


def test_error_rates_are_said_where_they_were_measured() -> None:
    assert measured_error_rates("no such refusal") == "How often it errs was not measured yet."
    assert error_rates() is not None
    for name in (*NAMES, "trial-check"):
        assert " of " in measured_error_rates(name)


def test_error_rates_are_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"refusal": "overlap", "what": "no overlap", "wrong": False, "runs": 200, "refused": 190}
    other = {"refusal": "overlap", "what": "full overlap", "wrong": True, "runs": 200, "refused": 3}
    known = rates.ErrorRates.model_validate({"date": "", "version": "", "measured": [one, other]})
    monkeypatch.setattr(rates, "error_rates", lambda: known)
    said = "it refused 190 of 200 with no overlap and by mistake 3 of 200 with full overlap."
    assert measured_error_rates("overlap") == f"In simulated studies {said}"
    assert "not measured" in measured_error_rates("placebo")
