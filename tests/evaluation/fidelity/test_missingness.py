"""Known answers: shares of missing values, alone and together."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.fidelity.missingness import missingness
from ehrsynth.schema import NumberColumn, Schema

SCHEMA = Schema(
    name="three",
    columns=tuple(NumberColumn(name=n, minimum=0, maximum=1, decimals=0, missing=n != "c") for n in "abc"),
)


def table(a: str, b: str) -> pd.DataFrame:
    gaps = {
        n: np.array([np.nan if mark == "." else 1.0 for mark in marks]) for n, marks in (("a", a), ("b", b))
    }
    return pd.DataFrame({**gaps, "c": np.ones(len(a))})


def test_by_hand() -> None:
    real, made = table("..11", "..11"), table("..11", "11..")
    score = missingness(real, real, made, SCHEMA, seed=0)
    # Single shares agree; together they are missing in half of the real rows and in no synthetic one.
    assert score.details["single"] == 0
    assert score.details["together"] == pytest.approx(0.5)
    assert score.value == pytest.approx(0.25)
    assert score.reference == 0


def test_nothing_missing_is_no_error() -> None:
    real = table("1111", "1111")
    assert missingness(real, real, real, SCHEMA, seed=0).value == 0
    assert missingness(real, real, table("1.11", "1111"), SCHEMA, seed=0).value == pytest.approx(0.25)
