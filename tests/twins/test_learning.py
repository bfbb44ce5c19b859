"""Learners, convex combinations and crosswise fits: known answers, and no look at the own outcome."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import Refused
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.schema import NumberColumn
from ehrsynth.twins.effects import CONSTANT, Candidates
from ehrsynth.twins.fitting import fit_crosswise
from ehrsynth.twins.gaussian_process import fit_gaussian_process
from ehrsynth.twins.learners import Task, learn, learn_classes
from ehrsynth.twins.patients import covariates_of, patients_of
from ehrsynth.twins.propensity import lowest_chance
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.stacking import convex
from trials import TRIAL, TWO, Truth, trial

QUICK = Candidates(bases=("linear", "boosted"), crossed=("linear",), robust=("linear",))
QUESTION = ask(Request(arms=TWO, outcomes=("score",)), TRIAL)


def rows(values: np.ndarray) -> Matrix:
    columns = [NumberColumn(name=f"x{k}", minimum=-9, maximum=9, decimals=6) for k in range(values.shape[1])]
    return Matrix(tuple(columns), values)


def test_a_gaussian_process_follows_a_wave_and_goes_back_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (150, 1))
    predict = fit_gaussian_process(x, np.sin(2 * x[:, 0]) + 0.05 * rng.normal(size=150), np.ones(150), rng)
    at = np.linspace(-1.8, 1.8, 30)[:, None]
    assert np.abs(predict(at) - np.sin(2 * at[:, 0])).max() < 0.15


def test_the_gradient_of_the_gaussian_process_is_right() -> None:
    from ehrsynth.twins import gaussian_process

    seen = {}

    def spy(loss, start, **rest):
        seen["loss"] = loss
        return type("Found", (), {"x": start})

    original, gaussian_process.minimize = gaussian_process.minimize, spy
    try:
        rng = np.random.default_rng(1)
        gaussian_process._tuned(rng.normal(size=(20, 3)), rng.normal(size=20), np.ones(20))
    finally:
        gaussian_process.minimize = original
    at, step = np.array([0.1, -0.4, 0.3, -0.7]), 1e-5
    gradient = seen["loss"](at)[1]
    for k in range(4):
        up, down = at.copy(), at.copy()
        up[k] += step
        down[k] -= step
        numeric = (seen["loss"](up)[0] - seen["loss"](down)[0]) / (2 * step)
        assert gradient[k] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["linear", "boosted", "gaussian_process"])
def test_learners_tell_a_line_and_a_chance(name: str) -> None:
    rng = np.random.default_rng(2)
    x = rows(rng.normal(size=(300, 3)))
    line = 1 + 2 * x.values[:, 0]
    said = learn(name, Task(x, line + 0.1 * rng.normal(size=300), np.ones(300), 0))(x)  # type: ignore[arg-type]
    assert np.corrcoef(said, line)[0, 1] > 0.97
    came = (rng.random(300) < 1 / (1 + np.exp(-3 * x.values[:, 0]))).astype(float)
    chance = learn(name, Task(x, came, np.ones(300), 0))(x)  # type: ignore[arg-type]
    assert ((chance >= 0) & (chance <= 1)).all()
    assert np.corrcoef(chance, x.values[:, 0])[0, 1] > 0.7


def test_nothing_to_learn_is_the_mean() -> None:
    x = rows(np.zeros((5, 2)))
    assert learn("linear", Task(x, np.full(5, 3.0), np.ones(5), 0))(x).tolist() == [3.0] * 5
    assert learn_classes("linear", x, np.ones(5, np.int64), 3, seed=0)(x).tolist() == [[0, 1, 0]] * 5


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_convex_weights_sum_to_one_and_never_lose_to_a_candidate(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, candidates = rng.normal(size=40), rng.normal(size=(40, count)) * rng.uniform(0, 5)
    weights = rng.uniform(0.1, 2, 40)
    found = convex(candidates, wanted, weights)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1)
    loss = np.average((wanted - candidates @ found) ** 2, weights=weights)
    assert loss <= np.average((wanted[:, None] - candidates) ** 2, axis=0, weights=weights).min() * (1 + 1e-3)


def test_convex_finds_a_known_mixture() -> None:
    rng = np.random.default_rng(3)
    candidates = rng.normal(size=(500, 3))
    found = convex(candidates, candidates @ [0.7, 0.0, 0.3], np.ones(500))
    np.testing.assert_allclose(found, [0.7, 0, 0.3], atol=1e-3)


def test_the_lowest_chance_is_between_its_ends() -> None:
    assert lowest_chance(50) == 0.05
    assert lowest_chance(10**6) == 0.01
    assert lowest_chance(500) > lowest_chance(2_000)


@pytest.fixture(scope="module")
def made() -> Truth:
    return trial(500, 4, slope=2.0, confounding=0.5, arms=2)


def test_effects_are_learnt_and_combined(made: Truth) -> None:
    fitted = fit_crosswise(patients_of(made.table, QUESTION), QUESTION, "score", candidates=QUICK, seed=1)
    true = made.means[:, 1] - made.means[:, 0]
    assert np.corrcoef(fitted.said.effects[:, 0], true)[0, 1] > 0.9
    assert np.sqrt(np.mean((fitted.said.effects[:, 0] - true) ** 2)) < 0.7 * true.std()
    np.testing.assert_allclose(fitted.said.means[:, 1] - fitted.said.means[:, 0], fitted.said.effects[:, 0])
    np.testing.assert_allclose(fitted.said.chances.sum(axis=1), 1)
    assert np.corrcoef(fitted.said.chances[:, 1], made.chances[:, 1])[0, 1] > 0.8
    for shares in (fitted.shares.chances, *fitted.shares.means, fitted.shares.effects):
        assert shares.sum() == pytest.approx(1)


def test_each_candidate_alone_tells_the_effect(made: Truth) -> None:
    fitted = fit_crosswise(patients_of(made.table, QUESTION), QUESTION, "score", candidates=QUICK, seed=1)
    true = made.means[:, 1] - made.means[:, 0]
    for place, name in enumerate(fitted.names):
        said = fitted.unseen.effects[:, place, 0]
        error = np.sqrt(np.mean((said - true) ** 2))
        assert error < (1.25 if name == CONSTANT else 0.95) * true.std(), name


def test_nothing_said_of_a_patient_depends_on_the_own_outcome(made: Truth) -> None:
    patients = patients_of(made.table, QUESTION)
    before = fit_crosswise(patients, QUESTION, "score", candidates=QUICK, seed=1)
    fold = before.unseen.fold == 2
    values = patients.targets["score"].values.copy()
    values[fold] += 50.0
    targets = {"score": replace(patients.targets["score"], values=values)}
    after = fit_crosswise(replace(patients, targets=targets), QUESTION, "score", candidates=QUICK, seed=1)
    np.testing.assert_array_equal(before.unseen.fold, after.unseen.fold)
    np.testing.assert_array_equal(before.unseen.effects[fold], after.unseen.effects[fold])
    np.testing.assert_array_equal(before.unseen.means[fold], after.unseen.means[fold])
    assert (before.unseen.means[~fold] != after.unseen.means[~fold]).any()


def test_equal_seeds_give_equal_models(made: Truth) -> None:
    patients = patients_of(made.table.head(200), QUESTION)
    one, other = (fit_crosswise(patients, QUESTION, "score", candidates=QUICK, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.said.means, other.said.means)


@pytest.mark.parametrize("outcome", ["score", "poor", "stage"])
def test_a_generator_that_completes_is_a_candidate(made: Truth, outcome: str) -> None:
    from ehrsynth.generators.recipes import recipe

    question = ask(Request(arms=TWO, outcomes=(outcome,)), TRIAL)
    only = Candidates(("linear",), (), (), {"autoregressive": recipe("autoregressive", {"rounds": 20})})
    patients = patients_of(made.table.head(300), question)
    fitted = fit_crosswise(patients, question, outcome, candidates=only, seed=1, folds=2)
    assert "T autoregressive" in fitted.names
    place = fitted.names.index("T autoregressive")
    said = fitted.unseen.means[:, place]
    known = patients.targets[outcome].weights > 0
    own = said[np.arange(len(said)), patients.arm]
    assert np.corrcoef(own[known], patients.targets[outcome].values[known])[0, 1] > 0.25
    new = fitted.by_fold(covariates_of(made.table.tail(20), question.covariate_schema))
    assert len(new) == 2
    assert all(np.isfinite(said.means).all() for said in new)


def test_an_arm_of_the_ordinal_outcome_has_shares(made: Truth) -> None:
    question = ask(Request(arms=TWO, outcomes=("stage",)), TRIAL)
    fitted = fit_crosswise(patients_of(made.table, question), question, "stage", candidates=QUICK, seed=1)
    assert fitted.said.shapes is not None
    np.testing.assert_allclose(fitted.said.shapes.sum(axis=2), 1, atol=1e-9)
    assert ((fitted.said.means >= 0) & (fitted.said.means <= 2)).all()


def test_three_arms_have_two_effects() -> None:
    question = ask(Request(outcomes=("score",)), TRIAL)
    made = trial(450, 6, arms=3, effect=2.0)
    fitted = fit_crosswise(patients_of(made.table, question), question, "score", candidates=QUICK, seed=1)
    assert fitted.said.effects.shape == (450, 2)
    np.testing.assert_allclose(fitted.said.effects.mean(axis=0), [2, 4], atol=0.7)


def test_an_outcome_that_an_arm_does_not_have_is_refused(made: Truth) -> None:
    table = made.table.copy()
    table["poor"] = table["poor"].mask((table["drug"] == "low").to_numpy())
    question = ask(Request(arms=TWO, outcomes=("poor",)), TRIAL)
    with pytest.raises(Refused, match="0 patients of arm 'low'"):
        fit_crosswise(patients_of(table, question), question, "poor", candidates=QUICK, seed=1)
