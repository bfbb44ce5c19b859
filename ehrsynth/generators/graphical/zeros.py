"""What the schema's rules make impossible, as factors that rule out combinations of bins.

A combination is ruled out only when every value in it breaks the rule, so that no real patient is lost. The
schema is public: this costs nothing. What is left of a rule inside the bins is kept by checking each row.
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet, Condition
from ehrsynth.encoding import codes_to_values, encoding
from ehrsynth.errors import ConditionError
from ehrsynth.generators.graphical.bins import Binned
from ehrsynth.generators.graphical.junction import Clique, spread
from ehrsynth.schema import Constraint, Formula, Implication, Inequality, Schema
from ehrsynth.schema.binding import columns_of
from ehrsynth.tables.constraints import satisfied

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_CELLS = 50_000
_ALL = 1 - 1e-9


def zeros(
    schema: Schema, columns: Sequence[Binned], variables: Mapping[str, int]
) -> list[tuple[Clique, Floats]]:
    """One log factor for each rule that rules something out: minus infinity there, 0 elsewhere.

    Parameters
    ----------
    columns
        By variable.
    variables
        The variable of each column in the model; rules about others are left out.
    """
    found = []
    for rule in schema.constraints:
        names = sorted(columns_of(rule) & variables.keys(), key=lambda name: variables[name])
        if isinstance(rule, Formula) or len(names) < len(columns_of(rule)):
            continue
        clique = tuple(variables[name] for name in names)
        if prod(columns[v].size for v in clique) > MOST_CELLS:
            continue
        broken = _broken(rule, schema, [columns[v] for v in clique], names)
        if broken is not None and broken.any():
            found.append((clique, np.where(broken, -np.inf, 0.0)))
    return found


def _broken(
    rule: Constraint, schema: Schema, columns: Sequence[Binned], names: Sequence[str]
) -> NDArray[np.bool_] | None:
    if isinstance(rule, Implication):
        return _by_boxes(rule, schema, columns, names)
    if isinstance(rule, Inequality):
        return _by_ends(rule, schema, columns, names)
    return _by_trial(rule, schema, columns, names)


def _by_boxes(
    rule: Implication, schema: Schema, columns: Sequence[Binned], names: Sequence[str]
) -> NDArray[np.bool_] | None:
    try:
        condition = Condition.parse(f"({rule.if_}) and not ({rule.then})", schema)
    except ConditionError:
        return None  # nobody can break it
    if not condition.exact:
        return None
    covered = np.zeros(tuple(column.size for column in columns))
    for box in condition.boxes:
        share = np.ones(())
        for axis, (column, name) in enumerate(zip(columns, names, strict=True)):
            inside = value_shares(column, box.get(name))
            share = share * spread(inside, (axis,), tuple(range(len(columns))))
        covered += share
    return np.asarray(covered >= _ALL)


def value_shares(column: Binned, allowed: CodeSet | None) -> Floats:
    """The share of each finest bin's values, counted equally, that a set allows."""
    width = column.states.width
    inside = np.bincount(column.bins[0], column.states.weight(allowed) * width, minlength=column.size)
    return np.asarray(inside / np.bincount(column.bins[0], width, minlength=column.size))


def _by_ends(
    rule: Inequality, schema: Schema, columns: Sequence[Binned], names: Sequence[str]
) -> NDArray[np.bool_]:
    ends = {name: _ends(schema, name, column) for name, column in zip(names, columns, strict=True)}
    least, most = ends[rule.low][0], ends[rule.high][1]
    axes = {name: axis for axis, name in enumerate(names)}
    low = np.expand_dims(least, 1 - axes[rule.low])
    high = np.expand_dims(most, 1 - axes[rule.high])
    with np.errstate(invalid="ignore"):
        # A missing value breaks no inequality: NaN compares as false.
        return np.asarray(low >= high) if rule.strict else np.asarray(low > high)


def _ends(schema: Schema, name: str, column: Binned) -> tuple[Floats, Floats]:
    """The smallest and largest value of each finest bin; NaN for missing."""
    place = next(p for p, c in enumerate(schema.learnt) if c.name == name)
    of = encoding(schema.learnt[place])
    least, most = np.full(column.size, np.inf), np.full(column.size, -np.inf)
    present = np.flatnonzero(~column.states.is_missing)
    np.minimum.at(least, column.bins[0][present], of.to_values(column.states.low[present]))
    np.maximum.at(most, column.bins[0][present], of.to_values(column.states.high[present]))
    gone = np.zeros(column.size, bool)
    gone[column.bins[0][column.states.is_missing]] = True
    return np.where(gone, np.nan, least), np.where(gone, np.nan, most)


def _by_trial(
    rule: Constraint, schema: Schema, columns: Sequence[Binned], names: Sequence[str]
) -> NDArray[np.bool_] | None:
    """Try a value of every state with one of every other; ranges may hold others, so they must be single."""
    absence = rule.kind == "present_together"
    states = [c.states for c in columns]
    if any((one.width > 1).any() for one in states) and not absence:
        return None
    if prod(len(one) for one in states) > MOST_CELLS and not absence:
        return None
    chosen = [_one_a_bin(c) if absence else np.arange(len(c.states)) for c in columns]
    small = schema.subset(tuple(names)).changed(constraints=(rule,))
    grid = np.meshgrid(*(c.states.low[k] for c, k in zip(columns, chosen, strict=True)), indexing="ij")
    codes = np.column_stack([axis.ravel() for axis in grid])
    fine = satisfied(codes_to_values(codes, small), small)
    bins = np.meshgrid(*(c.bins[0][k] for c, k in zip(columns, chosen, strict=True)), indexing="ij")
    possible = np.zeros(tuple(c.size for c in columns), bool)
    np.logical_or.at(possible, tuple(axis.ravel() for axis in bins), fine)
    return ~possible


def _one_a_bin(column: Binned) -> Codes:
    return np.asarray(np.unique(column.bins[0], return_index=True)[1], np.int64)
