"""Values gathered in the bands that a schema declares: each becomes the middle of its band.

Bands begin at 0 (dates at 1970-01-01) and are counted in steps of the column's grid, so that their edges do
not depend on the data. The middle is half a width above the edge, rounded down to the grid, and within the
column's bounds: 0 to 4 become 2 in whole numbers, 60.0 to 64.9 become 62.5. To gather twice changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.schema import (
    Column,
    Constraint,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    Inequality,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.schema.binding import columns_of
from ehrsynth.tables.grids import Floats, grid
from ehrsynth.tables.times import DAYS_A_YEAR, SECONDS_A_DAY
from ehrsynth.tables.values import to_values, values_series

Banded = IntegerColumn | NumberColumn | DateColumn | DatetimeColumn | DurationColumn


def band_of(column: LearntColumn) -> float | None:
    """The width of a column's bands, in its unit (dates: days); None where it has none."""
    return column.band if isinstance(column, Banded) else None


def bands_of(schema: Schema) -> dict[str, float]:
    """The widths that a schema declares, by column."""
    return {column.name: width for column in schema.learnt if (width := band_of(column)) is not None}


def years_of(days: int | None) -> int | None:
    """The bands of a date that becomes its year: whole years, None for less than two."""
    years = round((days or 0) / DAYS_A_YEAR)
    return years if years > 1 else None


def days_of(years: float) -> int:
    """The band that a date needs in the schema to become bands of so many years."""
    return int(np.ceil(years * DAYS_A_YEAR))


def middles(values: Floats, column: LearntColumn) -> Floats:
    """Each value's middle; unchanged where the column has no band. NaN stays."""
    width = band_of(column)
    if width is None:
        return values
    at = grid(column)
    width *= SECONDS_A_DAY if isinstance(column, DatetimeColumn) else 1
    # In whole ticks: 0.3 / 0.1 is below 3, and would fall into the band below.
    ticks = np.rint(values * at.scale / at.step)
    each = max(1, round(width * at.scale / at.step))
    middle = (np.floor(ticks / each) * each + each // 2) * at.step / at.scale
    found: Floats = np.clip(middle, at.low, at.high)
    return found


def in_bands(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """A table in memory with each value the middle of its band; the table itself where there are no bands."""
    banded = [column for column in schema.learnt if band_of(column) is not None]
    if not banded:
        return table
    values = to_values(table, schema)
    changed = {
        column.name: values_series(middles(values[column.name], column), column).set_axis(table.index)
        for column in banded
    }
    found = table.assign(**changed)
    found.attrs = dict(table.attrs)
    return found


def with_bands(schema: Schema, bands: Mapping[str, float]) -> Schema:
    """The schema with such bands, without the rules between columns that bands may break."""
    columns = {c.name: _with_band(c, bands.get(c.name)) for c in schema.columns}
    kept = tuple(rule for rule in schema.constraints if keeps(rule, columns, bands))
    return schema.changed(columns=tuple(columns.values()), constraints=kept)


def _with_band(column: Any, width: float | None) -> Any:
    return column if width is None else type(column)(**column.model_dump() | {"band": width})


def keeps(rule: Constraint, columns: Mapping[str, Column], banded: Iterable[str]) -> bool:
    """Whether a rule that held before still holds, whatever the values, once some columns are in bands."""
    if not columns_of(rule) & set(banded) or isinstance(rule, PresentTogether):
        return True
    if not isinstance(rule, Inequality) or rule.strict:
        return False
    return _in_order(columns[rule.low], columns[rule.high])


def _in_order(low: Column, high: Column) -> bool:
    """Equal bands keep an order, unless a bound cuts a middle off on the wrong side."""
    if not isinstance(low, Banded) or not isinstance(high, Banded) or type(low) is not type(high):
        return False
    one, other = grid(low), grid(high)
    if (low.band, one.scale, one.step) != (high.band, other.scale, other.step):
        return False
    lowest, highest = middles(np.array([one.low]), low)[0], middles(np.array([other.high]), high)[0]
    above = one.high <= other.high or (highest < other.high)
    below = one.low <= other.low or (lowest > one.low)
    return bool(above and below)
