"""Models that may differ between groups: one for each, or one for all with deviations."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import small_seed
from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.learners import Risks, expit, learn, linear, logit
from ehrsynth.rebalance.plan import Plan, Rows, inputs, rows_of
from ehrsynth.rebalance.treating import inner_folds
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ByGroup:
    """A predictor that asks another function for each group; -1 is for patients in none."""

    plan: Plan
    schema: Schema
    functions: dict[int, Risks]

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""
        rows = rows_of(table, self.plan, self.schema)
        known, risks = inputs(rows.matrix, self.plan), np.empty(len(rows))
        for group in np.unique(rows.group):
            mine = rows.group == group
            risks[mine] = self.functions.get(int(group), self.functions[-1])(known.rows(mine))
        return risks


class GroupOnly(AbstractMethod):
    """One model for each group, learnt from its own patients alone."""

    name: ClassVar[str] = "group_only"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Learn each group by itself; who is in no group gets the model of all."""
        rows = rows_of(train, plan, schema)
        known, functions = inputs(rows.matrix, plan), {}
        for group in (-1, *range(len(plan.groups))):
            mine = np.ones(len(rows), np.bool_) if group < 0 else rows.group == group
            small = small_seed(seed, "group_only", str(group))
            if mine.any():
                functions[group] = learn(plan.learner, known.rows(mine), rows.event[mine], seed=small)
        return Treatment(self.text, predictor=ByGroup(plan, schema, functions))


class Interaction(AbstractMethod):
    """One model for all in which groups may deviate, as far as patients left out in training bear it out.

    Logistic regression has an intercept and a deviation of each coefficient for each group; how strongly
    deviations are held back is chosen by cross-validated log loss over all groups' patients, each group
    counting alike. With boosted trees, the model of all and that of the group are mixed on the log odds, the
    share chosen likewise.
    """

    name: ClassVar[str] = "interaction"
    strengths: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
        min_length=1,
        description="how freely groups may deviate",
    )
    shares: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), min_length=1, description="shares of the group's own trees"
    )
    folds: int = Field(default=5, ge=2, le=20, description="folds inside training")

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Choose how freely, then learn from all."""
        rows = rows_of(train, plan, schema)
        known = inputs(rows.matrix, plan)
        folds = inner_folds(rows, self.folds, seed)
        if plan.learner == "boosted_trees":
            chosen, functions = self._mixed(known, rows, plan, folds, seed)
        else:
            chosen, functions = self._deviating(known, rows, plan, folds)
        notes = {"freedom": dict(zip(plan.names, chosen, strict=True))}
        return Treatment(self.text, predictor=ByGroup(plan, schema, functions), notes=notes)

    def _deviating(
        self, known: Matrix, rows: Rows, plan: Plan, folds: Whole
    ) -> tuple[list[float], dict[int, Risks]]:
        losses = np.zeros((len(self.strengths), len(plan.groups)))
        for fold in range(self.folds):
            test = folds == fold
            for place, strength in enumerate(self.strengths):
                risks = _fit_deviations(
                    known.rows(~test), rows.event[~test], rows.group[~test], plan, strength
                )
                losses[place] += _losses(risks, known.rows(test), rows.event[test], rows.group[test], plan)
        best = int(losses.mean(axis=1).argmin())
        functions = _fit_deviations(known, rows.event, rows.group, plan, self.strengths[best])
        return [self.strengths[best]] * len(plan.groups), functions

    def _mixed(
        self, known: Matrix, rows: Rows, plan: Plan, folds: Whole, seed: int
    ) -> tuple[list[float], dict[int, Risks]]:
        losses = np.zeros((len(self.shares), len(plan.groups)))
        for fold in range(self.folds):
            test = folds == fold
            pair = _fit_pair(known.rows(~test), rows.event[~test], rows.group[~test], plan, seed)
            for place, share in enumerate(self.shares):
                mixed = {
                    g: _mix(pair[-1], pair.get(g, pair[-1]), share) for g in (-1, *range(len(plan.groups)))
                }
                losses[place] += _losses(mixed, known.rows(test), rows.event[test], rows.group[test], plan)
        chosen = [self.shares[int(i)] for i in losses.argmin(axis=0)]
        pair = _fit_pair(known, rows.event, rows.group, plan, seed)
        functions = {g: _mix(pair[-1], pair.get(g, pair[-1]), share) for g, share in enumerate(chosen)}
        return chosen, {-1: pair[-1], **functions}


def _fit_deviations(
    known: Matrix, event: Mask, group: Whole, plan: Plan, strength: float
) -> dict[int, Risks]:
    """Each group's risks from one logistic regression; a penalty of strength**-2 holds deviations back."""
    numbers = [-1, *range(len(plan.groups))]
    if event.all() or not event.any():
        share = float(event.mean())
        return {g: lambda rows: np.full(len(rows), share) for g in numbers}
    flags = Flags(known)

    def design(rows: Matrix, groups: Whole) -> Floats:
        shared = flags(rows)
        if not strength:
            return shared
        own = [(groups == g)[:, None] * np.column_stack([np.ones(len(rows)), shared]) for g in numbers[1:]]
        return np.hstack([shared, *(strength * block for block in own)])

    model = linear(design(known, group), event)

    def of(g: int) -> Risks:
        return lambda rows: np.asarray(
            model.predict_proba(design(rows, np.full(len(rows), g)))[:, 1], np.float64
        )

    return {g: of(g) for g in numbers}


def _fit_pair(known: Matrix, event: Mask, group: Whole, plan: Plan, seed: int) -> dict[int, Risks]:
    """The model of all (-1) and that of each group."""
    found = {-1: learn(plan.learner, known, event, seed=small_seed(seed, "interaction", "all"))}
    for g in range(len(plan.groups)):
        mine = group == g
        if mine.any():
            small = small_seed(seed, "interaction", str(g))
            found[g] = learn(plan.learner, known.rows(mine), event[mine], seed=small)
    return found


def _mix(shared: Risks, own: Risks, share: float) -> Risks:
    if not share:
        return shared
    return lambda rows: expit((1 - share) * logit(shared(rows)) + share * logit(own(rows)))


def _losses(risks: dict[int, Risks], known: Matrix, event: Mask, group: Whole, plan: Plan) -> Floats:
    """The summed log loss of each group's patients, over their number in the fold."""
    found = np.zeros(len(plan.groups))
    for g in range(len(plan.groups)):
        mine = group == g
        if mine.any():
            log_odds = logit(risks[g](known.rows(mine)))
            found[g] = float(np.logaddexp(0, np.where(event[mine], -log_odds, log_odds)).mean())
    return found
