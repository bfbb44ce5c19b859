"""Bands of a schema: each value becomes the middle of its band, and rules that cannot survive go."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ehrsynth.schema import (
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IntegerColumn,
    NumberColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.schema.constraints import Formula, Implication, Inequality
from ehrsynth.schema.yaml_files import load_schema, save_schema
from ehrsynth.tables.bands import days_of, in_bands, middles, with_bands, years_of
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.grids import grid
from ehrsynth.tables.reading import table_from_frame
from ehrsynth.tables.values import to_values


def gathered(column, *values):
    return middles(np.array(values, float), column).tolist()


def test_a_value_becomes_the_middle_of_its_band() -> None:
    age = IntegerColumn(name="age", minimum=18, maximum=90, band=5)
    assert gathered(age, 18, 19, 20, 24, 25, 90) == [18, 18, 22, 22, 27, 90]
    sbp = NumberColumn(name="sbp", minimum=60, maximum=240, decimals=1, band=5)
    assert gathered(sbp, 60, 64.9, 65) == [62.5, 62.5, 67.5]
    # 0.3 / 0.1 is a little below 3, and 0.3 is in the fourth band all the same.
    fine = NumberColumn(name="n", minimum=0, maximum=9, decimals=2, band=0.1)
    assert gathered(fine, 0.29, 0.3, 0.39) == [0.25, 0.35, 0.35]
    stay = DurationColumn(name="stay", minimum=0, maximum=100, unit="hours", band=24)
    assert gathered(stay, 0, 23, 24, 99) == [12, 12, 36, 100]
    assert np.isnan(gathered(age, np.nan)).all()


def test_bands_of_dates_are_in_days() -> None:
    day = DateColumn(name="d", minimum="2000-01-01", maximum="2020-01-01", band=30)
    moment = DatetimeColumn(name="m", minimum="2000-01-01", maximum="2020-01-01", band=30)
    days = np.arange(11_000, 11_200.0)
    np.testing.assert_array_equal(middles(days, day) * 86_400, middles(days * 86_400, moment))
    assert len(np.unique(middles(days, day))) in {7, 8}


@given(
    st.integers(-50, 50),
    st.integers(0, 300),
    st.integers(0, 2),
    st.floats(0.01, 40),
    st.lists(st.floats(0, 1), min_size=1),
)
def test_to_gather_twice_changes_nothing_and_keeps_the_order(low, span, decimals, band, shares) -> None:
    column = NumberColumn(name="n", minimum=low, maximum=low + span, decimals=decimals, band=band)
    at = grid(column)
    values = at.snap(np.sort(low + span * np.array(shares)))
    once = middles(values, column)
    assert at.contains(once).all()
    assert (np.diff(once) >= 0).all()
    assert (np.abs(once - values) <= max(band, 10.0**-decimals) + 1e-9).all()
    np.testing.assert_array_equal(middles(once, column), once)


@pytest.mark.parametrize("band", [0, -5, float("inf"), "wide"])
def test_a_width_is_a_positive_number(band) -> None:
    for kind in ({"decimals": 1}, None):
        make = NumberColumn if kind else IntegerColumn
        with pytest.raises(ValidationError):
            make(name="n", minimum=0, maximum=9, band=band, **(kind or {}))
    with pytest.raises(ValidationError):
        IntegerColumn(name="n", minimum=0, maximum=9, band=2.5)
    with pytest.raises(ValidationError):
        CategoryColumn(name="c", values=("a",), band=2)


def test_only_a_declared_band_is_an_item_and_part_of_the_hash(tmp_path) -> None:
    plain = Schema(name="t", columns=(IntegerColumn(name="n", minimum=0, maximum=9),))
    banded = with_bands(plain, {"n": 3})
    assert "n: band" in banded.guessed()
    assert "n: band" not in plain.guessed()
    assert "band" not in str(plain.as_json())
    assert banded.hash() != plain.hash()
    save_schema(banded, tmp_path / "t.yaml")
    assert "band: 3" in (tmp_path / "t.yaml").read_text()
    assert load_schema(tmp_path / "t.yaml") == banded


SBP = NumberColumn(name="sbp", minimum=50, maximum=250, decimals=0)
DBP = NumberColumn(name="dbp", minimum=20, maximum=200, decimals=0, missing=True)
KEPT = Inequality(low="dbp", high="sbp")
RULES = (
    KEPT,
    Inequality(low="dbp", high="sbp", strict=True),
    Implication(if_="sbp > 180", then="dbp > 60"),
    Formula(column="dbp", equals="sbp - 40"),
    PresentTogether(columns=("dbp", "high")),
)
HIGH = IntegerColumn(name="high", minimum=0, maximum=1, missing=True)


def test_rules_that_bands_may_break_are_taken_out() -> None:
    schema = Schema(name="t", columns=(SBP, DBP, HIGH), constraints=RULES)
    assert with_bands(schema, {"sbp": 10, "dbp": 10}).constraints == (KEPT, RULES[-1])
    assert with_bands(schema, {"sbp": 10, "dbp": 5}).constraints == RULES[-1:]
    assert with_bands(schema, {"sbp": 10}).constraints == RULES[-1:]
    assert with_bands(schema, {"high": 1}).constraints == RULES


@given(st.integers(1, 60), st.integers(0, 70), st.integers(0, 70), st.integers(0, 70), st.integers(0, 70))
def test_a_rule_that_stays_is_never_broken(band, low_a, low_b, span_a, span_b) -> None:
    columns = [
        IntegerColumn(name=name, minimum=low, maximum=low + span)
        for name, low, span in (("a", low_a, span_a), ("b", low_b, span_b))
    ]
    schema = Schema(name="t", columns=tuple(columns), constraints=(Inequality(low="a", high="b"),))
    banded = with_bands(schema, {"a": band, "b": band})
    a, b = (m.ravel() for m in np.meshgrid(*(np.arange(c.minimum, c.maximum + 1.0) for c in columns)))
    a, b = a[a <= b], b[a <= b]
    ordered = (middles(a, banded.column("a")) <= middles(b, banded.column("b"))).all()
    assert ordered or not banded.constraints


def test_a_release_gathers_and_says_so() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 99, 500), "sbp": rng.integers(80, 200, 500)})
    columns = (
        IntegerColumn(name="age", minimum=18, maximum=110, unit="years", band=5),
        NumberColumn(name="sbp", minimum=50, maximum=250, decimals=0),
    )
    rule = Implication(if_="age > 90", then="sbp > 60")
    schema = Schema(name="t", columns=columns, constraints=(rule,))
    table = table_from_frame(frame, schema)
    for alone in (False, True):
        coarse, new, actions = generalise(table, schema, by_schema_alone=alone)
        assert coarse["age"].nunique() <= 16
        assert coarse["age"].max() == 90
        assert coarse["sbp"].equals(table["sbp"])
        assert new.column("age").band == 5
        assert not new.constraints
        assert any(a.startswith("age: values became the middles of bands of 5") for a in actions)
        assert any("500" in a for a in actions) != alone
        again, same, _ = generalise(coarse, new, by_schema_alone=alone)
        pd.testing.assert_frame_equal(again, coarse)
        assert same == new
    assert in_bands(table, Schema(name="t", columns=columns[1:])) is table


def test_dates_that_become_years_keep_bands_of_whole_years() -> None:
    frame = pd.DataFrame({"seen": [dt.date(2000, 1, 1) + dt.timedelta(days=9 * n) for n in range(800)]})
    for band, years in ((None, None), (30, None), (days_of(5), 5)):
        column = DateColumn(name="seen", minimum="2000-01-01", maximum="2025-01-01", band=band)
        schema = Schema(name="t", columns=(column,))
        coarse, new, _ = generalise(table_from_frame(frame, schema), schema)
        assert new.column("seen").band == years
        assert coarse["seen"].nunique() == (20 if years is None else 4)
    assert [years_of(days_of(n)) for n in range(2, 40)] == list(range(2, 40))


def test_a_synthetic_table_in_bands_stays_synthetic() -> None:
    schema = Schema(name="t", columns=(IntegerColumn(name="n", minimum=0, maximum=9, band=3),))
    table = table_from_frame(pd.DataFrame({"n": range(10)}), schema)
    table.attrs["origin"] = "marked"
    found = in_bands(table, schema)
    assert found.attrs == table.attrs
    assert to_values(found, schema)["n"].tolist() == [1, 1, 1, 4, 4, 4, 7, 7, 7, 9]
