"""Conditions that the schema's rules between columns forbid, told before anything is drawn.

A condition's boxes are held against one rule at a time. What several rules forbid only together, and what a
formula forbids, is left to the search of the generator, which ends with an error of its own.
"""

from collections.abc import Iterator

import numpy as np

from ehrsynth.conditions import Box, CodeSet, Condition, Sets, without
from ehrsynth.errors import ConditionError
from ehrsynth.schema import (
    Constraint,
    FixedCombination,
    Implication,
    Inequality,
    LearntColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.schema.binding import columns_of
from ehrsynth.schema.meanings import word_value
from ehrsynth.tables.grids import grid

_MOST_PIECES = 256  # of a box, while what a rule forbids is cut from it


def refuse_forbidden(condition: Condition) -> None:
    """Raise if the schema's rules forbid every patient who meets a condition.

    Raises
    ------
    ConditionError
        If they do; names these rules.
    """
    rules = condition.schema.constraints
    said = "; ".join(
        f"constraint {place + 1} ({rules[place].kind} of {_listed(rules[place])})"
        for place in forbidding(condition)
    )
    if said:
        raise ConditionError(
            f"no patient can meet the condition {condition.text}\n  the schema's rules forbid it: {said}"
        )


def forbidding(condition: Condition) -> tuple[int, ...]:
    """The places of the schema's rules that forbid every patient who meets a condition; none if one may."""
    broken = [next(_breaking(box, condition.schema), None) for box in condition.boxes]
    places = {place for place in broken if place is not None}
    return () if None in broken else tuple(sorted(places))


def _listed(rule: Constraint) -> str:
    return ", ".join(map(repr, sorted(columns_of(rule))))


def _breaking(box: Box, schema: Schema) -> Iterator[int]:
    """The numbers of the rules that every patient in a box breaks."""
    columns = {column.name: column for column in schema.learnt}
    for place, rule in enumerate(schema.constraints):
        if columns_of(rule) & box.keys() and _breaks(rule, box, columns, schema):
            yield place


def _breaks(rule: Constraint, box: Box, columns: dict[str, LearntColumn], schema: Schema) -> bool:
    names = sorted(columns_of(rule))
    sets = {name: box.get(name) or _all(columns[name]) for name in names}
    match rule:
        case PresentTogether():
            present = any(not codes.missing for codes in sets.values())
            return present and any(not codes.intervals for codes in sets.values())
        case Inequality():
            low, high = sets[rule.low], sets[rule.high]
            if low.missing or high.missing or not low.intervals or not high.intervals:
                return False
            least = grid(columns[rule.low]).value(low.intervals[0][0])
            most = grid(columns[rule.high]).value(high.intervals[-1][1])
            return least >= most if rule.strict else least > most
        case FixedCombination():
            return not any(
                all(_holds(sets[n], columns[n], word) for n, word in zip(rule.columns, row, strict=True))
                for row in rule.values
            )
        case Implication():
            return _is_covered(tuple(sets.values()), _against(rule, names, columns, schema))
    return False


def _all(column: LearntColumn) -> CodeSet:
    return CodeSet(((0, column.size - 1),), column.missing)


def _holds(codes: CodeSet, column: LearntColumn, word: str | None) -> bool:
    if word is None:
        return codes.missing
    code = int(grid(column).codes(np.array([word_value(column, word)]))[0])
    return any(low <= code <= high for low, high in codes.intervals)


def _against(
    rule: Implication, names: list[str], columns: dict[str, LearntColumn], schema: Schema
) -> list[Sets]:
    """Boxes over the rule's columns in which it is broken for sure."""
    try:
        broken = Condition.parse(f"({rule.if_}) and not ({rule.then})", schema)
    except ConditionError:
        return []  # nobody can break it
    if not broken.exact:
        return []
    return [tuple(box.get(name) or _all(columns[name]) for name in names) for box in broken.boxes]


def _is_covered(box: Sets, holes: list[Sets]) -> bool:
    """Whether nothing is left of a box without the holes."""
    pieces = [box]
    for hole in holes:
        pieces = [piece for part in pieces for piece in without(part, hole)]
        if len(pieces) > _MOST_PIECES:
            return False
    return not pieces
