"""The kinds of outcome, and each patient's value of one.

| kind | from | value | average |
|---|---|---|---|
| numeric | a number, whole number or duration | the number | mean |
| binary | a boolean, two values, or ``name = expression`` | 0 or 1 | share |
| ordinal | an ordered category of three or more | position, from 0 | mean position, share of each value |
| horizon | the roles time and event | 1: the event came by the horizon | cumulative incidence |
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import RequestError, unknown
from ehrsynth.evaluation.matrix import is_discrete
from ehrsynth.evaluation.strata import is_listed, level_name
from ehrsynth.expressions import truth
from ehrsynth.schema import (
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    LearntColumn,
    Role,
    Schema,
)
from ehrsynth.schema.binding import bind, word_value
from ehrsynth.tables.grids import Grid, grid
from ehrsynth.tables.values import to_values

Floats = NDArray[np.float64]
Kind = Literal["numeric", "binary", "ordinal", "horizon"]
Censoring = Literal["ipcw", "pseudo"]

LATER: tuple[Role, ...] = ("outcome", "time", "event")
_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)\s*(.+)", re.DOTALL)
_TWO = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome.

    Parameters
    ----------
    columns
        The columns that it is read from.
    levels
        The words of its values, from the lowest; empty for a number.
    steps
        The grid of a number's values, which draws are put on; None for the other kinds.
    expression
        What makes a patient count as 1, where it was written by hand.
    horizon, cause, censoring
        For the kind "horizon": the last time that counts, the code of the event, and how patients whose
        follow-up ended before are accounted for.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    levels: tuple[str, ...] = ()
    steps: Grid | None = None
    unit: str = ""
    expression: str = ""
    horizon: float = float("nan")
    cause: int = 1
    causes: int = 1
    censoring: Censoring = "ipcw"

    @property
    def discrete(self) -> bool:
        """Whether its values are listed."""
        return self.kind != "numeric"

    @property
    def event(self) -> bool:
        """Whether its average is a share of patients."""
        return self.kind in {"binary", "horizon"}

    @property
    def described(self) -> str:
        """In words, for a report."""
        if self.expression:
            return f"{self.name}: {self.expression}"
        if self.kind == "horizon":
            return (
                f"{self.name} (censoring by {'IPCW' if self.censoring == 'ipcw' else 'pseudo-observations'})"
            )
        return f"{self.name} ({self.kind}{f', in {self.unit}' if self.unit else ''})"


def outcome_of(text: str, schema: Schema) -> Outcome:
    """An outcome from a column's name or from ``name = expression``.

    Raises
    ------
    RequestError
        If the column is unknown, has not the role outcome, or is of a kind that has no average.
    """
    named = _NAMED.fullmatch(text)
    if named and text.strip() not in schema.names:
        return _by_expression(named[1], named[2].strip(), schema)
    name = text.strip()
    column = _later_column(name, ("outcome",), schema)
    if column.size < _TWO:
        raise RequestError(f"outcome {name!r} has one value only")
    if column.size == _TWO and is_discrete(column):
        return Outcome(name, "binary", (name,), levels=(level_name(column, 0), level_name(column, 1)))
    if isinstance(column, CategoryColumn) and column.ordered:
        return Outcome(name, "ordinal", (name,), levels=tuple(column.values))
    if is_discrete(column):
        raise RequestError(
            f"outcome {name!r} lists {column.size} values without an order: say ordered: true in the schema,"
            f" or ask for some of them: 'poor = {name} == \"{level_name(column, 0)}\"'"
        )
    if isinstance(column, DateColumn | DatetimeColumn):
        raise RequestError(f"outcome {name!r} is a date, which has no average: use a time since treatment")
    return Outcome(name, "numeric", (name,), steps=grid(column), unit=getattr(column, "unit", ""))


def horizon_outcome(horizon: float, cause: str, censoring: Censoring, *, schema: Schema) -> Outcome:
    """Whether an event came by a horizon, from the first columns with the roles time and event.

    Parameters
    ----------
    horizon
        In the unit of the time column, above 0: events at the horizon itself count.
    cause
        The value of the event column that counts; others but the first compete. May be empty when the
        column has two values. The first value (false, for a boolean) means that follow-up ended without.

    Raises
    ------
    RequestError
        If the schema has no such columns, the horizon is not above 0, or it is not said which event counts.
    """
    event = next((c for c in schema.learnt if "event" in c.roles and is_listed(c)), None)
    time = next((c for c in schema.learnt if "time" in c.roles and not is_discrete(c)), None)
    if event is None or time is None:
        raise RequestError(
            "a horizon needs a number with the role time and a listed column with the role event"
        )
    if not horizon > 0:
        raise RequestError(f"the horizon is {horizon:g}: it is a time above 0")
    if not cause and event.size > _TWO:
        words = [level_name(event, code) for code in range(1, event.size)]
        raise RequestError(f"events compete in {event.name!r}: name the cause that counts, one of {words}")
    code = 1
    if cause:
        try:
            code = int(grid(event).codes(np.array([word_value(event, cause)]))[0])
        except ValueError as error:
            raise RequestError(f"cause: {error}") from None
    if code == 0:
        raise RequestError(f"cause {cause!r} is the value that means without event")
    unit = getattr(time, "unit", "")
    name = f"{event.name}{f' {cause}' if cause else ''} within {horizon:g}{f' {unit}' if unit else ''}"
    return Outcome(
        name,
        "horizon",
        (time.name, event.name),
        levels=("no", "yes"),
        unit=unit,
        horizon=float(horizon),
        cause=code,
        causes=max(1, event.size - 1),
        censoring=censoring,
    )


def _by_expression(name: str, text: str, schema: Schema) -> Outcome:
    columns = tuple(sorted(bind(text, schema, expects="truth").columns))
    for column in columns:
        _later_column(column, LATER, schema)
    return Outcome(name, "binary", columns, levels=("no", "yes"), expression=text)


def _later_column(name: str, roles: tuple[Role, ...], schema: Schema) -> LearntColumn:
    known = [n for n in schema.names if any(n in schema.with_role(role) for role in roles)]
    if name not in known:
        raise RequestError(f"{unknown('outcome', name, known)} Give its column the role outcome.")
    column = schema.column(name)
    if isinstance(column, IdentifierColumn):
        raise RequestError(f"outcome {name!r} is an identifier")
    return column


def values_of(outcome: Outcome, table: pd.DataFrame, schema: Schema) -> Floats:
    """Each patient's value of an outcome that is no horizon; NaN where it is not known.

    An expression is known where it is true or false whatever the missing values are.
    """
    values = to_values(table, schema.subset(outcome.columns))
    if not outcome.expression:
        return np.asarray(values[outcome.columns[0]], np.float64)
    # What the whole schema binds, a part of it binds alike.
    found = truth(bind(outcome.expression, schema, expects="truth"), values)
    return np.where(found == 0, np.nan, (found > 0).astype(np.float64))


def follow_up(outcome: Outcome, table: pd.DataFrame, schema: Schema) -> tuple[Floats, Floats]:
    """Time, and the code of the event (0: follow-up ended without); both NaN where one is not known.

    Raises
    ------
    RequestError
        If the event is an identifier.
    """
    values = to_values(table, schema.subset(outcome.columns))
    time, event = (np.asarray(values[name], np.float64) for name in outcome.columns)
    column = schema.column(outcome.columns[1])
    if isinstance(column, IdentifierColumn):
        raise RequestError(f"event {column.name!r} is an identifier")
    codes = grid(column).codes(event).astype(np.float64)
    known = ~np.isnan(time) & ~np.isnan(event)
    return np.where(known, time, np.nan), np.where(known, codes, np.nan)
