"""Methods that touch no row: nothing at all, and weights for groups, for outcomes, for both."""

from typing import ClassVar

import pandas as pd

from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.plan import Plan, rows_of
from ehrsynth.rebalance.targets import class_weights, goal_weights
from ehrsynth.schema import Schema


class Untreated(AbstractMethod):
    """The learner on the patients as they are: what every other method is held against."""

    name: ClassVar[str] = "none"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:  # noqa: ARG002
        """Nothing is done."""
        return Treatment(self.text)


class GroupWeights(AbstractMethod):
    """Each patient weighs as much as brings the groups (or the raked margins) to the plan's goal."""

    name: ClassVar[str] = "group_weights"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:  # noqa: ARG002
        """Weigh the patients."""
        rows = rows_of(train, plan, schema)
        weights = goal_weights(rows, plan, schema)
        if plan.classes == "equal":
            weights = weights * class_weights(rows, len(plan.groups))
        return Treatment(self.text, weights=weights / weights.mean())


class ClassWeights(AbstractMethod):
    """In each group patients with and without the event weigh alike; the groups weigh as before."""

    name: ClassVar[str] = "class_weights"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:  # noqa: ARG002
        """Weigh the patients."""
        return Treatment(self.text, weights=class_weights(rows_of(train, plan, schema), len(plan.groups)))


class GroupAndClassWeights(AbstractMethod):
    """The groups are weighed to the goal, and in each both outcomes weigh alike."""

    name: ClassVar[str] = "group_and_class_weights"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:  # noqa: ARG002
        """Weigh the patients."""
        rows = rows_of(train, plan, schema)
        weights = goal_weights(rows, plan, schema) * class_weights(rows, len(plan.groups))
        return Treatment(self.text, weights=weights / weights.mean())
