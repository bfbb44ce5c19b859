"""Expressions bound to a schema (placeholder while the room is being furnished)."""

from ehrsynth.schema.constraints import Constraint


def constraint_problems(schema: object) -> list[str]:
    return []


def columns_of(constraint: Constraint) -> frozenset[str]:
    return frozenset()
