"""Intervals by name: of outcomes, of conditional effects, and bounds of what no data show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.schema import NumberColumn
from ehrsynth.twins.average import average, study_population
from ehrsynth.twins.conformal import Scores, number_interval, shares_of, value_set
from ehrsynth.twins.coupling import couple
from ehrsynth.twins.drawing import draw, quantiles
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.fitting import fit_crosswise
from ehrsynth.twins.model import TwinModel, moved, twin_model
from ehrsynth.twins.outcomes import outcome_of
from ehrsynth.twins.patients import Patients, covariates_of, patients_of
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.spread import fit_spread
from trials import TRIAL, TWO, Truth, trial

QUICK = Candidates(bases=("linear", "boosted"), crossed=(), robust=("linear",))


def model_of(made: Truth, outcome: str) -> tuple[Patients, TwinModel]:
    question = ask(Request(arms=TWO, outcomes=(outcome,), design="randomised"), TRIAL)
    patients = patients_of(made.table, question)
    fitted = fit_crosswise(patients, question, outcome, candidates=QUICK, seed=1)
    population = study_population(patients, fitted.said.chances, np.ones(len(patients), bool), "all")
    return patients, twin_model(fitted, patients, average(fitted, patients, population), population, seed=1)


@pytest.fixture(scope="module")
def made() -> Truth:
    return trial(500, 11, slope=2.0)


@pytest.fixture(scope="module")
def fresh() -> Truth:
    return trial(400, 12, slope=2.0)


@pytest.fixture(scope="module")
def score(made: Truth) -> tuple[Patients, TwinModel]:
    return model_of(made, "score")


def rows_of(model: TwinModel, truth: Truth):
    question = ask(Request(arms=TWO, outcomes=(model.outcome.name,)), TRIAL)
    return covariates_of(truth.table, question.covariate_schema)


# ---- outcomes ----


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.9]))
def test_one_fold_is_the_split_conformal_quantile(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    n = 50
    misfits = np.abs(rng.normal(size=n))
    scores = Scores(np.zeros(n, np.int64), misfits, misfits, np.full(n, 1 / n), float(n), None)
    low, high = number_interval(scores, np.zeros((1, 1)), np.ones((1, 1)), np.array([1 / n]), level=level)
    expected = np.sort(misfits)[int(np.ceil(level * (n + 1))) - 1]
    assert high[0] == pytest.approx(expected, abs=1e-6)
    assert low[0] == pytest.approx(-expected, abs=1e-6)


def test_too_few_scores_reach_everywhere() -> None:
    scores = Scores(np.zeros(3, np.int64), np.ones(3), np.ones(3), np.full(3, 1 / 3), 3.0, None)
    _, high = number_interval(scores, np.zeros((1, 1)), np.ones((1, 1)), np.array([1 / 3]), level=0.9)
    assert np.isinf(high[0])


def test_weights_move_the_quantile() -> None:
    misfits = np.array([1.0, 2.0, 3.0, 10.0])
    for weights, expected in (([0.97, 0.01, 0.01, 0.01], 1.0), ([0.01, 0.01, 0.01, 0.97], 10.0)):
        scores = Scores(np.zeros(4, np.int64), misfits, misfits, np.array(weights), 4.0, None)
        high = number_interval(scores, np.zeros((1, 1)), np.ones((1, 1)), np.array([0.0]), level=0.9)[1]
        assert high[0] == pytest.approx(expected, abs=1e-6)


def test_predictive_intervals_hold_outcomes_of_patients_not_seen(
    score: tuple[Patients, TwinModel], fresh: Truth
) -> None:
    _, model = score
    said = model.predict(rows_of(model, fresh), level=0.9)
    rng = np.random.default_rng(0)
    for arm in (0, 1):
        came = fresh.means[:, arm] + rng.normal(0, 2, len(fresh.means))
        held = (said.outcomes.low[:, arm] <= came) & (came <= said.outcomes.high[:, arm])
        assert 0.84 <= held.mean() <= 0.97
    gap = fresh.means[:, 1] - fresh.means[:, 0] + rng.normal(0, 2, 400) - rng.normal(0, 2, 400)
    held = (said.contrasts.low[:, 0] <= gap) & (gap <= said.contrasts.high[:, 0])
    assert held.mean() >= 0.9


def test_sets_of_listed_values_hold_them(made: Truth, fresh: Truth) -> None:
    _, model = model_of(made, "stage")
    said = model.predict(rows_of(model, fresh), level=0.9)
    assert said.sets is not None
    came = fresh.table["stage"].cat.codes.to_numpy()
    arm = fresh.table["drug"].cat.codes.to_numpy()
    held = said.sets[np.arange(400), arm, came]
    assert 0.84 <= held.mean() <= 0.98
    assert said.sets.any(axis=2).all()
    assert said.sets.sum(axis=2).mean() < 2.9
    assert (said.outcomes.low <= said.outcomes.high).all()


def test_the_likeliest_value_is_always_in_the_set() -> None:
    scores = Scores(np.zeros(20, np.int64), np.zeros(20), np.zeros(20), np.full(20, 0.05), 20.0, None)
    found = value_set(scores, np.array([[[0.4, 0.35, 0.25]]]), np.array([0.05]), 0.5)
    assert found[0].tolist() == [True, False, False]


def test_shares_are_tilted_to_the_mean() -> None:
    outcome = outcome_of("stage", TRIAL)
    shapes = np.random.default_rng(0).dirichlet([2, 2, 2], (30, 2))
    means = np.random.default_rng(1).uniform(0.2, 1.8, (30, 2))
    found = shares_of(means, shapes, outcome)
    np.testing.assert_allclose(found @ [0, 1, 2], means, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=2), 1)
    same = shares_of(shapes @ [0, 1, 2], shapes, outcome)
    np.testing.assert_allclose(same, shapes, atol=1e-5)


def test_spread_is_learnt_where_it_differs_and_not_where_it_does_not() -> None:
    rng = np.random.default_rng(3)
    columns = tuple(NumberColumn(name=f"x{k}", minimum=-9, maximum=9, decimals=6) for k in range(2))
    x = Matrix(columns, rng.normal(size=(800, 2)))
    fold = np.arange(800) % 5
    wide = np.exp(0.8 * x.values[:, 0])
    found = fit_spread(x, wide * rng.normal(size=800), fold, 5, seed=1)
    assert found is not None
    assert np.corrcoef(np.log(found[0](x)), x.values[:, 0])[0, 1] > 0.9
    assert fit_spread(x, np.ones(800), fold, 5, seed=1) is None
    assert fit_spread(x, rng.normal(size=800)[:50], fold[:50], 5, seed=1) is None


# ---- effects ----


def test_intervals_of_conditional_effects_hold_them(score: tuple[Patients, TwinModel], fresh: Truth) -> None:
    _, model = score
    said = model.predict(rows_of(model, fresh), level=0.9)
    true = fresh.means[:, 1] - fresh.means[:, 0]
    held = (said.effect_interval.low[:, 0] <= true) & (true <= said.effect_interval.high[:, 0])
    assert 0.7 <= held.mean() <= 1.0
    width = said.effect_interval.high - said.effect_interval.low
    assert width.mean() < 3 * true.std()
    np.testing.assert_allclose(said.means[:, 1] - said.means[:, 0], said.effects[:, 0])


def test_means_are_levelled_to_the_doubly_robust_average(score: tuple[Patients, TwinModel]) -> None:
    patients, model = score
    population = study_population(patients, model.fitted.said.chances, np.ones(500, bool), "all")
    wanted = average(model.fitted, patients, population).means
    said = model.predict(patients.covariates, level=0.9, study=True)
    np.testing.assert_allclose(said.means.mean(axis=0), wanted, atol=1e-6)


@pytest.mark.parametrize("outcome", ["poor", "stage"])
def test_levelled_shares_stay_within_their_bounds(made: Truth, outcome: str) -> None:
    found = outcome_of(outcome, TRIAL)
    top = len(found.levels) - 1
    means = np.linspace(0, top, 9)[:, None] * np.ones((1, 2))
    for shift in (-3.0, 0.0, 3.0):
        shifted = moved(means, np.array([shift, shift]), found)
        assert ((shifted > 0) & (shifted < top)).all()
        assert (np.sign(shifted[4] - means[4]) == np.sign(shift)).all()


# ---- draws ----


def test_draws_have_the_means_and_the_grid_and_arms_are_drawn_apart(
    score: tuple[Patients, TwinModel], fresh: Truth
) -> None:
    _, model = score
    said = model.predict(rows_of(model, fresh), level=0.9)
    drawn = draw(model, said, 200, seed=3)
    assert drawn.shape == (400, 2, 200)
    assert np.abs(drawn.mean(axis=2) - said.means).mean() < 0.4
    np.testing.assert_allclose(drawn, np.round(drawn, 2), atol=1e-9)
    apart = (drawn - drawn.mean(axis=2, keepdims=True)).transpose(1, 0, 2).reshape(2, -1)
    assert abs(np.corrcoef(apart)[0, 1]) < 0.02
    np.testing.assert_array_equal(drawn, draw(model, said, 200, seed=3))
    assert (drawn != draw(model, said, 200, seed=4)).any()


def test_draws_of_listed_values_come_by_their_chance(made: Truth, fresh: Truth) -> None:
    _, model = model_of(made, "poor")
    said = model.predict(rows_of(model, fresh), level=0.9)
    drawn = draw(model, said, 300, seed=1)
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert np.abs(drawn.mean(axis=2) - said.means).max() < 0.15


# ---- the coupling ----


def test_bounds_of_two_shares_are_those_of_frechet_and_hoeffding() -> None:
    steps = (np.arange(200) + 0.5) / 200
    p0, p1 = 0.3, 0.45
    found = np.stack([(steps > 1 - p0), (steps > 1 - p1)]).astype(float)[None, None]
    bounds = couple(np.repeat(found, 2, axis=0), 1, 0.9)
    assert bounds.higher.low == pytest.approx(0.15, abs=0.01)
    assert bounds.higher.high == pytest.approx(0.45, abs=0.01)
    assert bounds.lower.low == pytest.approx(0.0, abs=0.01)
    assert bounds.lower.high == pytest.approx(0.3, abs=0.01)
    # Variance of Y1 - Y0: the covariance is between max(p0 + p1 - 1, 0) - p0 p1 and min(p0, p1) - p0 p1.
    alone = p0 * (1 - p0) + p1 * (1 - p1)
    assert bounds.spread.low == pytest.approx(np.sqrt(alone - 2 * (p0 - p0 * p1)), abs=0.01)
    assert bounds.spread.high == pytest.approx(np.sqrt(alone + 2 * p0 * p1), abs=0.01)
    assert bounds.beyond == ()


@given(st.integers(0, 10_000), st.floats(-0.95, 0.95))
def test_every_coupling_lies_within_the_bounds(seed: int, correlation: float) -> None:
    rng = np.random.default_rng(seed)
    shift, width = rng.normal(), rng.uniform(0.5, 2)
    steps = (np.arange(200) + 0.5) / 200
    from scipy.stats import norm

    z = norm.ppf(steps)
    found = np.stack([z, shift + width * z])[None, None]
    bounds = couple(np.repeat(found, 2, axis=0), 1, 0.9, residuals=10_000)
    a, b = rng.normal(size=(2, 20_000))
    gap = shift + width * (correlation * a + np.sqrt(1 - correlation**2) * b) - a
    assert bounds.higher.low - 0.03 <= (gap > 0).mean() <= bounds.higher.high + 0.03
    assert bounds.spread.low - 0.05 <= gap.std() <= bounds.spread.high + 0.05
    for threshold, one in bounds.beyond:
        assert one.low - 0.03 <= (gap > threshold).mean() <= one.high + 0.03
        assert one.outer_low <= one.low <= one.high <= one.outer_high


def test_quantiles_rise_and_follow_the_arm(score: tuple[Patients, TwinModel], fresh: Truth) -> None:
    _, model = score
    found = quantiles(model, rows_of(model, fresh))
    assert found.shape == (5, 400, 2, 200)
    assert (np.diff(found, axis=3) >= 0).all()
    assert (found[:, :, 1].mean() - found[:, :, 0].mean()) == pytest.approx(2.0, abs=0.7)
