"""Average effects against truth: bias, errors, estimands, sites, and that twins add no patients."""

import numpy as np
import pytest

from ehrsynth.twins.average import (
    average,
    density_ratio,
    plain_means,
    study_population,
    unadjusted,
    within,
)
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.fitting import Crosswise, fit_crosswise
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.populations import Outsiders, Populations
from ehrsynth.twins.question import Estimand, Request, ask
from ehrsynth.twins.sensitivity import e_value, e_value_of
from trials import TRIAL, TWO, trial

LINEAR = Candidates(bases=("linear",), crossed=(), robust=())
QUESTION = ask(Request(arms=TWO, outcomes=("score",)), TRIAL)
TRIALS = ask(Request(arms=TWO, outcomes=("score",), design="randomised"), TRIAL)


def fitted(n: int, seed: int, **how: float) -> tuple[Patients, Crosswise, np.ndarray]:
    made = trial(n, seed, **how)  # type: ignore[arg-type]
    patients = patients_of(made.table, QUESTION if how.get("confounding") else TRIALS)
    question = QUESTION if how.get("confounding") else TRIALS
    return patients, fit_crosswise(patients, question, "score", candidates=LINEAR, seed=1), made.means


def everyone(patients: Patients, found: Crosswise, estimand: Estimand = "all"):
    return study_population(patients, found.said.chances, np.ones(len(patients), bool), estimand)


def test_confounding_is_removed_and_the_interval_covers() -> None:
    covered, errors, naive, told = [], [], [], []
    for seed in range(12):
        patients, found, means = fitted(300, seed, confounding=0.8, slope=1.0)
        effect = average(found, patients, everyone(patients, found)).contrast(1, 0.9)
        true = float((means[:, 1] - means[:, 0]).mean())
        covered.append(effect.low <= true <= effect.high)
        errors.append(effect.value - true)
        told.append(effect.error)
        naive.append(unadjusted(found, patients, np.ones(len(patients), bool)).contrast(1, 0.9).value - true)
    assert np.mean(naive) > 1.0
    assert abs(np.mean(errors)) < 0.3
    assert np.mean(covered) >= 0.7
    assert 0.6 < np.mean(told) / np.std(errors) < 1.8


def test_estimands_differ_where_effects_and_chances_do() -> None:
    patients, found, means = fitted(1_500, 3, confounding=1.0, slope=2.0)
    gain = means[:, 1] - means[:, 0]
    for estimand, rows in (("treated", patients.arm == 1), ("untreated", patients.arm == 0)):
        effect = average(found, patients, everyone(patients, found, estimand)).contrast(1, 0.9)  # type: ignore[arg-type]
        assert effect.value == pytest.approx(float(gain[rows].mean()), abs=0.5)


def test_a_group_is_averaged_over_itself() -> None:
    patients, found, means = fitted(1_500, 4, slope=2.0)
    place = patients.covariates.place("age")
    old = patients.covariates.values[:, place] > 70
    effect = average(found, patients, within(everyone(patients, found), old)).contrast(1, 0.9)
    assert effect.value == pytest.approx(float((means[old, 1] - means[old, 0]).mean()), abs=0.6)


def test_patients_of_another_table_are_weighted_for() -> None:
    patients, found, _ = fitted(1_500, 5, slope=2.0)
    other = trial(800, 6, slope=2.0)
    kept = other.part(np.flatnonzero(other.table["age"].to_numpy() > 70))
    target = Outsiders(patients_of(kept.table, QUESTION).covariates, synthetic=False)
    populations = Populations(patients, TRIALS, np.ones(len(patients), bool), target, 1)
    effect = average(found, patients, populations.of(found, 1)).contrast(1, 0.9)
    assert effect.value == pytest.approx(float((kept.means[:, 1] - kept.means[:, 0]).mean()), abs=0.6)


def test_synthetic_patients_add_nothing_to_the_interval() -> None:
    patients, found, _ = fitted(400, 7, slope=1.0)
    errors = []
    for times in (1, 30):
        rows = patients.covariates.rows(np.tile(np.arange(400), times))
        populations = Populations(patients, TRIALS, np.ones(400, bool), Outsiders(rows, synthetic=True), 1)
        errors.append(average(found, patients, populations.of(found, 1)).contrast(1, 0.9).error)
    assert errors[1] >= 0.99 * errors[0]


