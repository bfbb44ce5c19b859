"""Fairlearn's reductions: a constraint on the groups becomes a sequence of weighted learning problems."""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from ehrsynth.errors import MissingPackage, NotEnoughData
from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.randomness import small_seed
from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.plan import Plan, inputs, rows_of
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Constraint = Literal["demographic_parity", "equalized_odds", "true_positive_rate_parity", "error_rate_parity"]
_NAMES = {
    "demographic_parity": "DemographicParity",
    "equalized_odds": "EqualizedOdds",
    "true_positive_rate_parity": "TruePositiveRateParity",
    "error_rate_parity": "ErrorRateParity",
}


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """The mean risk of several models, as the reduction weighs them."""

    plan: Plan
    schema: Schema
    flags: Flags
    models: Sequence[Any]
    shares: Sequence[float]

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""
        features = self.flags(inputs(rows_of(table, self.plan, self.schema).matrix, self.plan))
        each = [
            share * _positive(model, features) for model, share in zip(self.models, self.shares, strict=True)
        ]
        return np.asarray(np.sum(each, axis=0), np.float64)


def _positive(model: Any, features: Floats) -> Floats:
    """The risk by one model; one that knows a single outcome is sure of it."""
    found = np.asarray(model.predict_proba(features), np.float64)
    if found.shape[1] == 1:
        return np.full(len(features), float(model.classes_[0]))
    return np.asarray(found[:, 1])


class AbstractReduction(AbstractMethod):
    """The groups are fairlearn's sensitive feature; the plan's learner is its estimator."""

    needs: ClassVar[str] = "fairlearn"
    constraint: Constraint = "equalized_odds"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Reduce, and keep the models with their shares."""
        rows = rows_of(train, plan, schema)
        known = inputs(rows.matrix, plan)
        flags = Flags(known)
        reductions = _package()
        moment = getattr(reductions, _NAMES[self.constraint])()
        reduction = self._reduction(reductions, _estimator(plan, small_seed(seed, "reduction")), moment)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # fairlearn warns of pandas' and scikit-learn's coming changes
                reduction.fit(flags(known), rows.event.astype(np.int64), sensitive_features=rows.group)
        except (ValueError, RuntimeError):  # its text may quote a value
            raise NotEnoughData(f"{self.text}: fairlearn finds no model under this constraint here") from None
        models, shares = self._found(reduction)
        notes = {"constraint": self.constraint, "models": len(models)}
        return Treatment(self.text, predictor=Mixture(plan, schema, flags, models, shares), notes=notes)

    @abstractmethod
    def _reduction(self, reductions: Any, estimator: Any, moment: Any) -> Any:
        """The unfitted reduction."""

    @abstractmethod
    def _found(self, reduction: Any) -> tuple[list[Any], list[float]]:
        """Its models, and the share of each."""


class ExponentiatedGradient(AbstractReduction):
    """A mixture of models whose decisions meet the constraint on average.

    Agarwal et al. (2018, arXiv 1803.02453). The risk is the mean of the models' risks; a mixture made for
    decisions need not be calibrated, and the study says whether it is.
    """

    name: ClassVar[str] = "exponentiated_gradient"
    slack: float = Field(default=0.01, gt=0, lt=1, description="by how much the constraint may be missed")
    iterations: int = Field(default=10, ge=1, le=1_000, description="most rounds")

    def _reduction(self, reductions: Any, estimator: Any, moment: Any) -> Any:
        return reductions.ExponentiatedGradient(estimator, moment, eps=self.slack, max_iter=self.iterations)

    def _found(self, reduction: Any) -> tuple[list[Any], list[float]]:
        used = [(model, float(reduction.weights_[i])) for i, model in enumerate(reduction.predictors_)]
        used = [(model, share) for model, share in used if share > 0]
        return [model for model, _ in used], [share for _, share in used]


class GridSearch(AbstractReduction):
    """Of models along a grid of prices for breaking the constraint, the best trade against error.

    Agarwal, Dudik and Wu (2019, arXiv 1905.12843).
    """

    name: ClassVar[str] = "grid_search"
    constraint: Constraint = "demographic_parity"
    size: int = Field(default=10, ge=2, le=1_000, description="points of the grid")

    def _reduction(self, reductions: Any, estimator: Any, moment: Any) -> Any:
        return reductions.GridSearch(estimator, moment, grid_size=self.size)

    def _found(self, reduction: Any) -> tuple[list[Any], list[float]]:
        return [reduction.predictors_[reduction.best_idx_]], [1.0]


def _package() -> Any:
    try:
        import fairlearn.reductions
    except ImportError as error:
        raise MissingPackage("fairlearn's reductions", "rebalance") from error
    return fairlearn.reductions


def _estimator(plan: Plan, seed: int) -> Any:
    if plan.learner == "boosted_trees":
        trees = protocol().boosted_trees
        made = lightgbm.LGBMClassifier(n_estimators=trees.rounds, random_state=seed)
        return made.set_params(**trees.parameters)
    settings = protocol().logistic_regression
    return LogisticRegression(C=settings.penalty, max_iter=settings.iterations, tol=1e-3)
