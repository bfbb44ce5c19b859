"""Formulas of `schema infer` for numbers that are the time between two moments."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.tables.infer import infer_schema
from ehrsynth.tables.reading import table_from_frame

N = 200
RNG = np.random.default_rng(1)
DAY, SECOND = "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"
FIRST = pd.Timestamp("2018-03-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D")
DAYS = RNG.integers(0, 400, N)
SECONDS = RNG.integers(0, 10**6, N)


def words(values, decimals=0):
    return [f"{value:.{decimals}f}" for value in values]


def formulas(**columns):
    """The formulas proposed for a table of words: column to expression."""
    frame = pd.DataFrame(columns)
    schema, _ = infer_schema(frame, name="made")
    table_from_frame(frame, schema)  # keeps its own rules
    return {c.column: c.equals for c in schema.constraints if c.kind == "formula"}


def dates(**columns):
    last = (FIRST + pd.to_timedelta(DAYS, unit="D")).strftime(DAY)
    return formulas(**{"came": FIRST.strftime(DAY), "went away": last} | columns)


@pytest.mark.parametrize(
    ("stay", "equals"),
    [
        (words(DAYS), "`went away` - came"),
        (words(DAYS + 1), "`went away` - came + 1"),
        (words(DAYS * 24), "(`went away` - came) * 24"),
        (words(DAYS / 7, 2), "(`went away` - came) / 7"),
        (words(np.floor(DAYS / 7)), "floor((`went away` - came) / 7)"),
        (words(-DAYS), "came - `went away`"),
    ],
)
def test_a_stay_is_the_time_between_its_dates(stay, equals) -> None:
    assert dates(stay=stay) == {"stay": equals}


def test_completed_years_are_not_taken_for_rounded_ones() -> None:
    born = FIRST - pd.to_timedelta(RNG.integers(20 * 366, 80 * 365, N), unit="D")
    years = (FIRST - born).days / 365.25
    both = {"born": born.strftime(DAY), "came": FIRST.strftime(DAY)}
    assert formulas(**both, age=words(np.floor(years))) == {"age": "floor((came - born) / 365.25)"}
    assert formulas(**both, age=words(np.round(years))) == {"age": "(came - born) / 365.25"}


@pytest.mark.parametrize(
    ("factor", "decimals", "equals"),
    [(86400, 3, "(end - start) / 86400"), (3600, 1, "(end - start) / 3600"), (1, 0, "end - start")],
)
def test_moments_are_a_number_of_seconds_apart(factor, decimals, equals) -> None:
    start = FIRST + pd.to_timedelta(RNG.integers(0, 86_400, N), unit="s")
    end = start + pd.to_timedelta(SECONDS, unit="s")
    found = formulas(
        start=start.strftime(SECOND), end=end.strftime(SECOND), span=words(SECONDS / factor, decimals)
    )
    assert found == {"span": equals}


def test_two_units_of_one_stay_both_follow_from_its_dates() -> None:
    assert dates(days=words(DAYS), hours=words(DAYS * 24)) == {
        "days": "`went away` - came",
        "hours": "(`went away` - came) * 24",
    }


def test_a_stay_that_is_off_once_or_missing_alone_is_no_formula() -> None:
    assert not dates(stay=words(DAYS + (np.arange(N) == 7)))
    assert not dates(stay=["", *words(DAYS)[1:]])


def test_a_stay_is_missing_where_its_end_is() -> None:
    gone = np.arange(N) % 4 > 0
    last = (FIRST + pd.to_timedelta(DAYS, unit="D")).strftime(DAY)
    found = formulas(
        came=FIRST.strftime(DAY), left=np.where(gone, last, ""), stay=np.where(gone, words(DAYS), "")
    )
    assert found == {"stay": "left - came"}


def test_what_follows_from_a_stay_keeps_its_formula() -> None:
    rate = RNG.integers(100, 900, N)
    found = dates(stay=words(DAYS), rate=words(rate), cost=words(DAYS * rate), meals=words(DAYS * 3))
    assert found["stay"] == "`went away` - came"
    assert found["meals"] == "stay * 3"
    assert found["cost"] in {"stay * rate", "rate * stay"}
