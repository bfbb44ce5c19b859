"""Secrets from counts: the solution by hand, copies worked out, and nothing where counts say nothing."""

import numpy as np
import pandas as pd
import pytest

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.privacy.linear_reconstruction import _Counts, _System, linear_reconstruction
from ehrsynth.schema import CategoryColumn, Schema
from ehrsynth.tables.values import from_values


def halves(seed: int, size: int = 400) -> tuple[pd.DataFrame, ...]:
    members, others = cohort(size, seed), cohort(size, seed + 1000)
    return members, others[: size // 2], others[size // 2 :]


def test_counts_that_name_single_patients_give_their_secrets() -> None:
    alone = np.eye(4, dtype=np.float32)
    truth = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    many = np.repeat(alone, 1000, axis=1)  # each patient's group is counted in a thousand synthetic rows
    system = _System(_Counts(alone, many), np.ones(4000, np.bool_))
    found = system.solve(np.repeat(truth, 1000, axis=0))
    np.testing.assert_allclose(found, truth, atol=0.01)


def test_a_count_in_few_rows_is_believed_less() -> None:
    group = np.ones((1, 2), np.float32)
    secret = np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5)
    held = np.ones(10, np.bool_)
    few = np.zeros((1, 10), np.float32)
    few[0, 0] = 1
    more = np.zeros((1, 10), np.float32)
    more[0, :5] = 1
    by_few, by_more = (_System(_Counts(group, rows), held).solve(secret)[0, 0] for rows in (few, more))
    # Two patients of variance v = 1/4 each: 1/2 + 1/2 * 2 / (2 + 4 / k) for a count in k rows.
    assert by_few == pytest.approx(0.5 + 0.5 * 2 / (2 + 4), abs=1e-4)
    assert by_more == pytest.approx(0.5 + 0.5 * 2 / (2 + 4 / 5), abs=1e-4)


def test_secrets_of_copied_patients_are_worked_out_and_no_others() -> None:
    members, one, two = halves(1)
    copied = linear_reconstruction(members, one, two, members, COHORT, seed=0)
    assert copied.low > 0.05
    fresh = linear_reconstruction(members, one, two, cohort(400, 5), COHORT, seed=0)
    assert fresh.value is None or fresh.low == 0
    assert {v["what"] for v in copied.details["variants"]} == {"smoker", "died", "seen", "admitted"}
    assert [told.variant for told in copied.evidence if told.graded] == ["all secrets"]


def test_columns_without_association_tell_nothing() -> None:
    members, one, two = halves(2)
    found = linear_reconstruction(members, one, two, shuffled_columns(members, 400, 0), COHORT, seed=0)
    assert found.value is None or found.low == 0


def test_a_secret_that_no_synthetic_row_holds_and_a_single_column_are_borne() -> None:
    members, one, two = halves(3)
    made = cohort(400, 9)
    empty = made.assign(smoker=made["smoker"].mask(made["smoker"].notna()))
    found = linear_reconstruction(members, one, two, empty, COHORT, seed=0)
    assert "smoker" not in {v["what"] for v in found.details["variants"]}
    schema = Schema(name="one", columns=(CategoryColumn(name="a", values=("x", "y")),))
    only = from_values({"a": np.zeros(30)}, schema)
    said = linear_reconstruction(only, only, only, only, schema, seed=0)
    assert "one other column" in said.reason
