"""Independent columns: exact conditions, rules by redraw of the tied columns alone."""

import numpy as np
import pytest

from ehrsynth.encoding import encode
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.independent import Independent
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

COLUMNS = (
    {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110},
    {"name": "sex", "kind": "category", "values": ("F", "M", "X")},
    {"name": "sbp", "kind": "integer", "minimum": 0, "maximum": 300, "missing": True},
    {"name": "dbp", "kind": "integer", "minimum": 0, "maximum": 300, "missing": True},
)
FREE = Schema(name="ward", columns=COLUMNS)
RULED = FREE.changed(
    constraints=(
        {"kind": "inequality", "low": "dbp", "high": "sbp"},
        {"kind": "present_together", "columns": ("sbp", "dbp")},
    )
)


def table(schema: Schema, n: int = 4_000):
    rng = np.random.default_rng(0)
    sex = rng.choice(2, n, p=[0.3, 0.7])
    dbp = rng.integers(60, 100, n)
    gone = rng.random(n) < 0.2
    return from_values(
        {
            "age": rng.integers(40, 90, n).astype(float),
            "sex": sex.astype(float),
            "sbp": np.where(gone, np.nan, dbp + 20.0 * rng.integers(0, 4, n)),
            "dbp": np.where(gone, np.nan, dbp.astype(float)),
        },
        schema,
    )


def test_shares_are_kept_and_relations_lost() -> None:
    real = table(FREE)
    made = Independent().fit(real, FREE, seed=1).sample(20_000, seed=2).table
    assert (made["sex"] == "F").mean() == pytest.approx((real["sex"] == "F").mean(), abs=0.02)
    assert made["age"].mean() == pytest.approx(real["age"].mean(), abs=0.5)
    both = made[["sbp", "dbp"]].dropna().astype(float)
    assert abs(both.corr().iloc[0, 1]) < 0.05


def test_a_condition_is_exact_truncation() -> None:
    real = table(FREE)
    sample = (
        Independent()
        .fit(real, FREE, seed=1)
        .sample(5_000, where='sex == "F" and age >= 80 and not missing(sbp)', seed=2)
    )
    shares = [(real["sex"] == "F").mean(), (real["age"] >= 80).mean(), real["sbp"].notna().mean()]
    assert sample.probability == pytest.approx(np.prod(shares), rel=1e-6)
    assert sample.acceptance == 1
    assert sample.effective_sample_size == 5_000
    assert (sample.table["age"] >= 80).all()


def test_either_of_two_boxes_in_their_proportion() -> None:
    real = table(FREE)
    sample = Independent().fit(real, FREE, seed=1).sample(20_000, where='sex == "F" or age >= 80', seed=2)
    female, old = (real["sex"] == "F").mean(), (real["age"] >= 80).mean()
    assert sample.probability == pytest.approx(female + old - female * old, rel=1e-6)
    assert (sample.table["sex"] == "F").mean() == pytest.approx(female / sample.probability, abs=0.02)


def test_rules_cost_no_other_column_its_share() -> None:
    real = table(RULED)
    sample = Independent().fit(real, RULED, seed=1).sample(10_000, seed=2)
    made = sample.table
    assert (made["sbp"].isna() == made["dbp"].isna()).all()
    assert (made["dbp"].dropna() <= made["sbp"].dropna()).all()
    assert (made["sex"] == "F").mean() == pytest.approx((real["sex"] == "F").mean(), abs=0.02)
    assert sample.acceptance > 0.99


def test_a_value_that_nobody_has_says_which_column() -> None:
    model = Independent().fit(table(FREE), FREE, seed=1)
    with pytest.raises(SamplingExhausted, match="column 'sex'"):
        model.sample(5, where='sex == "X"', seed=1)


def test_a_relation_between_columns_is_met_by_redraw() -> None:
    model = Independent().fit(table(FREE), FREE, seed=1)
    sample = model.sample(500, where="sbp - dbp > 30", seed=1)
    sbp, dbp = encode(sample.table, FREE)[:, 2:].T
    assert (sbp - dbp > 30).all()
    assert 0 < sample.probability < 1


def test_five_hundred_columns() -> None:
    schema = Schema(name="wide", columns=[COLUMNS[0] | {"name": f"c{k}"} for k in range(500)])
    rng = np.random.default_rng(0)
    wide = from_values({f"c{k}": rng.integers(0, 100, 50).astype(float) for k in range(500)}, schema)
    assert Independent().fit(wide, schema, seed=1).sample(20, seed=1).table.shape == (20, 500)
