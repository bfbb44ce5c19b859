"""Columns become numbers for expressions and come back, exactly."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from ehrsynth.errors import DataError
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.tables.grids import grid
from ehrsynth.tables.values import from_values, identifiers, to_values
from strategies import in_memory, schemas_with_tables


@given(schemas_with_tables(min_rows=1))
def test_a_table_survives_values_exactly(drawn):
    schema, table = drawn
    values = to_values(table, schema)
    assert list(values) == [column.name for column in schema.learnt]
    assert all(array.dtype == np.float64 for array in values.values())
    if schema.learnt:
        pd.testing.assert_frame_equal(from_values(values, schema), table)


@given(schemas_with_tables())
def test_values_lie_on_the_grid_or_are_missing(drawn):
    schema, table = drawn
    for name, array in to_values(table, schema).items():
        assert (grid(schema.column(name)).contains(array) | np.isnan(array)).all()


@given(schemas_with_tables(min_rows=1))
def test_reading_values_leaves_the_table_alone(drawn):
    schema, table = drawn
    before = table.copy(deep=True)
    for array in to_values(table, schema).values():
        array[:] = 0
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        (CategoryColumn(name="x", values=("M", "F")), "F", 1),
        (BooleanColumn(name="x", true="N", false="Y"), True, 1),
        (DateColumn(name="x", minimum="1960-01-01", maximum="2000-01-01"), dt.date(1969, 12, 31), -1),
        (
            DatetimeColumn(name="x", minimum="1960-01-01", maximum="2000-01-01"),
            dt.datetime(1969, 12, 31, 23, 59, 59),  # noqa: DTZ001 - tables hold moments without a zone
            -1,
        ),
    ],
)
def test_known_values(column, cell, value):
    table = in_memory([cell], column).to_frame()
    assert to_values(table, Schema(name="s", columns=(column,)))["x"].tolist() == [value]


def test_identifiers_are_made_anew():
    schema = Schema(
        name="s",
        columns=(
            IdentifierColumn(name="id", pattern="P-###/x"),
            IntegerColumn(name="x", minimum=0, maximum=9),
        ),
    )
    table = from_values({"x": np.array([1.0, 2.0])}, schema, first_id=41)
    assert table["id"].tolist() == ["P-041/x", "P-042/x"]
    assert table["id"].dtype == "string"


def test_a_running_number_that_outgrows_its_pattern_stays_unique():
    assert identifiers(IdentifierColumn(name="id", pattern="#"), 2, 9).tolist() == ["9", "10"]


def test_a_table_of_other_dtypes_is_refused_column_by_column():
    schema = Schema(
        name="s",
        columns=(
            IntegerColumn(name="a", minimum=0, maximum=9),
            DateColumn(name="b", minimum="2000-01-01", maximum="2001-01-01"),
            IntegerColumn(name="c", minimum=0, maximum=9),
        ),
    )
    with pytest.raises(DataError) as caught:
        to_values(pd.DataFrame({"a": [1.5], "b": ["2000-01-01"]}), schema)
    assert len(caught.value.problems) == 3
    assert "column 'a' is float64 in memory; a integer column is Int64" in caught.value.problems


def test_decimals_beyond_fifteen_digits_are_no_grid():
    with pytest.raises(ValueError, match="15 digits"):
        NumberColumn(name="x", minimum=0, maximum=9e14, decimals=1)
