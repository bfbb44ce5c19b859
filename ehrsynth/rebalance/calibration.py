"""Recalibration per group: the risks of a model are moved to what really happened, group by group."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy import optimize

from ehrsynth.rebalance.base import AbstractMethod, Predictor, Treatment
from ehrsynth.rebalance.learners import expit, logit
from ehrsynth.rebalance.plan import Plan, rows_of
from ehrsynth.rebalance.treating import cross_fitted, predictor_of
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Recalibrated:
    """A predictor whose log odds are moved and stretched in each group (the last row: in none)."""

    base: Predictor
    plan: Plan
    schema: Schema
    intercepts: Floats
    slopes: Floats

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""
        group = rows_of(table, self.plan, self.schema).group  # -1 takes the last row
        return expit(self.intercepts[group] + self.slopes[group] * logit(self.base.risks(table)))


class Recalibration(AbstractMethod):
    """A model is learnt, then an intercept and a slope on its log odds for each group.

    Both are learnt on training patients whom the model had not seen (cross-fitting), held towards 0 and 1 as
    the normal priors say, so that a group of few patients is moved little (logistic recalibration: Cox 1958;
    Steyerberg 2019, chapter 20). `of` is the method whose model is recalibrated: nothing, or one that
    oversamples.
    """

    name: ClassVar[str] = "recalibration"
    of: str = Field(default="none", description="the method whose model is recalibrated")
    intercept_spread: float = Field(
        default=2.0, gt=0, description="standard deviation of the intercept's prior"
    )
    slope_spread: float = Field(default=0.5, gt=0, description="standard deviation of the slope's prior")
    folds: int = Field(default=5, ge=2, le=20, description="folds inside training")

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Learn the model, and how to move its risks."""
        rows = rows_of(train, plan, schema)
        unseen = cross_fitted(self.of, train, plan, schema, folds=self.folds, seed=seed)
        groups = len(plan.groups)
        fitted = [self._fit(unseen, rows.event, rows.group == g) for g in range(groups)]
        fitted.append(self._fit(unseen, rows.event, np.ones(len(rows), np.bool_)))
        base = predictor_of(self.of, train, plan, schema, seed=seed)
        moved = np.array(fitted)
        notes: dict[str, Any] = {
            "intercepts": dict(zip(plan.names, moved[:, 0].tolist(), strict=False)),
            "slopes": dict(zip(plan.names, moved[:, 1].tolist(), strict=False)),
        }
        return Treatment(
            self.text, predictor=Recalibrated(base, plan, schema, moved[:, 0], moved[:, 1]), notes=notes
        )

    def _fit(self, risks: Floats, event: Mask, mine: Mask) -> tuple[float, float]:
        """Intercept and slope: the mode of the posterior."""
        if not mine.any():
            return 0.0, 1.0
        z, y = logit(risks[mine]), event[mine]

        def loss(b: Floats) -> tuple[float, Floats]:
            eta = b[0] + b[1] * z
            held = np.array([b[0] / self.intercept_spread, (b[1] - 1) / self.slope_spread])
            missed = expit(eta) - y
            value = float(np.logaddexp(0, np.where(y, -eta, eta)).sum() + (held**2).sum() / 2)
            pull = held / np.array([self.intercept_spread, self.slope_spread])
            return value, np.array([missed.sum(), missed @ z]) + pull

        found = optimize.minimize(loss, np.array([0.0, 1.0]), jac=True, method="BFGS").x
        return float(found[0]), float(found[1])
