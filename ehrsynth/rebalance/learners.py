"""The two learners of the evaluation's protocol, which here also take weights.

Their settings are those of `ehrsynth.evaluation.protocol`: a study of rebalancing and an evaluation of
synthetic patients judge by the same models.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ehrsynth.evaluation.learners import Flags, LearnerName
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.randomness import small_seed
from ehrsynth.rebalance.plan import Plan, inputs, rows_of
from ehrsynth.schema import Schema
from ehrsynth.tables.origin import COLUMN

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Risks = Callable[[Matrix], Floats]
SURE = 1e-6


def learn(
    learner: LearnerName, table: Matrix, event: Mask, weights: Floats | None = None, *, seed: int
) -> Risks:
    """Learn the risk of an event.

    Parameters
    ----------
    table
        The predictors alone.
    weights
        One for each row, above or equal to 0; None: all alike.

    Returns
    -------
    function
        From the predictors of other rows to their risks. Where only one outcome occurs, its share is the
        risk of everybody.
    """
    if event.all() or not event.any() or not len(table.columns):
        share = float(np.average(event, weights=weights))
        return lambda rows: np.full(len(rows), share)
    return (
        _trees(table, event, weights, seed)
        if learner == "boosted_trees"
        else _logistic(table, event, weights)
    )


def _logistic(table: Matrix, event: Mask, weights: Floats | None) -> Risks:
    flags = Flags(table)
    model = linear(flags(table), event, weights)
    return lambda rows: np.asarray(model.predict_proba(flags(rows))[:, 1], np.float64)


def linear(features: Floats, event: Mask, weights: Floats | None = None) -> LogisticRegression:
    """Logistic regression with the protocol's penalty."""
    settings = protocol().logistic_regression
    model = LogisticRegression(C=settings.penalty, max_iter=settings.iterations, tol=1e-3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the protocol fixes the iterations
        model.fit(features, event, sample_weight=weights)
    return model


def _trees(table: Matrix, event: Mask, weights: Floats | None, seed: int) -> Risks:
    settings = protocol().boosted_trees
    data = lightgbm.Dataset(
        table.values,
        event.astype(np.float64),
        weight=weights,
        categorical_feature=np.flatnonzero(table.nominal).tolist(),
        free_raw_data=True,
    )
    parameters = {**settings.parameters, "objective": "binary", "seed": seed}
    booster = lightgbm.train(parameters, data, num_boost_round=settings.rounds)
    return lambda rows: np.asarray(booster.predict(rows.values), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """A predictor from a function of the predictors' columns."""

    plan: Plan
    schema: Schema
    function: Risks

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""
        return self.function(inputs(rows_of(table, self.plan, self.schema).matrix, self.plan))


def learn_table(
    table: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int, weights: Floats | None = None
) -> Learnt:
    """What the plan's learner learns from a table, synthetic rows included."""
    rows = rows_of(table.drop(columns=COLUMN) if COLUMN in table else table, plan, schema)
    small = small_seed(seed, "learner", plan.learner)
    return Learnt(
        plan, schema, learn(plan.learner, inputs(rows.matrix, plan), rows.event, weights, seed=small)
    )


def logit(risk: Floats) -> Floats:
    """The log odds of a risk, which is kept off 0 and 1."""
    kept = np.clip(risk, SURE, 1 - SURE)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def expit(log_odds: Floats) -> Floats:
    """The risk behind log odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -700, 700))))
