"""Models that look at the same columns agree; models that look at others do not."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.learners import importance
from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.utility.feature_importance import feature_importance
from ehrsynth.schema import BooleanColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values

NAMES = ("a", "b", "c")
SCHEMA = Schema(
    name="s",
    columns=(
        *(NumberColumn(name=n, minimum=-9, maximum=9, decimals=2) for n in NAMES),
        BooleanColumn(name="died", roles=("outcome",)),
    ),
)


def patients(n: int, seed: int, cause: str | None) -> pd.DataFrame:
    """Patients whose outcome hangs on one column, or on none."""
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=n).round(2) for name in NAMES}
    risk = 4 * values[cause] if cause else np.zeros(n)
    return from_values(values | {"died": (rng.random(n) < 1 / (1 + np.exp(-risk))) * 1.0}, SCHEMA)


def test_the_same_cause_agrees_and_another_does_not() -> None:
    train, holdout = patients(500, 1, "a"), patients(500, 2, "a")
    good = feature_importance(train, holdout, patients(500, 3, "a"), SCHEMA, seed=0)
    bad = feature_importance(train, holdout, patients(500, 3, "b"), SCHEMA, seed=0)
    assert good.value == pytest.approx(good.reference, abs=0.1)
    assert good.reference == bad.reference > 0.85
    assert bad.high < good.low
    columns = {c["column"]: c for c in bad.details["outcomes"]["died"]["columns"]}
    # Trees see a random half of the columns, so that noise gets a share too.
    assert min(columns["a"]["real"], columns["a"]["holdout"], columns["b"]["synthetic"]) > 0.5
    shares = [[columns[n][table] for n in NAMES] for table in ("real", "synthetic", "holdout")]
    assert [sum(s) for s in shares] == pytest.approx([1, 1, 1])
    # The score is the share that both give to the same columns.
    assert bad.value == pytest.approx(np.minimum(shares[0], shares[1]).sum())
    assert bad.reference == pytest.approx(np.minimum(shares[0], shares[2]).sum())


def test_a_synthetic_table_of_one_class_teaches_nothing() -> None:
    train = patients(300, 1, "a")
    flat = train.assign(died=train["died"] & False)
    assert feature_importance(train, patients(300, 2, "a"), flat, SCHEMA, seed=0).value == 0
    left_out = feature_importance(flat, train, train, SCHEMA, seed=0)
    assert left_out.value is None
    assert "learn nothing" in left_out.reason


def test_too_few_patients_are_said() -> None:
    train = patients(300, 1, "a")
    assert "100 rows" in feature_importance(train, train[:99], train, SCHEMA, seed=0).reason


def test_the_learner_finds_the_cause_of_a_number_and_of_classes() -> None:
    table = matrix(patients(400, 1, "a"), SCHEMA).without(["died"])
    cause = table.values[:, 2]
    number = importance(table, cause, 0, rounds=20, seed=0)
    classes = importance(table, np.digitize(cause, (-0.5, 0.5)), 3, rounds=20, seed=0)
    for shares in (number, classes):
        assert shares.sum() == pytest.approx(1)
        assert shares[2] > 0.8
