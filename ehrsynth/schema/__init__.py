"""The schema: columns, roles, constraints and where each item comes from. Reads no data."""

from ehrsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    Column,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    Role,
    Source,
)
from ehrsynth.schema.constraints import (
    Constraint,
    FixedCombination,
    Formula,
    Implication,
    Inequality,
    PresentTogether,
)
from ehrsynth.schema.schema import LeftOut, PublicRows, Schema

__all__ = [
    "BooleanColumn",
    "CategoryColumn",
    "CodeColumn",
    "Column",
    "Constraint",
    "DateColumn",
    "DatetimeColumn",
    "DurationColumn",
    "FixedCombination",
    "Formula",
    "IdentifierColumn",
    "Implication",
    "Inequality",
    "IntegerColumn",
    "LearntColumn",
    "LeftOut",
    "NumberColumn",
    "PresentTogether",
    "PublicRows",
    "Role",
    "Schema",
    "Source",
]
