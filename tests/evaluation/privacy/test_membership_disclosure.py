"""Membership by near matches: distances and F1 by hand, and the share of members that F1 depends on."""

import numpy as np
import pandas as pd
import pytest

from cohort import COHORT, cohort
from ehrsynth.evaluation.privacy.membership_disclosure import f1, membership_disclosure
from ehrsynth.schema import CategoryColumn, IntegerColumn, PublicRows, Schema
from ehrsynth.tables.values import from_values

PLAIN = Schema(
    name="plain",
    columns=(
        CategoryColumn(name="a", values=tuple("xyz")),
        CategoryColumn(name="b", values=tuple("xyz"), missing=True),
        IntegerColumn(name="c", minimum=0, maximum=9),
    ),
)


def table(*rows: tuple[float, float, float]) -> pd.DataFrame:
    a, b, c = np.array(rows, float).T
    return from_values({"a": a, "b": b, "c": c}, PLAIN)


def test_the_distance_is_the_number_of_columns_that_differ() -> None:
    made = table((0, 0, 1), (2, np.nan, 9))
    members = table((0, 0, 1), (0, 1, 1), (1, np.nan, 8))
    others = table((1, 1, 5), (2, np.nan, 9))
    risk = membership_disclosure(members, others, others, made, PLAIN, seed=0)
    (told,) = risk.evidence
    np.testing.assert_array_equal(told.members, [0, -1, -2])
    np.testing.assert_array_equal(told.non_members, [-3, 0])
    np.testing.assert_array_equal(told.reference, [-3, 0])
    first, second, *_ = risk.details["f1"]
    assert (first["recall"], first["false_alarms"]) == (pytest.approx(1 / 3), 0.5)
    assert second["recall"] == pytest.approx(2 / 3)
    assert risk.details["sampling_fraction"] == 3 / 7


def test_f1_equals_a_count_of_drawn_patients_and_depends_on_the_share_of_members() -> None:
    rng = np.random.default_rng(0)
    for share in (0.5, 0.05):
        member = rng.random(400_000) < share
        called = rng.random(len(member)) < np.where(member, 0.6, 0.2)
        precision, recall = member[called].mean(), called[member].mean()
        assert f1(share, 0.6, 0.2) == pytest.approx(2 * precision * recall / (precision + recall), abs=0.01)
    assert f1(0.5, 0.6, 0.2) > 2 * f1(0.05, 0.6, 0.2)


def test_the_population_of_the_schema_sets_the_sampling_fraction() -> None:
    members, others = cohort(200, 1), cohort(200, 2)
    schema = COHORT.changed(population=PublicRows(value=10_000, citation="a register"))
    found = membership_disclosure(members, others[:100], others[100:], members, schema, seed=0).details
    assert found["sampling_fraction"] == 0.02
    assert found["population_is"] == "declared by the schema"
    assert found["f1_of_calling_everybody_a_member"] == pytest.approx(2 * 0.02 / 1.02)
    assert found["largest_gain"] > 0.9  # every member has an equal row, and nobody else
    too_few = COHORT.changed(population=PublicRows(value=300, citation="a register"))
    plain = membership_disclosure(members, others[:100], others[100:], members, too_few, seed=0).details
    assert plain["sampling_fraction"] == 0.5


def test_a_fresh_sample_gains_nothing() -> None:
    members, others, made = (cohort(300, seed) for seed in (1, 2, 3))
    found = membership_disclosure(members, others[:150], others[150:], made, COHORT, seed=0).details
    assert found["largest_gain"] < 0.1