def test_sites_that_differ_widen_the_error_of_a_level() -> None:
    patients, found, _ = fitted(600, 8)
    rng = np.random.default_rng(0)
    values = found.target.values + rng.normal(0, 5, 400)[patients.site]
    alone = plain_means(patients, values, np.ones(600), 2)
    from dataclasses import replace

    blind = plain_means(replace(patients, site=None), values, np.ones(600), 2)
    assert alone.arm(0, 0.9).error > 1.5 * blind.arm(0, 0.9).error
    assert alone.freedom == len(np.unique(patients.site)) - 1


def test_the_plain_means_are_those_of_the_arms() -> None:
    patients, found, _ = fitted(300, 9)
    seen = unadjusted(found, patients, np.ones(300, bool))
    for arm in (0, 1):
        mine = found.target.values[patients.arm == arm]
        assert seen.arm(arm, 0.95).value == pytest.approx(mine.mean())
    gap = seen.contrast(1, 0.95)
    from scipy.stats import ttest_ind

    theirs = ttest_ind(
        found.target.values[patients.arm == 1], found.target.values[patients.arm == 0], equal_var=False
    )
    blind = plain_means(
        Patients(patients.covariates, patients.arm, None, {}, patients.rows, {}),
        found.target.values,
        np.ones(300),
        2,
    ).contrast(1, 0.95)
    assert blind.value / blind.error == pytest.approx(theirs.statistic, rel=0.02)
    assert gap.value == pytest.approx(blind.value)


def test_an_arm_with_nobody_has_no_mean_and_no_difference() -> None:
    patients, found, _ = fitted(300, 9)
    seen = plain_means(patients, found.target.values, np.ones(300), 3)
    assert np.isnan(seen.contrast(2, 0.9).value)
    assert np.isnan(seen.contrast(2, 0.9).p_value)
    both = plain_means(patients, found.target.values, np.ones(300), 2)
    assert seen.contrast(1, 0.9).value == pytest.approx(both.contrast(1, 0.9).value)


def test_fifty_synthetic_patients_are_no_five_thousand() -> None:
    patients, found, _ = fitted(300, 9)
    for rows, synthetic, independent in ((50, True, 50), (900, True, 300), (900, False, 900)):
        other = patients.covariates.rows(np.arange(rows) % 300)
        population = Populations(patients, TRIALS, np.ones(300, bool), Outsiders(other, synthetic), 1)
        assert population.of(found, 1).independent == independent


def test_patients_of_another_table_outside_support_are_left_out_of_the_average() -> None:
    patients, found, _ = fitted(300, 9, slope=2.0)
    far = np.arange(300) < 100
    whole = Outsiders(patients.covariates, synthetic=False, outside=far)
    rest = Outsiders(patients.covariates.rows(~far), synthetic=False)
    values = [
        average(found, patients, Populations(patients, TRIALS, ~far, one, 1).of(found, 1)).means
        for one in (whole, rest)
    ]
    np.testing.assert_allclose(values[0], values[1])


def test_the_density_ratio_of_the_same_patients_is_one() -> None:
    patients, _, _ = fitted(500, 10)
    same = density_ratio(patients.covariates, patients.covariates, seed=1)
    assert np.median(same) == pytest.approx(1.0, abs=0.15)


def test_e_values_of_the_paper() -> None:
    # VanderWeele and Ding 2017: a risk ratio of 3.9 (1.8 to 8.7) has 7.26 and 3.0.
    assert e_value_of(3.9) == pytest.approx(7.26, abs=0.01)
    assert e_value_of(1.8) == pytest.approx(3.0, abs=0.01)
    assert e_value_of(1 / 3.9) == pytest.approx(7.26, abs=0.01)


def test_an_interval_that_holds_no_effect_has_the_limit_one() -> None:
    patients, found, _ = fitted(400, 11, effect=0.0)
    mean = average(found, patients, everyone(patients, found))
    value = e_value(mean, 1, 0.9, event=False, spread=float(found.target.values.std()))
    assert value is not None
    assert not value.exact
    assert (value.limit == 1.0) == (value.low <= 1 <= value.high)
    assert e_value(mean, 1, 0.9, event=False, spread=0.0) is None
