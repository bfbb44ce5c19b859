"""What each column kind allows, and what it refuses."""

import datetime as dt

import pytest
from pydantic import ValidationError

from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
)


@pytest.mark.parametrize(
    ("column", "size"),
    [
        (IntegerColumn(name="x", minimum=-3, maximum=3), 7),
        (IntegerColumn(name="x", minimum=5, maximum=5), 1),
        (NumberColumn(name="x", minimum=0, maximum=0.3, decimals=1), 4),
        (NumberColumn(name="x", minimum=-0.07, maximum=0.07, decimals=2), 15),
        (CategoryColumn(name="x", values=("a", "b")), 2),
        (BooleanColumn(name="x"), 2),
        (DateColumn(name="x", minimum="2020-02-28", maximum="2020-03-01"), 3),
        (DatetimeColumn(name="x", minimum="2020-01-01", maximum="2020-01-01T00:01:00"), 61),
        (DurationColumn(name="x", minimum=0, maximum=1.5, decimals=1, unit="hours"), 16),
    ],
)
def test_the_size_is_the_number_of_values(column, size):
    assert column.size == size


BOUNDS = {"name": "x", "minimum": 0, "maximum": 10}
DAYS = {"name": "x", "minimum": "2020-01-01", "maximum": "2020-12-31"}


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (IntegerColumn, BOUNDS | {"minimum": 120, "maximum": 16}, "minimum 120 is above maximum 16"),
        (IntegerColumn, BOUNDS | {"maximum": 2**53 + 2}, "less than or equal"),
        (IntegerColumn, BOUNDS | {"minimum": -(2**53), "maximum": 2**53}, "more than"),
        (IntegerColumn, BOUNDS | {"minimum": 0.5}, "integer"),
        (NumberColumn, BOUNDS | {"minimum": 0.05, "decimals": 1}, "more than 1 decimals"),
        (NumberColumn, BOUNDS | {"maximum": 1e12, "decimals": 4}, "fewer decimals"),
        (NumberColumn, BOUNDS | {"maximum": float("inf"), "decimals": 1}, "finite"),
        (NumberColumn, BOUNDS, "decimals"),
        (CategoryColumn, {"name": "x", "values": ("a", "a")}, "more than once"),
        (CategoryColumn, {"name": "x", "values": ()}, "at least 1"),
        (CategoryColumn, {"name": "x", "values": ("a", "")}, "means missing"),
        (CategoryColumn, {"name": "x", "values": ("a", True)}, "quotes"),
        (CategoryColumn, {"name": "x", "values": ("a",), "missing_codes": ("a",)}, "at once"),
        (
            CategoryColumn,
            {"name": "x", "values": ("a", "b"), "labels": {"c": "see"}},
            "unknown value in labels 'c'",
        ),
        (BooleanColumn, {"name": "x", "true": "Y", "false": "Y"}, "both 'Y'"),
        (BooleanColumn, {"name": "x", "true": "Y", "false": ""}, "means missing"),
        (BooleanColumn, {"name": "x", "true": "Y", "false": "N", "missing_codes": ("N",)}, "at once"),
        (DateColumn, DAYS | {"minimum": "2021-01-01"}, "above"),
        (DateColumn, DAYS | {"minimum": 2020}, "2020-01-31"),
        (DateColumn, DAYS | {"minimum": "20200101"}, "2020-01-31"),
        (DateColumn, DAYS | {"minimum": "2020-02-30"}, "2020-01-31"),
        (DateColumn, DAYS | {"format": "%Y-%m"}, "day, month and year"),
        (DateColumn, DAYS | {"format": "nonsense"}, "day, month and year"),
        (
            DateColumn,
            DAYS | {"minimum": "1920-01-01", "format": "%d/%m/%y"},
            "does not bring back 1920-01-01",
        ),
        (DatetimeColumn, DAYS | {"minimum": 1577836800}, "2020-01-31"),
        (DatetimeColumn, DAYS | {"minimum": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "time zone"),
        (DatetimeColumn, DAYS | {"format": "%H:%M"}, "day, month and year"),
        (DurationColumn, BOUNDS | {"unit": "hours", "format": "HH:MM"}, "needs unit minutes"),
        (DurationColumn, BOUNDS | {"unit": "fortnights"}, "days"),
        (IdentifierColumn, {"name": "x", "pattern": "P"}, "one run of #"),
        (IdentifierColumn, {"name": "x", "pattern": "#-#"}, "one run of #"),
        (IntegerColumn, BOUNDS | {"minimun": 3}, "Extra inputs"),
        (IntegerColumn, BOUNDS | {"name": ""}, "at least 1"),
        (IntegerColumn, BOUNDS | {"item_sources": {"values": "public"}}, "unknown item"),
    ],
)
def test_impossible_columns_are_refused(kind, fields, said):
    with pytest.raises(ValidationError, match=said):
        kind(**fields)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%Y%m%d", "%m/%d/%y"])
def test_formats_that_keep_the_day_are_taken(form):
    assert DateColumn(**DAYS, format=form).format == form


def test_dates_may_be_given_as_dates():
    column = DateColumn(name="x", minimum=dt.date(2020, 1, 1), maximum="2020-01-03")
    assert column.size == 3
    assert DatetimeColumn(name="x", minimum=dt.datetime(2020, 1, 1), maximum="2020-01-02").size == 86_401  # noqa: DTZ001


def test_numbers_in_a_list_of_words_are_words():
    assert CategoryColumn(name="x", values=(1, 2.5, dt.date(2020, 1, 1))).values == ("1", "2.5", "2020-01-01")


def test_items_are_what_comes_from_somewhere():
    column = IntegerColumn(**BOUNDS, source="public", item_sources={"maximum": "data"})
    assert column.source_of("minimum") == "public"
    assert column.source_of("maximum") == "data"
    assert {"kind", "minimum", "maximum", "unit", "missing"} <= set(column.items)
    assert "description" not in column.items


@pytest.mark.parametrize(
    ("system", "lengths"), [("ICD-9", (3, 4, 5)), ("ATC", (1, 3, 4, 5, 7)), ("other", ())]
)
def test_code_systems_have_levels(system, lengths):
    assert CodeColumn(name="x", values=("A",), system=system).prefix_lengths == lengths
    assert CodeColumn(name="x", values=("A",), system=system, levels=(2,)).prefix_lengths == (2,)


@pytest.mark.parametrize(
    ("form", "step", "size"),
    [("%Y-%m-%dT%H:%M:%S", 1, 7_261), ("%Y-%m-%d %H:%M", 60, 121), ("%Y-%m-%d %H", 3_600, 2)],
)
def test_a_moment_is_as_exact_as_its_format(form, step, size):
    bounds = {"minimum": "1969-12-31T23:29:30", "maximum": "1970-01-01T01:30:30"}
    column = DatetimeColumn(name="x", format=form, **bounds)
    assert (column.step, column.size) == (step, size)
    assert column.first * step >= -30 * 60 - 30  # the minimum, in seconds since 1970


def test_bounds_between_which_the_format_says_nothing_are_refused():
    with pytest.raises(ValidationError, match="no moment"):
        DatetimeColumn(
            name="x", format="%Y-%m-%d %H:%M", minimum="2020-01-01T10:00:01", maximum="2020-01-01T10:00:59"
        )
