"""The schema's rules between columns, checked on a table's values, and enforced where that is possible.

Values are as `ehrsynth.tables.values.to_values` gives them. A rule with a missing value in it is met, but for
`fixed_combination`, which lists missing as null, and `present_together`, which is about missing itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.expressions import Expression, compute, truth
from ehrsynth.schema import (
    Constraint,
    FixedCombination,
    Formula,
    Implication,
    Inequality,
    LearntColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.schema.binding import bind
from ehrsynth.schema.meanings import word_value
from ehrsynth.tables.assignments import assignments
from ehrsynth.tables.grids import Codes, Floats, Mask, grid
from ehrsynth.tables.values import row_count

Values = Mapping[str, Floats]
Enforce = Callable[[dict[str, Floats], Mask], None]

# A chain of rules settles in as many passes as it has links; a circle of rules never does.
_MOST_PASSES = 20


@dataclass(frozen=True, slots=True)
class _Rule:
    constraint: Constraint
    holds: Callable[[Values], Mask]
    enforce: Enforce | None = None


def satisfied(values: Values, schema: Schema) -> Mask:
    """Whether each row is valid: on every column's grid, missing only where allowed, every rule met.

    Parameters
    ----------
    values
        One float64 array for each learnt column, all of one length n.

    Returns
    -------
    array
        n truth values.
    """
    return _valid(values, schema, _rules(schema))


def violations(values: Values, schema: Schema) -> list[tuple[Constraint, int]]:
    """The rules that rows break, each with the number of such rows, in the schema's order.

    The grids of single columns are not looked at (see `satisfied`).
    """
    counts = [(rule.constraint, int((~rule.holds(values)).sum())) for rule in _rules(schema)]
    return [(constraint, count) for constraint, count in counts if count]


def repair(values: Values, schema: Schema) -> dict[str, Floats]:
    """Make rows valid where a rule says how.

    A formula is recomputed; an implication whose `then` only assigns (``missing(x)``, ``x == 3``, joined by
    `and`) is carried out; columns that are present together become missing together, where they may be. This
    goes on until nothing changes. A row that is still not valid is given back as it was, so that repairing
    twice is repairing once; a valid row is never touched.

    Parameters
    ----------
    values
        As for `satisfied`; not changed.
    """
    rules = _in_order(_rules(schema), schema)
    rows = np.flatnonzero(~_valid(values, schema, rules))
    repaired = {name: array.copy() for name, array in values.items()}
    if not len(rows):
        return repaired
    part = {name: array[rows] for name, array in values.items()}
    for _ in range(_MOST_PASSES):
        if not _enforce(part, rules):
            break
    good = _valid(part, schema, rules)
    for name, array in repaired.items():
        array[rows[good]] = part[name][good]
    return repaired


def recompute(values: Values, schema: Schema) -> dict[str, Floats]:
    """Write every formula's column anew, whatever it holds: for generators, which need not learn them.

    The result is rounded to the column's grid, missing where an input is, and not clipped: a row whose result
    is out of bounds is not `satisfied`.
    """
    computed = dict(values)
    for formula in _formulas(schema):
        expression = bind(formula.equals, schema, expects="number")
        column = _learnt(schema, formula.column)
        computed[column.name] = grid(column).snap(compute(expression, computed))
    return computed


def _enforce(part: dict[str, Floats], rules: list[_Rule]) -> bool:
    acted = False
    for rule in rules:
        if rule.enforce is None:
            continue
        broken = ~rule.holds(part)
        if broken.any():
            rule.enforce(part, broken)
            acted = True
    return acted


def _valid(values: Values, schema: Schema, rules: list[_Rule]) -> Mask:
    valid = np.ones(row_count(values), np.bool_)
    for column in schema.learnt:
        present = values[column.name]
        in_grid = grid(column).contains(present)
        valid &= in_grid | np.isnan(present) if column.missing else in_grid
    for rule in rules:
        valid &= rule.holds(values)
    return valid


def _rules(schema: Schema) -> list[_Rule]:
    return [_rule(constraint, schema) for constraint in schema.constraints]


def _in_order(rules: list[_Rule], schema: Schema) -> list[_Rule]:
    # Formulas go last and inputs first, so that one pass carries a change through to the end.
    places = {formula.column: place for place, formula in enumerate(_formulas(schema), 1)}
    return sorted(
        rules,
        key=lambda rule: places[rule.constraint.column] if isinstance(rule.constraint, Formula) else 0,
    )


def _rule(constraint: Constraint, schema: Schema) -> _Rule:
    match constraint:
        case Inequality():
            return _inequality(constraint)
        case FixedCombination():
            return _fixed_combination(constraint, schema)
        case Implication():
            return _implication(constraint, schema)
        case Formula():
            return _formula(constraint, schema)
        case PresentTogether():
            return _present_together(constraint, schema)


def _learnt(schema: Schema, name: str) -> LearntColumn:
    return next(column for column in schema.learnt if column.name == name)


def _formulas(schema: Schema) -> list[Formula]:
    by_column = {c.column: c for c in schema.constraints if isinstance(c, Formula)}
    inputs = {
        name: bind(formula.equals, schema, expects="number").columns & by_column.keys()
        for name, formula in by_column.items()
    }
    return [by_column[name] for name in TopologicalSorter(inputs).static_order()]


def _inequality(constraint: Inequality) -> _Rule:
    def holds(values: Values) -> Mask:
        low, high = values[constraint.low], values[constraint.high]
        broken: Mask = (low >= high) if constraint.strict else (low > high)
        return ~broken

    return _Rule(constraint, holds)


def _fixed_combination(constraint: FixedCombination, schema: Schema) -> _Rule:
    columns = [_learnt(schema, name) for name in constraint.columns]
    listed = np.array(
        [
            [_listed(column, word) for column, word in zip(columns, row, strict=True)]
            for row in constraint.values
        ]
    )

    def holds(values: Values) -> Mask:
        return _is_listed(np.stack([values[column.name] for column in columns], axis=1), listed)

    return _Rule(constraint, holds)


def _listed(column: LearntColumn, word: str | None) -> float:
    return np.nan if word is None else word_value(column, word)


def _is_listed(rows: Floats, listed: Floats) -> Mask:
    """Whether each row is one of the listed rows; NaN equals NaN.

    Column by column, the rows and the list are renumbered by what they agree on so far: the numbers stay
    small however many columns there are.
    """
    state, listed_state = np.zeros(len(rows), np.int64), np.zeros(len(listed), np.int64)
    for place in range(listed.shape[1]):
        points = np.unique(listed[:, place])  # NaN, if any, comes last and once
        step = len(points) + 1
        key = state * step + _position(points, rows[:, place])
        known, listed_state = np.unique(
            listed_state * step + _position(points, listed[:, place]), return_inverse=True
        )
        state = _position(known, key)
        state[state == len(known)] = len(listed)  # beyond all that is listed, and stays so
    met: Mask = state < len(listed)
    return met


def _position(points: NDArray[Any], values: NDArray[Any]) -> Codes:
    """Where each value stands in sorted points, or ``len(points)`` where it does not."""
    places = np.minimum(np.searchsorted(points, values), len(points) - 1)
    same = points[places] == values
    if np.issubdtype(points.dtype, np.floating):
        same |= np.isnan(points[places]) & np.isnan(values)
    return np.where(same, places, len(points))


def _implication(constraint: Implication, schema: Schema) -> _Rule:
    premise = bind(constraint.if_, schema, expects="truth")
    conclusion = bind(constraint.then, schema, expects="truth")

    def holds(values: Values) -> Mask:
        broken: Mask = (truth(premise, values) == 1) & (truth(conclusion, values) == -1)
        return ~broken

    assigned = assignments(conclusion)
    possible = all(_may_be(_learnt(schema, name), value) for name, value in assigned.items())
    enforce = partial(_assign, assigned) if assigned and possible else None
    return _Rule(constraint, holds, enforce)


def _may_be(column: LearntColumn, value: float) -> bool:
    return column.missing if np.isnan(value) else bool(grid(column).contains(np.array([value]))[0])


def _assign(assigned: Mapping[str, float], part: dict[str, Floats], broken: Mask) -> None:
    for name, value in assigned.items():
        part[name][broken] = value


def _formula(constraint: Formula, schema: Schema) -> _Rule:
    column = _learnt(schema, constraint.column)
    expression: Expression = bind(constraint.equals, schema, expects="number")
    domain = grid(column)

    def holds(values: Values) -> Mask:
        present, result = values[column.name], compute(expression, values)
        # At an exact half both neighbours are right: people round it up, computers to even.
        half = (0.5 + 1e-9) / domain.scale + 2 * np.spacing(np.abs(result))
        with np.errstate(invalid="ignore"):
            broken: Mask = np.abs(present - result) > half
        if not column.missing:
            broken = broken | (np.isnan(present) & ~np.isnan(result))
        return ~broken

    def enforce(part: dict[str, Floats], broken: Mask) -> None:
        part[column.name][broken] = domain.snap(compute(expression, part))[broken]

    return _Rule(constraint, holds, enforce)


def _present_together(constraint: PresentTogether, schema: Schema) -> _Rule:
    names = constraint.columns

    def holds(values: Values) -> Mask:
        absent = np.count_nonzero([np.isnan(values[name]) for name in names], axis=0)
        whole: Mask = (absent == 0) | (absent == len(names))
        return whole

    possible = all(_learnt(schema, name).missing for name in names)
    enforce = partial(_assign, dict.fromkeys(names, np.nan)) if possible else None
    return _Rule(constraint, holds, enforce)
