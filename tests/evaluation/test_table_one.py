"""Table 1 by hand, and no small real cell in it."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.suite import evaluate
from ehrsynth.evaluation.table_one import HIDDEN, table_one
from ehrsynth.schema import CategoryColumn, IntegerColumn, Schema
from ehrsynth.tables.values import from_values

SCHEMA = Schema(
    name="one",
    columns=(
        IntegerColumn(name="age", minimum=0, maximum=100),
        CategoryColumn(name="sex", values=("F", "M", "X"), missing=True),
    ),
)


def table(f: int, m: int, x: int, shift: float = 0.0) -> pd.DataFrame:
    n = f + m + x
    ages = [40.0 + shift + 20 * (i % 2) for i in range(n)]
    return from_values(
        {
            "age": pd.array(ages).to_numpy(float),
            "sex": pd.array([0.0] * f + [1.0] * m + [2.0] * x).to_numpy(float),
        },
        SCHEMA,
    )


def test_by_hand() -> None:
    rows = {(r.column, r.level): r for r in table_one(table(60, 40, 0), table(50, 50, 0, 10), SCHEMA)}
    assert rows["age", ""].real == "50 (10.1)"
    assert rows["age", ""].synthetic == "60 (10.1)"
    assert rows["age", ""].smd == pytest.approx(0.995, abs=1e-3)
    assert rows["sex", "F"].real == "60 (60.0)"
    assert ("sex", "X") not in rows
    assert all(r.smd == 0 for r in table_one(table(60, 40, 0), table(60, 40, 0), SCHEMA))


def test_a_small_cell_and_one_more_are_suppressed() -> None:
    rows = {r.level: r for r in table_one(table(60, 40, 3), table(60, 40, 3), SCHEMA) if r.column == "sex"}
    assert [rows[level].real == HIDDEN for level in "FMX"] == [False, True, True]
    assert rows["X"].smd is None
    assert rows["X"].synthetic == "3 (2.9)"


def test_an_evaluation_carries_it() -> None:
    real, made = table(40, 30, 30), table(50, 30, 20)
    found = evaluate(real, table(20, 20, 20), made, SCHEMA, seed=0, metrics=[], attacks=[])
    assert found.table_one == table_one(real, made, SCHEMA)


def test_large_numbers_have_no_exponent() -> None:
    schema = Schema(name="one", columns=(IntegerColumn(name="charges", minimum=0, maximum=10**8),))
    costs = from_values({"charges": np.repeat([1_000_000.0, 1_234_567.0], 30)}, schema)
    (row,) = table_one(costs, costs, schema)
    assert row.real == "1,120,000 (118,000)"


def test_the_sd_divides_by_one_less_than_the_patients() -> None:
    few = pd.Series([10.0, 20.0, 30.0, 40.0] * 3)
    ages = from_values({"age": few.to_numpy(), "sex": np.zeros(12)}, SCHEMA)
    row = table_one(ages, ages, SCHEMA)[0]
    assert row.real == row.synthetic == f"25 ({few.std():.3g})" == "25 (11.7)"


def test_lost_extremes_show_in_the_ratio_of_sd_where_the_median_agrees() -> None:
    schema = Schema(name="one", columns=(IntegerColumn(name="crp", minimum=0, maximum=1000),))
    values = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 40)
    tail = np.append(values, np.repeat([100.0, 900.0], 3))
    real, made = (from_values({"crp": v}, schema) for v in (tail, np.append(values, np.repeat(60.0, 6))))
    (row,) = table_one(real, made, schema)
    assert row.statistic == "median [IQR]"
    assert row.real == row.synthetic == "3 [2 to 4]"
    assert row.smd < 0.2
    assert row.spread == pytest.approx(made["crp"].std() / real["crp"].std())
    assert row.spread < 0.2


def test_no_ratio_of_sd_where_there_is_none() -> None:
    rows = table_one(
        table(60, 40, 0), from_values({"age": np.full(9, 50.0), "sex": np.zeros(9)}, SCHEMA), SCHEMA
    )
    assert [row.spread for row in rows] == [None] * len(rows)
