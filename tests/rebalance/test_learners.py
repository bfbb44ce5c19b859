"""The learners with weights."""

import numpy as np
import pytest

from ehrsynth.evaluation.learners import fit_classes
from ehrsynth.rebalance.learners import expit, learn, learn_table, logit
from ehrsynth.rebalance.plan import inputs, rows_of
from minority import NUMBERS, numbers, plan_of_numbers

TABLE = numbers(250, 50, seed=3)
PLAN = plan_of_numbers(TABLE)
ROWS = rows_of(TABLE, PLAN, NUMBERS)
KNOWN = inputs(ROWS.matrix, PLAN)


@pytest.mark.parametrize("learner", ["logistic_regression", "boosted_trees"])
def test_without_weights_it_is_the_evaluations_learner(learner: str) -> None:
    ours = learn(learner, KNOWN, ROWS.event, seed=4)(KNOWN)
    theirs = fit_classes(learner, KNOWN, ROWS.event.astype(np.int64), 2, seed=4).predict(KNOWN)[:, 1]
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_a_weight_of_two_is_the_patient_twice() -> None:
    """But for where numbers are centred: the penalty sees another intercept, hardly another slope."""
    twice = np.concatenate([np.arange(len(ROWS)), np.flatnonzero(ROWS.group == 1)])
    repeated = learn("logistic_regression", KNOWN.rows(twice), ROWS.event[twice], seed=1)(KNOWN)
    weighed = learn("logistic_regression", KNOWN, ROWS.event, 1.0 + (ROWS.group == 1), seed=1)(KNOWN)
    assert weighed == pytest.approx(repeated, abs=0.01)


@pytest.mark.parametrize("learner", ["logistic_regression", "boosted_trees"])
def test_weights_count(learner: str) -> None:
    plain = learn(learner, KNOWN, ROWS.event, seed=1)(KNOWN)
    heavy = learn(learner, KNOWN, ROWS.event, np.where(ROWS.event, 5.0, 1.0), seed=1)(KNOWN)
    assert heavy.mean() > plain.mean() + 0.05


def test_a_single_outcome_is_everybodys_risk() -> None:
    everybody = np.ones(len(ROWS), bool)
    assert learn("logistic_regression", KNOWN, everybody, seed=1)(KNOWN).tolist() == [1.0] * len(ROWS)


def test_the_group_predicts_only_where_it_is_a_predictor() -> None:
    predictor = learn_table(TABLE, PLAN, NUMBERS, seed=1)
    moved = TABLE.assign(
        group=TABLE["group"].cat.rename_categories({"a": "b", "b": "a"}).cat.set_categories(["a", "b"])
    )
    assert np.array_equal(predictor.risks(TABLE), predictor.risks(moved))


def test_log_odds_and_back() -> None:
    risk = np.array([1e-5, 0.2, 0.5, 0.999])
    assert expit(logit(risk)) == pytest.approx(risk)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
