"""A patient table as a question sees it: covariates, arms, sites and outcomes, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import NotEnoughData, Refused
from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix, stacked
from ehrsynth.expressions import truth
from ehrsynth.schema import Schema
from ehrsynth.schema.binding import bind
from ehrsynth.tables.grids import grid
from ehrsynth.tables.values import to_values
from ehrsynth.twins.censoring import Horizon, ipcw, pseudo_observations, state
from ehrsynth.twins.outcomes import Outcome, follow_up, values_of
from ehrsynth.twins.question import Question

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FEWEST = 10


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One outcome of each patient.

    Parameters
    ----------
    values
        NaN where it is not known.
    weights
        How many patients each stands for: 0 where the value is not known, else 1, or more where patients like
        this were lost to follow-up.
    """

    outcome: Outcome
    values: Floats
    weights: Floats

    def of(self, rows: Mask | Whole) -> "Target":
        """Some patients."""
        return replace(self, values=self.values[rows], weights=self.weights[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """Patients of a study.

    Parameters
    ----------
    covariates
        Rows as they stand; columns sorted by name.
    arm
        0 for the reference arm, counting up.
    site
        A number for each site; None where the schema has none.
    targets
        By the outcome's name.
    rows
        The positions in the table that was given.
    left_out
        How many rows were left out, and why.
    """

    covariates: Matrix
    arm: Whole
    site: Whole | None
    targets: Mapping[str, Target]
    rows: Whole
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.arm)

    def of(self, rows: Mask | Whole) -> "Patients":
        """Some patients."""
        return replace(
            self,
            covariates=self.covariates.rows(rows),
            arm=self.arm[rows],
            site=None if self.site is None else self.site[rows],
            targets={name: target.of(rows) for name, target in self.targets.items()},
            rows=self.rows[rows],
        )


def covariates_of(table: pd.DataFrame, schema: Schema) -> Matrix:
    """The covariates of any patients, rows as they stand.

    Parameters
    ----------
    schema
        The schema of the covariates alone (`Question.covariate_schema`).
    """
    columns = tuple(sorted(schema.learnt, key=lambda column: column.name))
    return Matrix(columns, stacked(table, schema))


def patients_of(table: pd.DataFrame, question: Question) -> Patients:
    """The patients of a study: those of a named arm, in the population that was asked for.

    Weights for lost follow-up and for outcomes that are missing are estimated within this table: split a
    table before, not after.

    Raises
    ------
    NotEnoughData
        If an arm is left without a patient.
    Refused
        If an arm is left with fewer than 10: nothing can be fitted at all.
    """
    schema = question.schema
    arm = _arms(table, question)
    inside = members(table, question.where, schema)
    left_out = {"arm unknown or not asked for": int((arm < 0).sum())}
    left_out["outside the population asked for"] = int((~inside & (arm >= 0)).sum())
    rows = np.flatnonzero((arm >= 0) & inside)
    table, arm = table.iloc[rows], arm[rows]
    _check_arms(arm, question)
    covariates = covariates_of(table, question.covariate_schema)
    targets = {o.name: _target(o, table, arm, covariates, schema=schema) for o in question.outcomes}
    known = {name: int((t.weights == 0).sum()) for name, t in targets.items()}
    left_out |= {f"value of {name!r} unknown": count for name, count in known.items() if count}
    return Patients(covariates, arm, _sites(table, question), targets, rows, left_out)


def members(table: pd.DataFrame, where: str, schema: Schema) -> Mask:
    """Which rows surely meet a condition; all, where there is none."""
    if not where:
        return np.ones(len(table), np.bool_)
    condition = bind(where, schema, expects="truth")
    return np.asarray(truth(condition, to_values(table, schema.subset(tuple(condition.columns)))) > 0)


def _arms(table: pd.DataFrame, question: Question) -> Whole:
    """The arm of each row, -1 for none."""
    name = question.treatment
    values = to_values(table, question.schema.subset((name,)))[name]
    codes = grid(question.schema.column(name)).codes(values)  # type: ignore[arg-type]
    arm = np.full(len(table), -1, np.int64)
    for number, one in enumerate(question.arms):
        arm[np.isin(codes, one.codes)] = number
    return arm


def _check_arms(arm: Whole, question: Question) -> None:
    for number, one in enumerate(question.arms):
        count = int((arm == number).sum())
        said = f"arm {one.name!r} of {question.treatment!r} has {count} patients in the population"
        if not count:
            raise NotEnoughData(f"{said}: leave the arm out, merge it, or ask for a wider population")
        if count < _FEWEST:
            # So few that nothing can be fitted crosswise: no override helps.
            raise Refused(f"refused: {said}, and fewer than {_FEWEST} cannot be fitted at all: merge arms")


def _sites(table: pd.DataFrame, question: Question) -> Whole | None:
    if question.site is None:
        return None
    values = to_values(table, question.schema.subset((question.site,)))[question.site]
    known = np.where(np.isnan(values), np.inf, values)  # patients of no known site are one
    return np.asarray(np.unique(known, return_inverse=True)[1], np.int64)


def _target(
    outcome: Outcome, table: pd.DataFrame, arm: Whole, covariates: Matrix, *, schema: Schema
) -> Target:
    if outcome.kind == "horizon":
        return _horizon_target(outcome, table, arm, covariates, schema=schema)
    values = values_of(outcome, table, schema)
    return Target(outcome, values, weights_of_known(~np.isnan(values), arm, covariates))


def _horizon_target(
    outcome: Outcome, table: pd.DataFrame, arm: Whole, covariates: Matrix, *, schema: Schema
) -> Target:
    time, event = follow_up(outcome, table, schema)
    given = Horizon(time, event, outcome.horizon, outcome.cause, outcome.causes)
    followed = ~np.isnan(time)
    values, weights = np.full(len(arm), np.nan), np.zeros(len(arm))
    if outcome.censoring == "pseudo":
        for one in np.unique(arm):
            rows = np.flatnonzero(followed & (arm == one))
            values[rows] = pseudo_observations(given.of(rows))
    else:
        values = np.where(followed, state(given), np.nan)
        rows = np.flatnonzero(followed)
        features = Flags(covariates)(covariates)[rows]
        weights[rows] = ipcw(given.of(rows), arm[rows], features)
        return Target(outcome, values, weights * weights_of_known(followed, arm, covariates))
    return Target(outcome, values, weights_of_known(followed, arm, covariates))


def weights_of_known(known: Mask, arm: Whole, covariates: Matrix) -> Floats:
    """1 / P(the outcome is known) by logistic regression on covariates and arm, 0 where it is not known.

    Where all are known each counts 1. Outcomes missing for a reason that the covariates and the arm do not
    tell are beyond any weight.
    """
    if known.all() or not known.any():
        return known.astype(np.float64)
    from sklearn.linear_model import LogisticRegression

    arms = (arm[:, None] == np.unique(arm)[None, 1:]).astype(np.float64)
    design = np.hstack([Flags(covariates)(covariates), arms])
    model = LogisticRegression(C=1.0, max_iter=300, solver="newton-cholesky").fit(design, known)
    chance = np.asarray(model.predict_proba(design))[:, 1]
    weights = np.where(known, 1 / np.maximum(chance, 1 / len(known)), 0.0)
    return np.asarray(weights)
