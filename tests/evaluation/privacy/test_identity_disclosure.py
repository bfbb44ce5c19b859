"""Classes, news and both directions of the identity disclosure risk, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from cohort import COHORT, cohort
from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.privacy.identity_disclosure import (
    identity_disclosure,
    known_columns,
    named_by_chance,
)
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.schema import CategoryColumn, IntegerColumn, NumberColumn, PublicRows, Schema
from ehrsynth.tables.values import from_values

WARDS = tuple("abcdefgh")
PLAIN = Schema(
    name="plain",
    columns=(
        CategoryColumn(name="ward", values=WARDS, roles=("quasi_identifier",)),
        CategoryColumn(name="virus", values=("no", "yes"), roles=("sensitive",)),
    ),
)


def patients(ward: list[float], virus: list[float]) -> pd.DataFrame:
    return from_values({"ward": np.array(ward), "virus": np.array(virus)}, PLAIN)


def attack(members: pd.DataFrame, others: pd.DataFrame, made: pd.DataFrame, schema: Schema = PLAIN) -> Risk:
    half = len(others) // 2
    return identity_disclosure(members, others[:half], others[half:], made, schema, seed=0)


def test_by_hand() -> None:
    members = patients([0, 0, 1, 2], [1, 0, 1, 0])
    others = patients([0, 2, 3, 3], [0, 0, 0, 0])
    made = patients([0, 0, 1, 3], [1, 0, 1, 1])
    # Whoever is held out is attacked once: as a non-member or as the reference.
    found = identity_disclosure(members, others[:2], others[2:], made, PLAIN, seed=0).details
    # Two of eight have the virus: only that is news. Ward a: one of two rows tells it of the first member;
    # ward b: of the third. Classes among all eight: 3, 3, 1, 2; among members 2, 2, 1, 1.
    assert found["directions"]["members"] == {
        "sample_to_population": pytest.approx((0.5 / 3 + 1) / 4),
        "population_to_sample": pytest.approx((0.5 / 2 + 1) / 8),
        "matched": 0.75,
    }
    assert found["risk"] == pytest.approx((0.5 / 3 + 1) / 4)
    assert found["risk_of_unseen"] == 0
    assert found["risk_interval"]["low"] <= found["risk"] <= found["risk_interval"]["high"]
    assert (found["population"], found["sampling_fraction"]) == (8, 0.5)
    assert (found["traits"], found["others"]) == (["ward"], ["virus"])


def test_evidence_is_the_same_whoever_is_a_member() -> None:
    one, other = patients([0, 0, 1, 2], [1, 0, 1, 0]), patients([0, 2, 3, 3], [0, 1, 0, 0])
    made = patients([0, 0, 1, 3], [1, 0, 1, 1])
    plain, swapped = attack(one, other, made), attack(other, one, made)
    for here, there in zip(plain.evidence, swapped.evidence, strict=True):
        np.testing.assert_allclose(here.members, np.concatenate([there.non_members, there.reference]))
        np.testing.assert_allclose(np.concatenate([here.non_members, here.reference]), there.members)


def test_the_chance_of_the_right_one_in_a_larger_population() -> None:
    """By simulation: classes of the population thinned to a sample, the mean of 1 / F given f."""
    rng = np.random.default_rng(0)
    share = 0.3
    # 1 / F given f under the prior of the formula: F - f is negative binomial with f successes.
    for known in (1, 2, 5, 60):
        hidden = rng.negative_binomial(known, share, 400_000)
        expected = float((1 / (known + hidden)).mean())
        assert named_by_chance(np.array([float(known)]), share)[0] == pytest.approx(expected, rel=0.01)
    np.testing.assert_array_equal(named_by_chance(np.array([1.0, 4.0]), 1.0), [1.0, 0.25])


def test_a_declared_population_lowers_the_risk_and_one_smaller_than_the_table_is_not_believed() -> None:
    members, others, fresh = (cohort(300, seed) for seed in (1, 2, 3))
    found = []
    for size in (None, 100, 60_000):
        population = None if size is None else PublicRows(value=size, citation="a register")
        schema = COHORT.changed(population=population)
        found.append(identity_disclosure(members, others[:150], others[150:], fresh, schema, seed=0).details)
    assert found[0]["risk"] == found[1]["risk"] > 3 * found[2]["risk"]
    assert [one["population"] for one in found] == [600, 600, 60_000]
    assert [one["population_is"][:8] for one in found] == ["the pati", "the pati", "declared"]


def test_a_match_that_tells_what_most_have_is_no_disclosure() -> None:
    alone = np.arange(8.0)
    healthy = patients(list(alone), [0] * 8)
    assert attack(healthy, patients([0, 1], [0, 0]), healthy).details["risk"] == 0


def test_unique_patients_copied_are_disclosed_and_unmatched_ones_are_not() -> None:
    schema = Schema(
        name="alone",
        columns=(
            IntegerColumn(name="age", minimum=0, maximum=99, roles=("quasi_identifier",)),
            NumberColumn(name="lab", minimum=0, maximum=1, decimals=3),
        ),
    )

    def draw(ages: range, seed: int) -> pd.DataFrame:
        lab = np.random.default_rng(seed).uniform(size=len(ages)).round(3)
        return from_values({"age": np.array(ages, float), "lab": lab}, schema)

    members, others = draw(range(50), 0), draw(range(50, 100), 1)
    assert attack(members, others, members, schema).details["risk"] == 1
    assert attack(members, others, others, schema).details["risk"] == 0
    near = members.assign(lab=(members["lab"] + 0.001).clip(upper=1))
    assert attack(members, others, near, schema).details["risk"] > 0.9
    far = members.assign(lab=(members["lab"] + 0.5) % 1)
    assert attack(members, others, far, schema).details["risk"] == 0


def test_traits_follow_the_roles_and_fall_back() -> None:
    made = matrix(cohort(10, 0), COHORT)

    def names(schema: Schema) -> tuple[list[str], list[str], str]:
        known = known_columns(made, schema)
        return [made.names[c] for c in known.traits], [made.names[c] for c in known.others], known.how

    assert names(COHORT) == (["age", "sex"], ["smoker"], "columns with the role quasi_identifier")
    roles = {"region": ("protected",), "smoker": ("protected",)}
    for given, wanted in ((roles, ["region", "smoker"]), ({}, ["died", "region", "sex", "smoker", "stage"])):
        columns = tuple(c.model_copy(update={"roles": given.get(c.name, ())}) for c in COHORT.columns)
        traits, others, how = names(COHORT.changed(columns=columns))
        assert traits == wanted
        assert len(others) == len(made.columns) - len(wanted)
        assert ("protected" in how) == bool(given)


def test_numbers_alone_are_not_measurable() -> None:
    schema = Schema(
        name="n", columns=tuple(NumberColumn(name=n, minimum=0, maximum=9, decimals=1) for n in "ab")
    )
    table = from_values({n: np.arange(5.0) for n in "ab"}, schema)
    risk = attack(table, table, table, schema)
    assert risk.value is None
    assert "quasi-identifier" in risk.reason


def test_the_control_keeps_a_fresh_sample_from_looking_like_a_leak() -> None:
    members, others, fresh = (cohort(300, seed) for seed in (1, 2, 3))
    there = identity_disclosure(members, others[:150], others[150:], fresh, COHORT, seed=0)
    assert there.details["risk"] > 0.005
    assert there.low == 0
    copied = identity_disclosure(members, others[:150], others[150:], members, COHORT, seed=0)
    assert copied.low > 0.03
    assert len(scene((members, others, others, fresh), COHORT, seed=0).both) == 600
