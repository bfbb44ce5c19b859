"""Estimates are those of statsmodels; planted effects miss by the number of standard errors they should."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.utility.effect_estimates import effect_estimates
from ehrsynth.schema import BooleanColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values

SCHEMA = Schema(
    name="trial",
    columns=(
        BooleanColumn(name="arm", roles=("treatment",)),
        NumberColumn(name="age", minimum=-99, maximum=99, decimals=3, roles=("covariate",)),
        NumberColumn(name="score", minimum=-99, maximum=99, decimals=3, roles=("outcome",)),
        BooleanColumn(name="died", roles=("outcome",)),
    ),
)
Z = 1.959963984540054


def trial(n: int, seed: int, effect: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arm, age = rng.random(n) < 0.4, rng.normal(size=n).round(3)
    score = effect * arm + 0.5 * age + rng.normal(size=n)
    died = rng.random(n) < 1 / (1 + np.exp(0.5 - effect * arm))
    return from_values({"arm": arm * 1.0, "age": age, "score": score.round(3), "died": died * 1.0}, SCHEMA)


def coefficients(score: Score, study: str) -> dict[str, dict[str, dict[str, float]]]:
    return {c["term"]: c for c in score.details["studies"][study]["coefficients"]}


def test_estimates_and_what_is_said_of_them_are_those_of_statsmodels() -> None:
    statsmodels = pytest.importorskip("statsmodels.api")
    train, holdout, made = trial(300, 1), trial(250, 2), trial(200, 3, effect=0.5)
    score = effect_estimates(train, holdout, made, SCHEMA, seed=0)
    centre, spread = train["age"].mean(), train["age"].std(ddof=0)
    missed = []
    for study, outcome, model in (
        ("score (linear)", "score", statsmodels.OLS),
        ("died (logistic)", "died", statsmodels.Logit),
    ):
        fits = []
        for table in (train, made):
            design = np.column_stack(
                [np.ones(len(table)), table["arm"].astype(float), (table["age"] - centre) / spread]
            )
            settings = {"disp": 0, "tol": 1e-12} if outcome == "died" else {}
            fits.append(model(table[outcome].to_numpy(float), design).fit(**settings))
        for place, term in enumerate(("arm: true", "age"), start=1):
            found = coefficients(score, study)[term]
            (b, s), (c, t) = ((f.params[place], f.bse[place]) for f in fits)
            assert found["real"] == pytest.approx({"estimate": b, "error": s}, abs=1e-6)
            assert found["synthetic"] == pytest.approx({"estimate": c, "error": t}, abs=1e-6)
            shared = min(b + Z * s, c + Z * t) - max(b - Z * s, c - Z * t)
            said = found["synthetic_against_real"]
            assert said["standardised_difference"] == pytest.approx((c - b) / s, abs=1e-5)
            assert said["ratio_of_errors"] == pytest.approx(t / s, abs=1e-6)
            assert said["overlap"] == pytest.approx((shared / s + shared / t) / (4 * Z), abs=1e-5)
            missed.append(abs(c - b) / s)
    assert score.value == pytest.approx(np.mean(missed), abs=1e-5)
    assert score.details["coefficients"] == 4


def test_the_training_table_itself_misses_nothing() -> None:
    train = trial(200, 1)
    score = effect_estimates(train, trial(200, 2), train.sample(frac=1, random_state=0), SCHEMA, seed=0)
    assert score.value == pytest.approx(0, abs=1e-9)
    assert score.details["mean"] == pytest.approx(
        {"standardised_difference": 0, "ratio_of_errors": 1, "overlap": 1, "significance_agrees": 1}, abs=1e-9
    )


def test_an_effect_turned_round_is_found_and_other_patients_miss_as_much_as_theory_says() -> None:
    train, holdout = trial(2000, 1), trial(2000, 2)
    score = effect_estimates(train, holdout, trial(2000, 3, effect=-1.0), SCHEMA, seed=0)
    arm = coefficients(score, "score (linear)")["arm: true"]["synthetic_against_real"]
    # The effect is off by 2; the standard error of a difference of two arms; both estimates have one.
    assert arm["standardised_difference"] == pytest.approx(
        -2 / np.sqrt(1 / 800 + 1 / 1200), abs=4 * np.sqrt(2) + 2
    )
    assert arm["overlap"] < 0
    assert arm["significance_agrees"] is False
    assert score.low > score.reference
    references = [
        effect_estimates(trial(400, k), trial(400, 50 + k), trial(400, 99), SCHEMA, seed=0).reference
        for k in range(20)
    ]
    # |N(0, 2)| has the mean 2 / sqrt(pi) and the variance 2 - 4 / pi; 20 x 4 of them are about independent.
    assert np.mean(references) == pytest.approx(2 / np.sqrt(np.pi), abs=4 * np.sqrt((2 - 4 / np.pi) / 80))


def test_a_column_that_separates_the_outcome_is_counted_and_left_out() -> None:
    train, made = trial(200, 1), trial(200, 3)
    made["died"] = made["arm"]
    score = effect_estimates(train, trial(200, 2), made, SCHEMA, seed=0)
    found = coefficients(score, "died (logistic)")["arm: true"]
    assert found["synthetic"] == {"estimate": None, "error": None}
    assert score.details["not_estimable"] >= 1
    assert score.value is not None
