"""Which two columns have a time between them, and how long a day is."""

from ehrsynth.schema import (
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    Inequality,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    Schema,
)

SECONDS_A_DAY = 86_400
DAYS_A_YEAR = 365.25


def time_lies_between(schema: Schema, one: LearntColumn, other: LearntColumn) -> bool:
    """Whether one less the other means something: two moments, or numbers that an inequality orders."""
    moments = [isinstance(column, DateColumn | DatetimeColumn) for column in (one, other)]
    if any(moments):
        return all(moments)
    numbers = (isinstance(column, IntegerColumn | NumberColumn | DurationColumn) for column in (one, other))
    ruled = ({rule.low, rule.high} for rule in schema.constraints if isinstance(rule, Inequality))
    return all(numbers) and {one.name, other.name} in ruled
