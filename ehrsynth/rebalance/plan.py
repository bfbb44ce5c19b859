"""The plan: whose outcome is predicted from what, who the groups are, and how many of each there shall be."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.learners import LearnerName
from ehrsynth.evaluation.matrix import Matrix, stacked
from ehrsynth.rebalance.groups import Group, membership, selected
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]
Classes = Literal["kept", "equal"]


@dataclass(frozen=True, slots=True)
class Equal:
    """As many patients of each group as of the largest (or the smallest, where rows are taken away)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """So many patients of each group named, in a table of the plan's `rows`; others stay as they are."""

    wanted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Population:
    """The margins of a target population, as `ehrsynth.rebalance.population` reads them."""

    margins: Mapping[str, Mapping[str, float]]


Goal = Equal | Counts | Population


@dataclass(frozen=True, slots=True)
class Plan:
    """What rebalancing is for.

    Parameters
    ----------
    event
        The expression that is true for patients who had the event; all others did not have it.
    outcomes
        The columns in it: they predict nothing.
    groups
        Disjoint; a patient may be in none.
    goal
        How many of each group there shall be.
    predictors
        Columns to predict from.
    rows
        Rows of the table that `Counts` speak of; those of a part of it are in proportion.
    classes
        "kept": each group keeps its own share of events. "equal": as many with the event as without.
    learner
        Which model learns: see `ehrsynth.evaluation.learners`.
    group_thresholds
        Whether a threshold for each group was asked for by name.
    """

    event: str
    outcomes: tuple[str, ...]
    groups: tuple[Group, ...]
    goal: Goal
    predictors: tuple[str, ...]
    rows: int
    classes: Classes = "kept"
    learner: LearnerName = "logistic_regression"
    group_thresholds: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names, in order."""
        return tuple(group.name for group in self.groups)

    def where(self, group: int, *, event: bool) -> str:
        """The expression for one group's patients with or without the event."""
        outcome = f"({self.event})" if event else f"not ({self.event})"
        return f"({self.groups[group].where}) and {outcome}"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A table's rows under a plan.

    `matrix` has every learnt column of the schema, `event` is true where the patient had it, `group` is the
    number of each patient's group, -1 for none. Rows are in the table's order.
    """

    matrix: Matrix
    event: Mask
    group: Whole

    def __len__(self) -> int:
        return len(self.event)

    @property
    def values(self) -> dict[str, Floats]:
        """The columns by name, in expression space."""
        return values_of(self.matrix)


def values_of(table: Matrix) -> dict[str, Floats]:
    """The columns of a matrix by name, in expression space."""
    return {name: table.values[:, place] for place, name in enumerate(table.names)}


_REMEMBERED: ContextVar[tuple[tuple[pd.DataFrame, Plan, Rows], ...]] = ContextVar("remembered", default=())


@contextmanager
def remembered(*known: tuple[pd.DataFrame, Plan, Rows]) -> Iterator[None]:
    """Inside the block `rows_of` gives these rows for these very tables, which nobody changes meanwhile."""
    token = _REMEMBERED.set(known)
    try:
        yield
    finally:
        _REMEMBERED.reset(token)


def rows_of(table: pd.DataFrame, plan: Plan, schema: Schema) -> Rows:
    """A table's rows under a plan; the outcome must be known for all of them."""
    for seen, for_plan, rows in _REMEMBERED.get():
        if seen is table and for_plan is plan:
            return rows
    columns = tuple(sorted(schema.learnt, key=lambda column: column.name))
    return of_matrix(Matrix(columns, stacked(table, schema)), plan, schema)


def of_matrix(table: Matrix, plan: Plan, schema: Schema) -> Rows:
    """As `rows_of`, for rows that are numbers already."""
    values = values_of(table)
    return Rows(table, selected(plan.event, values, schema), membership(plan.groups, values, schema))


def inputs(table: Matrix, plan: Plan) -> Matrix:
    """The predictors alone."""
    return table.without([name for name in table.names if name not in plan.predictors])
