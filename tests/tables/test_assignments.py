"""What an expression assigns."""

import numpy as np
import pytest

from ehrsynth.schema import BooleanColumn, CategoryColumn, DateColumn, IntegerColumn, Schema
from ehrsynth.schema.binding import bind
from ehrsynth.tables.assignments import assignments

SCHEMA = Schema(
    name="s",
    columns=(
        IntegerColumn(name="a", minimum=-9, maximum=9, missing=True),
        IntegerColumn(name="b", minimum=0, maximum=9),
        BooleanColumn(name="dead", true="Y", false="N"),
        CategoryColumn(name="sex", values=("M", "F")),
        DateColumn(name="day", minimum="1970-01-01", maximum="1980-01-01"),
    ),
)


@pytest.mark.parametrize(
    ("text", "assigned"),
    [
        ("missing(a)", {"a": np.nan}),
        ("a == -3", {"a": -3.0}),
        ("-3 == a", {"a": -3.0}),
        ("a in (4)", {"a": 4.0}),
        ("dead", {"dead": 1.0}),
        ("not dead", {"dead": 0.0}),
        ('dead == "N"', {"dead": 0.0}),
        ("dead == true", {"dead": 1.0}),
        ('sex == "F"', {"sex": 1.0}),
        ('day == "1970-01-11"', {"day": 10.0}),
        ('a == 1 and (b == 2 and sex == "M")', {"a": 1.0, "b": 2.0, "sex": 0.0}),
    ],
)
def test_assignments(text, assigned):
    np.testing.assert_equal(assignments(bind(text, SCHEMA, expects="truth")), assigned)


@pytest.mark.parametrize(
    "text",
    [
        "a > 3",
        "a != 3",
        "a == b",
        "0 < a == 3",
        "a + 1 == 3",
        "a in (1, 2)",
        "a not in (1)",
        "not missing(a)",
        "a == 1 or b == 2",
        "a == 1 and b > 2",
        "a == 1 and a == 2",
    ],
)
def test_anything_else_assigns_nothing(text):
    assert assignments(bind(text, SCHEMA, expects="truth")) == {}
