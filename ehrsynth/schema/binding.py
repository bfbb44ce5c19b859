"""Expressions bound to a schema: names and types checked, words and dates turned into numbers.

Bound expressions compute in expression space: the number itself; the position of a category or code in its
list; 0 and 1 for a boolean; days since 1970-01-01 for a date; seconds since then for a datetime.

- Ordered categories compare by position; unordered ones, codes and booleans only with ``==``, ``!=``, ``in``.
- A date minus a date is a number of days, a datetime minus a datetime a number of seconds; a number of
  days or seconds can be added again. Booleans count as 0 and 1 in a sum.
- Durations keep their unit through sums: hours do not compare with days. A product has no unit.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from ehrsynth.errors import ExpressionError
from ehrsynth.expressions import Expression, parse, quoted
from ehrsynth.schema.binder import Binder
from ehrsynth.schema.columns import (
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
)
from ehrsynth.schema.constraints import (
    Constraint,
    FixedCombination,
    Formula,
    Implication,
    Inequality,
    PresentTogether,
)
from ehrsynth.schema.meanings import Meaning, meaning_of, same_unit, unknown_word, word_value

if TYPE_CHECKING:  # schema.py asks this module about its constraints
    from ehrsynth.schema.schema import Schema

__all__ = ["bind", "bind_value", "columns_of", "constraint_problems", "word_value"]


def bind(text: str, schema: "Schema", *, expects: Literal["truth", "number"]) -> Expression:
    """Parse an expression and turn its words and dates into numbers, by a schema.

    Parameters
    ----------
    expects
        "truth" for a condition, "number" for a formula (dates are numbers of days, datetimes of seconds).

    Raises
    ------
    ExpressionError
        If it does not parse, names a column that is absent or an identifier, or mixes types; the message
        points at the word and says what the schema allows.
    """
    if expects == "number":
        return bind_value(text, schema)[0]
    expression = parse(text)
    return Expression(text, Binder(text, schema).truth(expression.root))


def bind_value(text: str, schema: "Schema") -> tuple[Expression, Meaning]:
    """As `bind` of a number, with what the number means."""
    expression, binder = parse(text), Binder(text, schema)
    node, meaning = binder.value(expression.root)
    if meaning.family in {"literal", "word", "boolean"}:
        raise binder.error(node, f"expected a number, not {meaning}")
    return Expression(text, node), meaning


def columns_of(constraint: Constraint) -> frozenset[str]:
    """The names of all columns that a constraint mentions."""
    match constraint:
        case Inequality():
            return frozenset({constraint.low, constraint.high})
        case Implication():
            return parse(constraint.if_).columns | parse(constraint.then).columns
        case Formula():
            return parse(constraint.equals).columns | {constraint.column}
    return frozenset(constraint.columns)


def constraint_problems(schema: "Schema") -> list[str]:
    """Everything that is wrong with a schema's constraints, one sentence each; empty when all is well."""
    found = []
    for place, constraint in enumerate(schema.constraints, 1):
        found += [f"constraint {place} ({constraint.kind}): {p}" for p in _problems(constraint, schema)]
    return found or list(_formula_problems(schema))


def _problems(constraint: Constraint, schema: "Schema") -> Iterable[str]:
    match constraint:
        case Inequality():
            return _inequality_problems(constraint, schema)
        case Implication():
            sides = (constraint.if_, constraint.then)
            return [p for text in sides for p in _expression_problems(text, schema)]
        case Formula():
            return _equals_problems(constraint, schema)
        case FixedCombination():
            return _listed_problems(constraint, schema) or _combination_problems(constraint, schema)
        case PresentTogether():
            return _listed_problems(constraint, schema)


def _name_problems(names: Iterable[str], schema: "Schema") -> list[str]:
    learnt = tuple(c.name for c in schema.learnt)
    found = []
    for name in names:
        if name not in schema.names:
            found.append(unknown_word("column", name, learnt))
        elif name not in learnt:
            found.append(f"column {name!r} is an identifier: rules are for what is learnt")
    return found


def _expression_problems(text: str, schema: "Schema") -> list[str]:
    try:
        bind(text, schema, expects="truth")
    except ExpressionError as error:
        return [f"in {text!r}: {error.problem}"]
    return []


def _inequality_problems(rule: Inequality, schema: "Schema") -> list[str]:
    if rule.low == rule.high:
        return [f"low and high are the same column {rule.low!r}"]
    names = _name_problems((rule.low, rule.high), schema)
    return names or _expression_problems(f"{quoted(rule.low)} <= {quoted(rule.high)}", schema)


def _listed_problems(rule: FixedCombination | PresentTogether, schema: "Schema") -> list[str]:
    twice = [name for name, count in Counter(rule.columns).items() if count > 1]
    return [f"column {name!r} stands more than once in it" for name in twice] + _name_problems(
        dict.fromkeys(rule.columns), schema
    )


def _combination_problems(rule: FixedCombination, schema: "Schema") -> Iterator[str]:
    for place, row in enumerate(rule.values, 1):
        for name, word in zip(rule.columns, row, strict=True):
            if problem := _cell_problem(schema.column(name), word):
                yield f"combination {place}: {problem}"
    twice = sum(count - 1 for count in Counter(rule.values).values())
    if twice:
        yield f"combinations are listed more than once: {twice} too many"


def _cell_problem(column: LearntColumn | IdentifierColumn, word: str | None) -> str:
    if isinstance(column, IdentifierColumn) or word is None:
        return "" if column.missing else f"column {column.name!r} may not be missing"
    try:
        value = word_value(column, word)
    except ValueError as error:
        return str(error)
    if isinstance(column, IntegerColumn | NumberColumn | DurationColumn):
        low, high = column.minimum, column.maximum
        decimals = 0 if isinstance(column, IntegerColumn) else column.decimals
        if not (low <= value <= high and round(value, decimals) == value):
            return f"column {column.name!r} has no value {word}: {low} to {high}, decimals {decimals}"
    return ""


def _equals_problems(rule: Formula, schema: "Schema") -> list[str]:
    problems = _name_problems((rule.column,), schema)
    if problems:
        return problems
    column = schema.column(rule.column)
    if isinstance(column, IdentifierColumn):
        return []
    wanted = meaning_of(column)
    if wanted.family in {"word", "boolean"}:
        return [f"{wanted} cannot be computed: a formula gives a number or a date"]
    try:
        meaning = bind_value(rule.equals, schema)[1]
    except ExpressionError as error:
        return [f"in {rule.equals!r}: {error.problem}"]
    if wanted.family != meaning.family or not same_unit(wanted.unit, meaning.unit):
        return [f"{wanted} is not what {rule.equals!r} gives, which is {meaning}"]
    return []


def _formula_problems(schema: "Schema") -> Iterator[str]:
    """Formulas are recomputed one after the other: each column once, and none from itself."""
    rules = [c for c in schema.constraints if isinstance(c, Formula)]
    for name, count in Counter(rule.column for rule in rules).items():
        if count > 1:
            yield f"column {name!r} has {count} formulas; it can have one"
    computed = {rule.column for rule in rules}
    needs = {rule.column: parse(rule.equals).columns & computed for rule in rules}
    while ready := [name for name, others in needs.items() if not others]:
        needs = {n: others.difference(ready) for n, others in needs.items() if n not in ready}
    if needs:
        yield f"formulas go round in a circle: {', '.join(sorted(needs))}"
