"""The project's own generators as outcome models: the outcome completed, given covariates and arm.

A generator that knows the density of a patient learns covariates, arm and outcome as one table. Where the
outcome has few values, the probability of each follows from the density of the row with that value in it;
otherwise it is drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.density import AbstractDensity, knows_density
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.schema import BooleanColumn, CategoryColumn, IdentifierColumn, LearntColumn, Schema
from ehrsynth.tables.values import from_values, to_values
from ehrsynth.twins.outcomes import Outcome

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

FEW_LEVELS = 12
_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Completing:
    """How an outcome is written into a table that a generator learns: covariates, `arm`, `outcome`."""

    schema: Schema
    arm: str
    outcome: str
    levels: int


def completing(covariates: Schema, arms: int, outcome: Outcome, original: Schema) -> Completing:
    """The table's schema; an outcome of its own column keeps that column's bounds and values."""
    arm, name = _free("arm", covariates), _free("outcome", covariates)
    roles: tuple[str, ...] = ("outcome",)
    column: LearntColumn
    if outcome.kind in {"binary", "horizon"}:
        column = BooleanColumn(name=name, roles=roles)
    elif outcome.kind == "ordinal":
        column = CategoryColumn(name=name, values=outcome.levels, ordered=True, roles=roles)
    else:
        found = original.column(outcome.columns[0])
        assert not isinstance(found, IdentifierColumn)  # noqa: S101 - an outcome is learnt
        update = {"name": name, "roles": roles, "missing": False, "missing_codes": ()}
        column = found.model_copy(update=update)
    treatment = CategoryColumn(name=arm, values=tuple(map(str, range(arms))), roles=("treatment",))
    columns = (*covariates.columns, treatment, column)
    citation = covariates.citation or "within this study"
    schema = covariates.changed(columns=columns, left_out=(), citation=citation)
    return Completing(schema, arm, name, len(outcome.levels))


def _free(name: str, schema: Schema) -> str:
    while name in schema.names:
        name += "_"
    return name


def fit_completion(  # noqa: PLR0913 - a table, an outcome and who learns it
    recipe: AbstractGenerator,
    form: Completing,
    rows: Matrix,
    *,
    arm: Whole,
    values: Floats,
    weights: Floats,
    seed: int,
) -> Callable[[Matrix, int], Floats]:
    """Fit, and give for any rows and an arm the probability of each value, or the mean of a number (n x 1).

    Patients who stand for several are learnt from as often, by a systematic draw.
    """
    picked = _stood_for(weights, numpy_generator(seed, "completion"))
    table = _table(form, rows.rows(picked), arm[picked], values[picked])
    fitted = knows_density(recipe.fit(table, form.schema, seed=derived_seed(seed, "completion")))

    def predict(others: Matrix, one: int) -> Floats:
        arms = np.full(len(others), one)
        number = derived_seed(seed, "complete", str(one))
        if not form.levels or form.levels > FEW_LEVELS:
            drawn = _drawn(fitted, form, others, arms, number)
            if not form.levels:
                return np.asarray(drawn.mean(axis=1, keepdims=True))
            return _frequencies(drawn, form.levels)
        found, known = _probabilities(fitted, form, others, arms)
        if not known.all():
            # Covariates that the model gives no chance at all tell nothing of the outcome by their density.
            found[~known] = _frequencies(
                _drawn(fitted, form, others.rows(~known), arms[~known], number), form.levels
            )
        return found

    return predict


def _stood_for(weights: Floats, rng: np.random.Generator) -> Whole:
    """Rows as often as they stand for patients, as many in all as there are rows."""
    if np.ptp(weights) == 0:
        return np.arange(len(weights))
    steps = np.cumsum(weights) / weights.sum() * len(weights)
    return np.minimum(np.searchsorted(steps, np.arange(len(weights)) + rng.random()), len(weights) - 1)


def _table(form: Completing, rows: Matrix, arm: Whole, values: Floats) -> pd.DataFrame:
    known = dict(zip(rows.names, rows.values.T, strict=True))
    return from_values({**known, form.arm: arm.astype(np.float64), form.outcome: values}, form.schema)


def _drawn(fitted: AbstractDensity, form: Completing, rows: Matrix, arm: Whole, seed: int) -> Floats:
    """Outcomes drawn for each row, n x draws."""
    unknown = _table(form, rows, arm, np.full(len(rows), np.nan))
    found = fitted.complete(unknown, draws=_DRAWS, seed=seed)
    alone = form.schema.subset((form.outcome,))
    return np.asarray(to_values(found.table, alone)[form.outcome].reshape(len(rows), _DRAWS))


def _frequencies(drawn: Floats, levels: int) -> Floats:
    return np.stack([(drawn == level).mean(axis=1) for level in range(levels)], axis=1)


def _probabilities(
    fitted: AbstractDensity, form: Completing, rows: Matrix, arm: Whole
) -> tuple[Floats, NDArray[np.bool_]]:
    """The chance of each value from the density of the row with it, and where that density is above 0."""
    logs = np.stack(
        [
            fitted.log_prob(_table(form, rows, arm, np.full(len(rows), float(level))))
            for level in range(form.levels)
        ],
        axis=1,
    )
    known = np.isfinite(logs).any(axis=1)
    logs[~known] = 0.0
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True)), known
