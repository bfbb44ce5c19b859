"""Column shapes and pair trends are those of sdmetrics, to nine digits."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.fidelity.column_shapes import column_shapes
from ehrsynth.evaluation.fidelity.pair_trends import pair_trends
from ehrsynth.evaluation.matrix import is_discrete
from ehrsynth.schema import DateColumn, DatetimeColumn, Schema

TABLES = {
    "another sample": (cohort(400, 1), cohort(300, 2)),
    "independent columns": (cohort(400, 1), shuffled_columns(cohort(500, 3), 350, 4)),
    "the same": (cohort(150, 1), cohort(150, 1)),
    "ten rows": (cohort(10, 5), cohort(7, 6)),
}


def theirs(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """A table as sdmetrics takes it: plain dtypes."""
    plain = {}
    for column in schema.learnt:
        series = table[column.name]
        if is_discrete(column):
            plain[column.name] = series.astype(object).where(series.notna(), np.nan)
        elif isinstance(column, DateColumn | DatetimeColumn):
            plain[column.name] = series
        else:
            plain[column.name] = series.to_numpy(np.float64, na_value=np.nan)
    return pd.DataFrame(plain)


def metadata(schema: Schema) -> dict[str, Any]:
    def kind(column: Any) -> str:
        if isinstance(column, DateColumn | DatetimeColumn):
            return "datetime"
        return "categorical" if is_discrete(column) else "numerical"

    return {"columns": {c.name: {"sdtype": kind(c)} for c in schema.learnt}}


def property_of(name: str, real: pd.DataFrame, made: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.reports.single_table import _properties

        found = getattr(_properties, name)()
        value = found.get_score(theirs(real, COHORT), theirs(made, COHORT), metadata(COHORT))
    return value, found.details


@pytest.mark.parametrize("name", TABLES)
def test_column_shapes(name: str) -> None:
    real, made = TABLES[name]
    ours = column_shapes(real, real, made, COHORT, seed=0)
    value, details = property_of("ColumnShapes", real, made)
    assert ours.value == pytest.approx(value, abs=1e-9)
    scores = {c["column"]: c["score"] for c in ours.details["columns"]}
    assert scores == pytest.approx(dict(zip(details["Column"], details["Score"], strict=True)), abs=1e-9)


@pytest.mark.parametrize("name", TABLES)
def test_pair_trends(name: str) -> None:
    real, made = TABLES[name]
    ours = pair_trends(real, real, made, COHORT, seed=0)
    value, details = property_of("ColumnPairTrends", real, made)
    assert ours.value == pytest.approx(value, abs=1e-9)
    scores = {frozenset((p["first"], p["second"])): p["score"] for p in ours.details["pairs"]}
    for _, row in details.iterrows():
        mine = scores[frozenset((row["Column 1"], row["Column 2"]))]
        expected = row["Score"]
        assert (mine is None) if np.isnan(expected) else mine == pytest.approx(expected, abs=1e-9)


def test_a_constant_column_has_no_correlation_and_does_not_count() -> None:
    real, made = cohort(200, 1), cohort(200, 2).assign(marker=7.0)
    ours = pair_trends(real, real, made, COHORT, seed=0)
    assert ours.value == pytest.approx(property_of("ColumnPairTrends", real, made)[0], abs=1e-9)
    pair = next(p for p in ours.details["pairs"] if {p["first"], p["second"]} == {"lab", "marker"})
    assert pair["score"] is None


def test_a_column_all_missing_has_no_shape_and_does_not_count() -> None:
    real = cohort(200, 1)
    made = cohort(200, 2).assign(lab=np.nan)
    ours = column_shapes(real, real, made, COHORT, seed=0)
    assert ours.value == pytest.approx(property_of("ColumnShapes", real, made)[0], abs=1e-9)
    assert next(c["score"] for c in ours.details["columns"] if c["column"] == "lab") is None
