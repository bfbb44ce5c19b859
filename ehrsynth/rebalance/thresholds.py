"""A threshold for each group, by which equal specificity is bought with unequal treatment of equal risks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.errors import RequestError
from ehrsynth.rebalance.base import AbstractDecider, AbstractMethod, Predictor, Treatment
from ehrsynth.rebalance.plan import Plan, rows_of
from ehrsynth.rebalance.treating import cross_fitted, predictor_of
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNLAWFUL = (
    "Thresholds by group: two patients of equal risk are treated differently because of a protected"
    " characteristic. In many countries this is unlawful unless a law allows it (for instance EU Directive"
    " 2000/43/EC, the UK Equality Act 2010, section 1557 of the US Affordable Care Act): ask a lawyer and"
    " your ethics board before anybody uses them."
)


@dataclass(frozen=True, slots=True, eq=False)
class Thresholded(AbstractDecider):
    """A predictor with a threshold for each group; the last one is for patients in none."""

    base: Predictor
    plan: Plan
    schema: Schema
    thresholds: Floats

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1: that of the base."""
        return self.base.risks(table)

    def decisions(self, table: pd.DataFrame) -> Mask:
        """Whose risk is above the threshold of their group."""
        group = rows_of(table, self.plan, self.schema).group
        return np.asarray(self.base.risks(table) > self.thresholds[group])


class GroupThresholds(AbstractMethod):
    """Each group gets the threshold that leaves its patients without the event the same specificity.

    Thresholds are learnt on training patients whom the model had not seen; equality of the false-positive
    rate is half of equalised odds (Hardt, Price and Srebro 2016, arXiv 1610.02413). Risks stay as they are.
    """

    name: ClassVar[str] = "group_thresholds"
    of: str = Field(default="none", description="the method whose model decides")
    specificity: float = Field(default=0.8, gt=0, lt=1, description="wanted in each group")
    folds: int = Field(default=5, ge=2, le=20, description="folds inside training")

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Learn the model and its thresholds.

        Raises
        ------
        RequestError
            Unless the plan allows thresholds by group.
        """
        if not plan.group_thresholds:
            raise RequestError(
                "group_thresholds treats patients of equal risk differently by group, which can be unlawful:"
                " say --allow-group-thresholds if this is meant and allowed"
            )
        rows = rows_of(train, plan, schema)
        unseen = cross_fitted(self.of, train, plan, schema, folds=self.folds, seed=seed)
        free = ~rows.event
        single = float(np.quantile(unseen[free], self.specificity))
        found = [self._of(unseen[free & (rows.group == g)], single) for g in range(len(plan.groups))]
        base = predictor_of(self.of, train, plan, schema, seed=seed)
        predictor = Thresholded(base, plan, schema, np.array([*found, single]))
        notes = {"thresholds": dict(zip(plan.names, found, strict=True)), "threshold_for_all": single}
        return Treatment(self.text, predictor=predictor, notes=notes, warnings=(UNLAWFUL,))

    def _of(self, risks: Floats, single: float) -> float:
        return float(np.quantile(risks, self.specificity)) if len(risks) else single
