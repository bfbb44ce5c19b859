"""A table becomes codes and comes back, exactly, whatever its schema."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from ehrsynth.encoding import codes_to_values, decode, encode, encoding, values_to_codes
from ehrsynth.errors import DataError, RequestError
from ehrsynth.registry import known
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IntegerColumn,
    NumberColumn,
    Schema,
)
from strategies import in_memory, schemas_with_tables

MOMENT = "1999-12-31T00:00:00"


def one(column):
    return Schema(name="one", columns=(column,))


def codes_of(column, cells):
    schema = one(column)
    table = in_memory(cells, column).to_frame()
    codes = encode(table, schema)
    pd.testing.assert_frame_equal(decode(codes, schema), table)
    return codes[:, 0].tolist()


@given(schemas_with_tables())
def test_a_table_survives_codes_exactly(drawn):
    schema, table = drawn
    codes = encode(table, schema)
    assert codes.dtype == np.int64
    assert codes.shape == (len(table), len(schema.learnt))
    pd.testing.assert_frame_equal(decode(codes, schema), table)


@given(schemas_with_tables(min_rows=1))
def test_codes_stay_on_their_grid_and_missing_is_minus_one(drawn):
    schema, table = drawn
    codes = encode(table, schema)
    sizes = np.array([column.size for column in schema.learnt])
    assert (codes < sizes).all()
    absent = table[[column.name for column in schema.learnt]].isna().to_numpy()
    assert ((codes == -1) == absent).all()
    assert (codes >= -1).all()


@given(schemas_with_tables())
def test_codes_survive_values_exactly(drawn):
    schema, table = drawn
    codes = encode(table, schema)
    assert (values_to_codes(codes_to_values(codes, schema), schema) == codes).all()


@pytest.mark.parametrize(
    ("column", "cells", "codes"),
    [
        (IntegerColumn(name="x", minimum=-3, maximum=9, missing=True), [-3, 0, 9, None], [0, 3, 12, -1]),
        (IntegerColumn(name="x", minimum=0, maximum=2**53 - 1), [2**53 - 1], [2**53 - 1]),
        (IntegerColumn(name="x", minimum=1, maximum=2**53), [2**53, 2**53 - 1], [2**53 - 1, 2**53 - 2]),
        (NumberColumn(name="x", minimum=-0.3, maximum=1.1, decimals=1), [-0.3, 0.3, 1.1], [0, 6, 14]),
        (NumberColumn(name="x", minimum=0, maximum=1, decimals=9), [1e-9, 0.123456789], [1, 123456789]),
        (
            CategoryColumn(name="x", values=("b", "a"), missing=True),
            ["a", None, "b"],
            [1, -1, 0],
        ),
        (CodeColumn(name="x", values=("410.1", "V10")), ["V10"], [1]),
        (BooleanColumn(name="x", missing=True), [False, True, None], [0, 1, -1]),
        (
            DateColumn(name="x", minimum="1969-12-30", maximum="1970-02-01", missing=True),
            [dt.date(1969, 12, 31), dt.date(1970, 1, 1), None],
            [1, 2, -1],
        ),
        (
            DatetimeColumn(name="x", minimum=MOMENT, maximum="2000-01-02", missing=True),
            [dt.datetime(2000, 1, 1, 0, 0, 1), None],  # noqa: DTZ001
            [86_401, -1],
        ),
        (DurationColumn(name="x", minimum=0, maximum=9, unit="days", decimals=1), [0.7], [7]),
    ],
)
def test_known_codes(column, cells, codes):
    assert codes_of(column, cells) == codes


def test_a_careless_decimal_is_the_grid_point_next_to_it():
    column = NumberColumn(name="x", minimum=0, maximum=1, decimals=1)
    assert encode(pd.DataFrame({"x": [0.1 + 0.2]}), one(column)).tolist() == [[3]]


def test_values_off_the_grid_are_rounded_and_clipped():
    schema = one(NumberColumn(name="x", minimum=0, maximum=1, decimals=1))
    values = {"x": np.array([0.26, -7.0, np.inf, np.nan])}
    assert values_to_codes(values, schema)[:, 0].tolist() == [3, 0, 10, -1]


def test_all_columns_that_do_not_fit_are_listed_without_a_value():
    schema = Schema(
        name="s",
        columns=(
            IntegerColumn(name="age", minimum=0, maximum=120),
            NumberColumn(name="dose", minimum=0, maximum=1, decimals=1),
        ),
    )
    table = pd.DataFrame({"age": pd.array([777, 5], dtype="Int64"), "dose": [0.777, np.inf]})
    with pytest.raises(DataError, match="'age': 1 values") as caught:
        encode(table, schema)
    assert "'dose': 2 values" in str(caught.value)
    assert "777" not in str(caught.value)


def test_codes_off_the_grid_are_refused():
    schema = one(BooleanColumn(name="x"))
    with pytest.raises(DataError, match="'x': 2 codes"):
        decode(np.array([[2], [0], [-2]]), schema)


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        (pd.Series(["a", "b"]), "is object in memory"),
        (pd.Series(pd.Categorical(["a", "b"], categories=["a", "b"])), "other categories"),
    ],
)
def test_a_table_that_was_not_read_by_its_schema_is_refused(series, problem):
    schema = one(CategoryColumn(name="x", values=("b", "a")))
    with pytest.raises(DataError, match=problem):
        encode(series.to_frame("x"), schema)


def test_an_absent_column_is_named():
    with pytest.raises(DataError, match="'x' is absent"):
        encode(pd.DataFrame({"y": [1.0]}), one(NumberColumn(name="x", minimum=0, maximum=1, decimals=0)))


def test_ancestors_group_codes_by_their_first_characters():
    column = CodeColumn(name="dx", values=("410.11", "410.2", "V10", "410.12", "41"), system="ICD-9")
    coarse, middle, fine = (encoding(column).ancestors(level).tolist() for level in range(3))
    assert coarse == [0, 0, 1, 0, 2]
    assert middle == [0, 1, 2, 0, 3]
    assert fine == [0, 1, 2, 3, 4]


def test_a_level_that_is_not_there_is_refused():
    with pytest.raises(RequestError, match="it has 3"):
        encoding(CodeColumn(name="dx", values=("410",), system="ICD-9")).ancestors(3)


@pytest.mark.parametrize("kind", known("column kind"))
def test_every_registered_kind_is_tried_by_these_tests(kind):
    from strategies import KINDS

    assert kind in KINDS
