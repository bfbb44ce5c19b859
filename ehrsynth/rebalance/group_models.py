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
from ehrsynth.rebalance.measures import patient_losses
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
        default=(0.0, 0.25, 0.5, 1.0, 2.0),
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
        losses = np.full((len(self.strengths), len(rows)), np.nan)
        for fold in range(self.folds):
            test = folds == fold
            for place, strength in enumerate(self.strengths):
                risks = _fit_deviations(
                    known.rows(~test), rows.event[~test], rows.group[~test], plan, strength
                )
                losses[place, test] = _losses(risks, known.rows(test), rows.event[test], rows.group[test])
        chosen = self.strengths[least_free(losses, rows.group)]
        functions = _fit_deviations(known, rows.event, rows.group, plan, chosen)
        return [chosen] * len(plan.groups), functions

    def _mixed(
        self, known: Matrix, rows: Rows, plan: Plan, folds: Whole, seed: int
    ) -> tuple[list[float], dict[int, Risks]]:
        losses = np.full((len(self.shares), len(rows)), np.nan)
        groups = range(len(plan.groups))
        for fold in range(self.folds):
            test = folds == fold
            pair = _fit_pair(known.rows(~test), rows.event[~test], rows.group[~test], plan, seed)
            for place, share in enumerate(self.shares):
                mixed = {g: _mix(pair[-1], pair.get(g, pair[-1]), share) for g in (-1, *groups)}
                losses[place, test] = _losses(mixed, known.rows(test), rows.event[test], rows.group[test])
        each = [np.where(rows.group == g, rows.group, -1) for g in groups]
        chosen = [self.shares[least_free(losses, own)] for own in each]
        pair = _fit_pair(known, rows.event, rows.group, plan, seed)
        functions = {g: _mix(pair[-1], pair.get(g, pair[-1]), share) for g, share in enumerate(chosen)}
        return chosen, {-1: pair[-1], **functions}


def least_free(losses: Floats, group: Whole) -> int:
    """The first choice (the least free) that is not surely worse than the best.

    Parameters
    ----------
    losses
        Choices x patients, each patient's log loss by a model that had not seen it.
    group
        Each patient's group; -1 takes no part, and every group counts alike, however small.

    Returns
    -------
    int
        The first choice whose mean loss is within one standard error (of the paired difference) of the
        lowest: a group of few patients does not get a model of its own by luck.
    """
    inside = group >= 0
    counts = np.bincount(group[inside])
    weight = 1 / counts[group[inside]] / (counts > 0).sum()
    kept = losses[:, inside]
    best = kept[int((kept @ weight).argmin())]
    for place, loss in enumerate(kept):
        gap = weight * (loss - best)
        if gap.sum() <= np.sqrt(((gap - gap.mean()) ** 2).sum()):
            return place
    return len(losses) - 1


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


def _losses(risks: dict[int, Risks], known: Matrix, event: Mask, group: Whole) -> Floats:
    """Each patient's log loss by the model of their group; NaN for patients in none."""
    found = np.full(len(event), np.nan)
    for g in np.unique(group[group >= 0]):
        mine = group == g
        found[mine] = patient_losses(event[mine], risks[int(g)](known.rows(mine)))
    return found
