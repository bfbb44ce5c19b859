"""What somebody asks for, and how it becomes a plan for one table, or a refusal with the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import DataError, EhrSynthError, Refused, RequestError
from ehrsynth.evaluation.learners import LearnerName
from ehrsynth.expressions import quoted, text_literal, truth
from ehrsynth.rebalance.groups import Group, learnt, make_groups
from ehrsynth.rebalance.plan import Classes, Counts, Equal, Goal, Plan, Population, Rows, rows_of
from ehrsynth.rebalance.population import MOMENTS, margins_of, where_of
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.raking import rake
from ehrsynth.rebalance.targets import check_counts
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, Formula, LearntColumn, Schema
from ehrsynth.schema.binding import bind
from ehrsynth.tables.grids import grid
from ehrsynth.tables.origin import refuse_synthetic
from ehrsynth.tables.values import to_values

Whole = NDArray[np.int64]
_TWO = 2
_NO_PREDICTORS = {"outcome", "event", "time", "patient_key", "site", "treatment"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be rebalanced, as a person says it.

    Parameters
    ----------
    outcome
        The column of the outcome; empty for the only one with this role.
    event
        The expression that is true where the event happened; may be empty for a column of two values, of
        which the second (or true) is the event.
    protected, bands, groups
        As for `ehrsynth.rebalance.groups.make_groups`. None of them: the columns with the role protected.
    everyone
        All patients are one group: only the outcome's classes are rebalanced.
    counts, population
        The goal: counts by group, or margins as `ehrsynth.rebalance.population` reads them; neither is equal
        groups.
    classes
        "kept" or "equal": see `ehrsynth.rebalance.plan.Plan`.
    predictors
        Columns to predict from; empty: those with the role covariate and those that make groups or margins,
        or where no column is a covariate all. An outcome, event, time, treatment, site or key that makes a
        group or a margin is none of them.
    learner
        Which model learns.
    group_thresholds
        Whether a threshold for each group may be tried.
    leave_out_small
        Whether groups of too few patients are left as they are, instead of refusing.
    """

    outcome: str = ""
    event: str = ""
    protected: tuple[str, ...] = ()
    bands: Mapping[str, Sequence[str | float]] | None = None
    groups: Mapping[str, str] | None = None
    everyone: bool = False
    counts: Mapping[str, int] | None = None
    population: Mapping[str, Mapping[str, float]] | None = None
    classes: Classes = "kept"
    predictors: tuple[str, ...] = ()
    learner: LearnerName = "logistic_regression"
    group_thresholds: bool = False
    leave_out_small: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A table that fits its plan.

    Parameters
    ----------
    table
        Patients whose outcome is known, with the columns of `schema`.
    site
        The number of each patient's site, -1 where it is missing; None where the schema has no site.
    notes
        What was left out: counts, in words.
    """

    table: pd.DataFrame
    schema: Schema
    plan: Plan
    rows: Rows
    site: Whole | None
    site_names: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(table: pd.DataFrame, schema: Schema, wishes: Wishes) -> Prepared:
    """Turn wishes into a plan.

    Raises
    ------
    RequestError
        If the table is itself synthetic, a column does not exist, a protected one is an outcome, or the
        target population is impossible.
    DataError
        If a column to predict from is all missing, or no outcome is known.
    Refused
        If a group has fewer than 20 patients, or fewer than 5 with or without the event; all are listed.
    """
    refuse_synthetic(table)
    outcome = learnt(schema, wishes.outcome or _only_outcome(schema))
    event = wishes.event or _event(outcome)
    outcomes = tuple(sorted(bind(event, schema, expects="truth").columns | {outcome.name}))
    protected = _protected(wishes, schema, outcomes)
    values = to_values(table, schema)
    known = np.broadcast_to(truth(bind(event, schema, expects="truth"), values) != 0, len(table))
    if not known.any():
        raise DataError(f"the outcome {outcome.name!r} is known for no patient: name another one")
    goal = _goal(wishes)
    asked = _columns(wishes, protected, goal, schema)
    predictors = _predictors(wishes, schema, outcomes, asked)
    kept = table[known].reset_index(drop=True)
    kept.attrs = dict(table.attrs)
    _check_missing(kept, predictors, asked)
    small = schema.subset(
        tuple(n for n in schema.names if n in {*predictors, *asked, *outcomes, schema.patient_key})
    )
    groups = make_groups(
        to_values(kept, small), small, protected=protected, bands=wishes.bands, named=wishes.groups
    )
    plan = Plan(
        event=event,
        outcomes=outcomes,
        groups=groups,
        goal=goal,
        predictors=predictors,
        rows=len(kept),
        classes=wishes.classes,
        learner=wishes.learner,
        group_thresholds=wishes.group_thresholds,
    )
    notes = [f"{int((~known).sum()):,} patients of unknown outcome were left out"] if not known.all() else []
    plan, more = _without_small(plan, rows_of(kept, plan, small), leave_out=wishes.leave_out_small)
    _check_goal(plan, kept, small)
    site, names = _site(kept, schema)
    rows = rows_of(kept, plan, small)
    nowhere = int((rows.group < 0).sum())
    if nowhere and not more:
        notes.append(f"{nowhere:,} patients are in no group, because a value that decides it is missing")
    return Prepared(kept[list(small.names)], small, plan, rows, site, names, (*notes, *more))


def _only_outcome(schema: Schema) -> str:
    named = schema.with_role("outcome")
    if len(named) != 1:
        said = f"{', '.join(named)} have" if named else "no column has"
        raise RequestError(f"{said} the role outcome: name the one that is meant with --outcome")
    return named[0]


def _event(outcome: LearntColumn) -> str:
    name = quoted(outcome.name)
    if isinstance(outcome, BooleanColumn):
        return name
    if outcome.size != _TWO:
        raise RequestError(
            f"the outcome {outcome.name!r} has {outcome.size:,} values: say with --event which of them are"
            f" the event, for instance --event '{_example(outcome)}'"
        )
    if isinstance(outcome, CategoryColumn | CodeColumn):
        return f"{name} == {text_literal(outcome.values[1])}"
    return f"{name} > {grid(outcome).low:g}"


def _example(outcome: LearntColumn) -> str:
    name = quoted(outcome.name)
    if isinstance(outcome, CategoryColumn | CodeColumn):
        return f"{name} == {text_literal(outcome.values[0])}"
    return f"{name} >= ..."


def _protected(wishes: Wishes, schema: Schema, outcomes: Sequence[str]) -> tuple[str, ...]:
    if wishes.everyone and (wishes.protected or wishes.groups):
        raise RequestError("all patients are one group, or there are groups: ask for one of the two")
    named = wishes.protected
    if not named and not wishes.groups and not wishes.everyone:
        named = tuple(n for n in schema.with_role("protected") if n not in outcomes)
        if not named:
            raise RequestError(
                "no column has the role protected: name one with --protected, or a group with --group, or say"
                " --everyone to rebalance the outcome's classes alone"
            )
    for name in named:
        if "outcome" in learnt(schema, name).roles or name in outcomes:
            raise RequestError(f"column {name!r} is an outcome: it cannot be protected. Name another one")
    if len(set(named)) < len(named):
        raise RequestError("a protected column is named twice: name it once")
    _check_named(wishes.groups or {}, schema, outcomes)
    return tuple(named)


def _check_named(groups: Mapping[str, str], schema: Schema, outcomes: Sequence[str]) -> None:
    for name, where in groups.items():
        both = sorted(bind(where, schema, expects="truth").columns & set(outcomes))
        if both:
            raise RequestError(f"group {name!r} is made by the outcome {both[0]!r}: take other columns")


def _goal(wishes: Wishes) -> Goal:
    if wishes.counts and wishes.population:
        raise RequestError("counts and a target population are two goals: give one of them")
    if wishes.counts:
        negative = sorted(name for name, count in wishes.counts.items() if count < 1)
        if negative:
            raise RequestError(f"a count is 1 or more: {', '.join(negative)}")
        return Counts(dict(wishes.counts))
    return Population(wishes.population) if wishes.population else Equal()


def _columns(wishes: Wishes, protected: Sequence[str], goal: Goal, schema: Schema) -> set[str]:
    """The columns of groups and margins."""
    found = set(protected)
    for where in (wishes.groups or {}).values():
        found |= bind(where, schema, expects="truth").columns
    if isinstance(goal, Population):
        for name, cells in goal.margins.items():
            column = next((c for c in schema.learnt if c.name == name), None)
            if set(cells) & MOMENTS:
                found.add(learnt(schema, name).name)
                continue
            for cell in cells:
                try:
                    found |= bind(where_of(cell, column), schema, expects="truth").columns
                except EhrSynthError as error:
                    raise RequestError(
                        f"the target population does not fit the schema: {name}: {error}"
                    ) from None
    return found


def _predictors(wishes: Wishes, schema: Schema, outcomes: Sequence[str], asked: set[str]) -> tuple[str, ...]:
    computed = {
        rule.column
        for rule in schema.constraints
        if isinstance(rule, Formula) and bind(rule.equals, schema, expects="number").columns & set(outcomes)
    }
    if wishes.predictors:
        for name in wishes.predictors:
            learnt(schema, name)
            if name in outcomes or name in computed:
                raise RequestError(
                    f"column {name!r} is the outcome, or computed from it: it cannot predict it"
                )
        return tuple(n for n in schema.names if n in wishes.predictors)
    covariates = [c.name for c in schema.learnt if "covariate" in c.roles]
    others = [c.name for c in schema.learnt if not set(c.roles) & _NO_PREDICTORS]
    # A group or a margin may be told by what came after the outcome, or is one: no prediction may be.
    named = {n for n in asked if not set(schema.column(n).roles) & _NO_PREDICTORS}
    chosen = set(covariates or others) | named
    found = tuple(n for n in schema.names if n in chosen and n not in outcomes and n not in computed)
    if not found:
        raise RequestError("there is nothing to predict from: name columns with --predictors")
    return found


def _check_missing(table: pd.DataFrame, predictors: Sequence[str], asked: set[str]) -> None:
    empty = [n for n in dict.fromkeys((*predictors, *sorted(asked))) if table[n].isna().all()]
    if empty:
        raise DataError(
            "columns hold no value at all: leave them out with --predictors, or name other groups",
            [f"column {name!r}: missing for all {len(table):,} patients" for name in empty],
        )


def _without_small(plan: Plan, rows: Rows, *, leave_out: bool) -> tuple[Plan, list[str]]:
    settings = rebalance_protocol()
    problems: dict[str, str] = {}
    for number, group in enumerate(plan.groups):
        mine = rows.group == number
        patients, events = int(mine.sum()), int(rows.event[mine].sum())
        few = min(events, patients - events)
        if patients < settings.rows_needed or few < settings.events_needed:
            problems[group.name] = f"{patients} patients, {events} with the event"
    if not problems:
        return plan, []
    listed = [f"{name}: {said}" for name, said in problems.items()]
    left: tuple[Group, ...] = tuple(g for g in plan.groups if g.name not in problems)
    if not leave_out or not left:
        raise Refused(
            f"{len(problems)} of {len(plan.groups)} groups are too small to be raised or judged: each needs"
            f" {settings.rows_needed} patients, {settings.events_needed} with and"
            f" {settings.events_needed} without the event."
            " Merge values or bands, protect fewer columns, or say --leave-out-small",
            listed,
        )
    return replace(plan, groups=left), [f"group left as it is, too small: {said}" for said in listed]


def _check_goal(plan: Plan, table: pd.DataFrame, schema: Schema) -> None:
    if isinstance(plan.goal, Counts):
        check_counts(plan.goal.wanted, plan)
    if isinstance(plan.goal, Population):
        rake(margins_of(plan.goal.margins, to_values(table, schema), schema), len(table))


def _site(table: pd.DataFrame, schema: Schema) -> tuple[Whole | None, tuple[str, ...]]:
    column = next((c for c in schema.learnt if "site" in c.roles), None)
    if not isinstance(column, CategoryColumn | CodeColumn):
        return None, ()
    return np.asarray(table[column.name].cat.codes, np.int64), column.values
