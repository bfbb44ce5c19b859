"""Codes become small digits for neural generators and come back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.encoding import encode
from ehrsynth.encoding.tensors import MOST_STATES, from_digits, layout, on_grid, to_digits
from ehrsynth.errors import DataError
from ehrsynth.schema import DateColumn, DatetimeColumn, DurationColumn, IntegerColumn, NumberColumn, Schema
from strategies import schemas, schemas_with_tables


def one(column):
    return Schema(name="one", columns=(column,))


@given(schemas_with_tables())
def test_codes_survive_digits_exactly(drawn):
    schema, table = drawn
    codes = encode(table, schema)
    digits = to_digits(codes, schema)
    assert digits.dtype == torch.int64
    assert (from_digits(digits, schema) == codes).all()
    assert on_grid(digits, schema).all()


@given(schemas_with_tables(min_rows=1))
def test_every_digit_stays_within_its_states(drawn):
    schema, table = drawn
    digits, states = to_digits(encode(table, schema), schema), [d.states for d in layout(schema)]
    assert digits.shape == (len(table), len(states))
    assert (digits >= 0).all()
    assert (digits < torch.tensor(states)).all()


@given(schemas())
def test_no_digit_has_more_states_than_a_byte(schema):
    digits = layout(schema)
    assert all(1 <= digit.states <= MOST_STATES for digit in digits)
    assert [d.place for d in digits if d.order == 0] == list(range(len(schema.learnt)))
    alone = {p for p in range(len(schema.learnt)) if sum(d.place == p for d in digits) == 1}
    assert alone == {p for p, c in enumerate(schema.learnt) if c.size + c.missing <= MOST_STATES}


@given(schemas(), st.randoms(use_true_random=False))
def test_whatever_a_model_draws_is_read_as_codes_of_the_grid(schema, random):
    drawn = [[random.randrange(d.states) for d in layout(schema)] for _ in range(5)]
    digits = torch.tensor(drawn, dtype=torch.int64)
    codes = from_digits(digits, schema)
    for place, column in enumerate(schema.learnt):
        assert codes[:, place].min() >= (-1 if column.missing else 0)
        assert codes[:, place].max() < column.size
    kept = on_grid(digits, schema)
    again = from_digits(to_digits(codes, schema), schema)
    assert (again == codes).all()
    # A drawn row that needs no clipping says the same as the row that was read, up to digits under missing.
    assert (from_digits(digits[torch.from_numpy(kept)], schema) == codes[kept]).all()


def test_missing_is_the_last_state_of_the_first_digit():
    schema = one(IntegerColumn(name="x", minimum=0, maximum=9_999, missing=True))
    coarse, fine = layout(schema)
    assert (coarse.states, coarse.missing, fine.states, fine.missing) == (101, 100, 100, None)
    assert to_digits(np.array([[-1], [1234]]), schema).tolist() == [[100, 0], [12, 34]]


def test_missing_counts_among_the_256_states():
    def digits(*, missing):
        column = IntegerColumn(name="x", minimum=0, maximum=255, missing=missing)
        return [digit.states for digit in layout(one(column))]

    assert digits(missing=False) == [256]
    assert digits(missing=True) == [4, 100]


def test_digits_past_the_grid_are_clipped_and_told():
    schema = one(IntegerColumn(name="x", minimum=50, maximum=1_049))
    assert [d.states for d in layout(schema)] == [11, 100]
    drawn = torch.tensor([[0, 0], [10, 99], [5, 7]])
    assert from_digits(drawn, schema)[:, 0].tolist() == [0, 999, 457]
    assert on_grid(drawn, schema).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("column", "code", "digits"),
    [
        # -1.5 is code 0; 12.00 has an even hundred of ticks, so its last digit is 0 whatever the minimum is.
        (NumberColumn(name="x", minimum=-1.5, maximum=90, decimals=2), 1350, [14, 0]),
        # 1970-01-01 was a Thursday; 196 days are 28 weeks: the last digit modulo 7 is the weekday.
        (DateColumn(name="x", minimum="1970-01-02", maximum="2020-01-01"), 6, [0, 7]),
        (
            DatetimeColumn(name="x", minimum="1970-01-01T23:59:59", maximum="2020-01-01"),
            1,
            [0, 1, 0, 0, 0],
        ),
        (
            DatetimeColumn(name="x", minimum="1970-01-01", maximum="2020-01-01"),
            2 * 86_400 + 13 * 3600 + 45 * 60 + 10,
            [0, 2, 13, 45, 10],
        ),
        (
            DurationColumn(name="x", minimum=0, maximum=99_999, unit="minutes", format="HH:MM"),
            26 * 60 + 5,
            [1, 2, 5],
        ),
    ],
)
def test_heaps_stay_heaps_of_a_digit(column, code, digits):
    assert to_digits(np.array([[code]]), one(column)).tolist() == [digits]


def test_codes_that_the_schema_does_not_allow_are_refused():
    schema = one(IntegerColumn(name="x", minimum=0, maximum=9))
    with pytest.raises(DataError, match="'x': 2 codes are outside 0 to 9"):
        to_digits(np.array([[-1], [10], [3]]), schema)
