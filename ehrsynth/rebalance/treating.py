"""From a method's name to a treatment, and from a treatment to what has learnt from it."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.rebalance.base import Predictor, Treatment
from ehrsynth.rebalance.learners import learn_table
from ehrsynth.rebalance.plan import Plan, Population, Rows, rows_of
from ehrsynth.rebalance.targets import raked_weights
from ehrsynth.schema import Schema
from ehrsynth.tables.origin import COLUMN

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def treat(text: str, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
    """Treat the patients to learn from with a method, by its name and settings.

    For a target population the rows of whatever table comes out are weighed once more, so that every margin
    is met, also those that are no groups.

    Raises
    ------
    RequestError
        If the method is not known or does not fit the plan.
    NotEnoughData, Refused
        If it finds too few patients, or no valid rows.
    """
    from ehrsynth.rebalance.methods import method  # it knows the methods, and some of them this module

    treatment = method(text)(train, plan, schema, seed=seed)
    if treatment.table is None or treatment.weights is not None or not isinstance(plan.goal, Population):
        return treatment
    rows = rows_of(treatment.table.drop(columns=COLUMN), plan, schema)
    return replace(treatment, weights=raked_weights(rows, plan, schema).weights)


def learnt_from(
    treatment: Treatment, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int
) -> Predictor:
    """A treatment's own predictor, or what the plan's learner learns from its table and weights."""
    if treatment.predictor is not None:
        return treatment.predictor
    table = train if treatment.table is None else treatment.table
    return learn_table(table, plan, schema, seed=seed, weights=treatment.weights)


def predictor_of(text: str, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Predictor:
    """What has learnt from the training patients after a method treated them."""
    return learnt_from(treat(text, train, plan, schema, seed=seed), train, plan, schema, seed=seed)


def cross_fitted(
    text: str, train: pd.DataFrame, plan: Plan, schema: Schema, *, folds: int, seed: int
) -> Floats:
    """Each training patient's risk by a model, treated by a method, that has not seen this patient."""
    fold = inner_folds(rows_of(train, plan, schema), folds, seed)
    risks = np.empty(len(train))
    for number in range(folds):
        test = fold == number
        if test.any():
            part = train[~test].reset_index(drop=True)
            small = derived_seed(seed, "cross-fitting", str(number))
            risks[test] = predictor_of(text, part, plan, schema, seed=small).risks(train[test])
    return risks


def inner_folds(rows: Rows, folds: int, seed: int) -> Whole:
    """A fold for each training patient, each group and outcome spread evenly over them."""
    found = np.empty(len(rows), np.int64)
    stratum = 2 * rows.group + rows.event
    for one in np.unique(stratum):
        places = np.flatnonzero(stratum == one)
        rng = numpy_generator(seed, "inner folds", str(one))
        found[rng.permutation(places)] = (np.arange(len(places)) + rng.integers(folds)) % folds
    return found
