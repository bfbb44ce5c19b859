"""Who comes first in the chain: the schema's roles, and where they are silent what the columns tell.

Protected and quasi-identifying columns and the site come first, then everything measured at the start, then
treatment, then outcomes, and at last their times: the order in which things happen to a patient, and a time
before its outcome would blur what the outcome follows from. A column without a role counts as measured at
the start. Where the schema names covariates, though, it is none of them and may well have come later (days
on a drug, place of discharge): nothing but a time may follow from it. Within a stage the schema is silent.
Links of trees then take next the column that is closest to one before it, so that what belongs together is
learnt with little in between, and what a rule makes follow comes after its cause; a network's order is by
the number of states. A formula's column is computed, and follows its inputs.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ehrsynth.expressions import parse
from ehrsynth.schema import Formula, Implication, Inequality, LearntColumn, Schema
from ehrsynth.schema.binding import columns_of

Floats = NDArray[np.float64]

_STAGES = (
    ("protected", "quasi_identifier", "site"),
    (),
    ("treatment",),
    ("outcome", "event"),
    (),
    ("time",),
)
_AT_THE_START, _UNPLACED = 1, 4  # the two stages without roles of their own


def chain_order(schema: Schema, states: Sequence[int]) -> list[int]:
    """The places of the learnt columns in the order of the chain.

    Parameters
    ----------
    states
        How many states of each learnt column were observed.
    """
    stages = _stages(schema)
    return _inputs_first(schema, sorted(range(len(stages)), key=lambda p: (stages[p], states[p], p)))


def learnt_order(schema: Schema, closeness: Floats) -> list[int]:
    """The places of the learnt columns: in each stage, next is who is closest to any before.

    A column that a rule puts after another comes after it.

    Parameters
    ----------
    closeness
        How much each learnt column tells of each other one, columns x columns (see `association`).
    """
    stages = _stages(schema)
    causes = _causes(schema)
    order: list[int] = []
    for stage in sorted(set(stages)):
        waiting = [place for place, found in enumerate(stages) if found == stage]
        while waiting:
            # Rules that go round in a circle say nothing about who is first.
            free = [place for place in waiting if causes[place].isdisjoint(waiting)] or waiting
            # The first of all is the one that tells most of all others.
            near = closeness[free][:, order].max(axis=1) if order else closeness[free].sum(axis=1)
            order.append(free[int(near.argmax())])
            waiting.remove(order[-1])
    return _inputs_first(schema, order)


def _causes(schema: Schema) -> list[set[int]]:
    """For each learnt column those that a rule puts before it.

    A day of death follows death by an implication, and the admission by an inequality.
    """
    place = {column.name: p for p, column in enumerate(schema.learnt)}
    causes: list[set[int]] = [set() for _ in place]
    for rule in schema.constraints:
        if isinstance(rule, Implication):
            before = parse(rule.if_).columns
            for name in parse(rule.then).columns - before:
                causes[place[name]] |= {place[cause] for cause in before}
        elif isinstance(rule, Inequality):
            causes[place[rule.high]].add(place[rule.low])
    return causes


def leading(schema: Schema, order: Sequence[int], names: Collection[str]) -> list[int]:
    """The order with some columns first, and before a formula's column what it is computed from."""
    wanted = set(names)
    for _ in schema.constraints:  # as often as one formula can wait for another
        for formula in schema.constraints:
            if isinstance(formula, Formula) and formula.column in wanted:
                wanted |= columns_of(formula)
    first = [place for place in order if schema.learnt[place].name in wanted]
    return _inputs_first(schema, [*first, *(place for place in order if place not in first)])


def _inputs_first(schema: Schema, order: list[int]) -> list[int]:
    """The order with each formula's column after its inputs."""
    place = {column.name: p for p, column in enumerate(schema.learnt)}
    formulas = [c for c in schema.constraints if isinstance(c, Formula)]
    for _ in formulas:
        for formula in formulas:
            computed = place[formula.column]
            order.remove(computed)
            inputs = [order.index(place[name]) for name in columns_of(formula) - {formula.column}]
            order.insert(max(inputs, default=-1) + 1, computed)
    return order


def computed_columns(schema: Schema) -> frozenset[str]:
    """The names of the columns that formulas give: they are computed and not learnt."""
    return frozenset(c.column for c in schema.constraints if isinstance(c, Formula))


def _stages(schema: Schema) -> list[int]:
    named = any("covariate" in column.roles for column in schema.learnt)
    return [_stage(column, _UNPLACED if named else _AT_THE_START) for column in schema.learnt]


def _stage(column: LearntColumn, silent: int) -> int:
    # A protected outcome is an outcome: the latest stage counts.
    found = [stage for stage, roles in enumerate(_STAGES) if set(roles) & set(column.roles)]
    return max(found, default=_AT_THE_START if "covariate" in column.roles else silent)
