"""Stays may be wrong by months where every date by itself, and its correlation with the other, is right."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.fidelity.column_shapes import column_shapes
from ehrsynth.evaluation.fidelity.pair_trends import pair_trends
from ehrsynth.evaluation.fidelity.times_between import times_between
from ehrsynth.schema import Inequality, Schema
from ehrsynth.tables.values import from_values

_DATES = {"minimum": "2010-01-01", "maximum": "2020-12-31", "missing": True}
WARD = Schema(
    name="ward",
    columns=(
        {"name": "admitted", "kind": "date", **_DATES},
        {"name": "left", "kind": "date", **_DATES},
        {"name": "scanned", "kind": "datetime", **_DATES},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120},
        {"name": "age at death", "kind": "integer", "minimum": 0, "maximum": 120},
        {"name": "sex", "kind": "boolean", "roles": ("protected",)},
    ),
)


def ward(seed: int, *, scattered: bool = False, n: int = 600) -> pd.DataFrame:
    """Stays of about ten days; scattered by months they are as long in the mean."""
    rng = np.random.default_rng(seed)
    admitted = rng.integers(14_700, 18_000, n).astype(float)
    stay = np.round(rng.gamma(4, 2.5, n))
    left = admitted + (np.round(rng.normal(10, 60, n)) if scattered else stay)
    age = rng.integers(20, 90, n).astype(float)
    values = {
        "admitted": np.where(rng.random(n) < 0.1, np.nan, admitted),
        "left": left,
        "scanned": (admitted + 1) * 86_400 + rng.integers(0, 86_400, n),
        "age": age,
        "age at death": age + rng.integers(0, 20, n),
        "sex": rng.integers(0, 2, n).astype(float),
    }
    return from_values(values, WARD)


TRAIN, HOLDOUT = ward(1), ward(2)


def pairs(made: pd.DataFrame, schema: Schema = WARD) -> dict[frozenset[str], float]:
    score = times_between(TRAIN, HOLDOUT, made, schema, seed=0)
    return {frozenset(pair["columns"]): pair["score"] for pair in score.details["pairs"]}


def test_only_the_time_between_tells_that_stays_are_wrong() -> None:
    good, bad = (
        [metric(TRAIN, HOLDOUT, made, WARD, seed=0) for metric in (times_between, column_shapes, pair_trends)]
        for made in (ward(3), ward(3, scattered=True))
    )
    assert good[0].value > 0.9
    assert bad[0].value < good[0].value - 0.1
    for fine, also_fine in zip(good[1:], bad[1:], strict=True):
        assert also_fine.value == pytest.approx(fine.value, abs=0.02)
    stays = pairs(ward(3, scattered=True))
    assert stays[frozenset({"admitted", "left"})] < 0.7
    assert stays[frozenset({"admitted", "scanned"})] > 0.9


def test_a_moment_beside_a_date_counts_by_its_day() -> None:
    later = ward(3)
    end = later["scanned"].dt.normalize() + pd.Timedelta(hours=23)
    later["scanned"] = end.astype("datetime64[s]")
    assert pairs(later) == pytest.approx(pairs(ward(3)))


def test_numbers_are_compared_where_a_rule_orders_them() -> None:
    ages = frozenset({"age", "age at death"})
    assert ages not in pairs(ward(3))
    ruled = WARD.changed(constraints=(Inequality(low="age", high="age at death"),))
    made = ward(3)
    made["age at death"] = made["age"] + 30
    assert pairs(made, ruled)[ages] < 0.2


def test_without_two_dates_it_is_not_measurable_and_a_pair_that_nobody_has_does_not_count() -> None:
    plain = WARD.subset(("age", "age at death", "sex"))
    tables = [table[list(plain.names)] for table in (TRAIN, HOLDOUT, ward(3))]
    score = times_between(*tables, plain, seed=0)
    assert score.value is None
    assert "no two dates" in score.reason
    empty = ward(3)
    empty["left"] = pd.Series(pd.NaT, index=empty.index).astype("datetime64[s]")
    found = times_between(TRAIN, HOLDOUT, empty, WARD, seed=0)
    assert found.value > 0.9
    assert pairs(empty)[frozenset({"admitted", "left"})] is None


def test_each_sex_has_its_own_score() -> None:
    made = ward(3)
    wrong = ward(3, scattered=True)
    made.loc[made["sex"], "left"] = wrong.loc[made["sex"], "left"]
    groups = times_between(TRAIN, HOLDOUT, made, WARD, seed=0).details["groups"]["measured"]
    by_name = {one["group"]: one["value"] for one in groups}
    assert by_name["sex: true"] < by_name["sex: false"] - 0.1
