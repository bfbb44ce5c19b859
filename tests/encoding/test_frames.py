"""Codes become a frame that a package without a schema can learn, and come back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from ehrsynth.encoding import encode
from ehrsynth.encoding.frames import discrete_columns, from_plain_frame, plain_columns, to_plain_frame
from ehrsynth.errors import DataError
from ehrsynth.schema import CategoryColumn, IntegerColumn, NumberColumn, Schema
from strategies import schemas_with_tables

SCHEMA = Schema(
    name="s",
    columns=(
        NumberColumn(name="bp", minimum=50, maximum=250, decimals=0, missing=True),
        IntegerColumn(name="gcs", minimum=3, maximum=15, missing=True),
        CategoryColumn(name="sex", values=("F", "M"), missing=True),
        NumberColumn(name="bp·missing", minimum=0, maximum=99, decimals=0),
    ),
)
CODES = np.array([[0, 0, -1, 3], [-1, -1, 0, 4], [200, 12, 1, 5], [-1, 1, 1, 6]])


@given(schemas_with_tables())
def test_codes_survive_a_plain_frame_exactly(drawn):
    schema, table = drawn
    codes = encode(table, schema)
    assert (from_plain_frame(to_plain_frame(codes, schema), schema) == codes).all()


@given(schemas_with_tables(min_rows=1))
def test_a_plain_frame_has_no_gap_and_only_floats_and_words(drawn):
    schema, table = drawn
    frame = to_plain_frame(encode(table, schema), schema)
    assert not frame.isna().any().any()
    words = set(discrete_columns(schema))
    assert {name for name in frame if frame[name].dtype == object} == words
    assert all(frame[name].dtype == np.float64 for name in set(frame) - words)
    assert frame.columns.is_unique


def test_known_frame():
    frame = to_plain_frame(CODES, SCHEMA)
    assert frame["bp"].tolist() == [50.0, 50.0, 250.0, 250.0]  # gaps take the present values in turn
    assert frame["bp·missing·missing"].tolist() == ["present", "missing", "present", "missing"]
    assert frame["gcs"].tolist() == ["0", "missing", "12", "1"]
    assert frame["sex"].tolist() == ["missing", "0", "1", "1"]
    assert frame["bp·missing"].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert discrete_columns(SCHEMA) == ["bp·missing·missing", "gcs", "sex"]


def test_the_schema_alone_decides_what_is_discrete():
    one_value = np.zeros((3, 4), np.int64)
    assert [p.is_discrete for p in plain_columns(SCHEMA)] == [False, True, True, False]
    assert list(to_plain_frame(one_value, SCHEMA)) == list(to_plain_frame(CODES, SCHEMA))


def test_drawn_numbers_are_rounded_and_clipped():
    frame = to_plain_frame(CODES, SCHEMA)
    frame["bp"] = [-900.0, 80.0, 99.6, 1e9]
    frame["bp·missing·missing"] = ["present", "missing", "present", "present"]
    assert from_plain_frame(frame, SCHEMA)[:, 0].tolist() == [0, -1, 50, 200]


def test_a_frame_with_strange_words_is_refused_without_naming_them():
    frame = to_plain_frame(CODES, SCHEMA)
    frame["sex"] = ["F", "0", "1", "2"]
    with pytest.raises(DataError, match="'sex': 2 words") as caught:
        from_plain_frame(frame.drop(columns="gcs"), SCHEMA)
    assert "column 'gcs' is absent" in str(caught.value)
    assert "'F'" not in str(caught.value)


def test_missing_where_the_schema_allows_none_is_refused():
    with pytest.raises(DataError, match="'bp·missing': 1 values are missing"):
        to_plain_frame(np.array([[0, 0, 0, -1]]), SCHEMA)


def test_a_column_without_a_present_value_is_filled_with_the_middle_of_its_bounds():
    frame = to_plain_frame(np.array([[-1, 0, 0, 0]]), SCHEMA)
    assert isinstance(frame, pd.DataFrame)
    assert frame["bp"].tolist() == [150.0]
