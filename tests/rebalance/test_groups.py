"""Who is in which group: columns, bands, expressions, intersections, missing values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.conditions import Condition
from ehrsynth.errors import RequestError
from ehrsynth.expressions import text_literal
from ehrsynth.rebalance.groups import Group, make_groups, membership
from ehrsynth.schema import Schema

SCHEMA = Schema(
    name="groups",
    columns=(
        {"name": "id", "kind": "identifier"},
        {
            "name": "sex at birth",
            "kind": "category",
            "values": ("F", 'M "m"', "back\\slash"),
            "missing": True,
        },
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120, "missing": True},
        {"name": "smoker", "kind": "boolean"},
        {"name": "seen", "kind": "date", "minimum": "2020-01-01", "maximum": "2020-12-31"},
    ),
)
VALUES = {
    "sex at birth": np.array([0, 0, 1, 2, np.nan, 1.0]),
    "age": np.array([20, 60, 70, np.nan, 85, 99.0]),
    "smoker": np.array([0, 1, 0, 1, 0, 1.0]),
    "seen": np.array([18300, 18400, 18500, 18300, 18400, 18500.0]),
}


def sizes(groups: tuple[Group, ...]) -> dict[str, int]:
    found = membership(groups, VALUES, SCHEMA)
    return {group.name: int((found == place).sum()) for place, group in enumerate(groups)}


def test_no_column_is_one_group_of_all() -> None:
    groups = make_groups(VALUES, SCHEMA)
    assert sizes(groups) == {"all patients": 6}


def test_values_of_a_category_and_its_missing_are_groups_whatever_they_are_called() -> None:
    found = sizes(make_groups(VALUES, SCHEMA, protected=("sex at birth",)))
    assert found == {
        "sex at birth: F": 2,
        'sex at birth: M "m"': 2,
        "sex at birth: back\\slash": 1,
        "sex at birth: missing": 1,
    }


def test_a_number_is_cut_where_it_is_said_and_each_cut_begins_a_band() -> None:
    found = sizes(make_groups(VALUES, SCHEMA, protected=("age",), bands={"age": (60, 85)}))
    assert found == {"age: below 60": 1, "age: 60 to below 85": 2, "age: 85 or more": 2, "age: missing": 1}


def test_a_number_without_cuts_and_a_date_become_thirds() -> None:
    assert sum(sizes(make_groups(VALUES, SCHEMA, protected=("age",))).values()) == 6
    found = sizes(make_groups(VALUES, SCHEMA, protected=("seen",)))
    assert list(found.values()) == [2, 2, 2]


def test_intersections_leave_out_what_nobody_is_in() -> None:
    found = sizes(make_groups(VALUES, SCHEMA, protected=("sex at birth", "smoker")))
    assert found["sex at birth: F and smoker: true"] == 1
    assert "sex at birth: missing and smoker: true" not in found
    assert sum(found.values()) == 6


def test_a_named_group_has_others_beside_it_and_the_undecided_are_in_none() -> None:
    groups = make_groups(VALUES, SCHEMA, named={"old": "age >= 85"})
    assert sizes(groups) == {"old": 2, "others": 3}
    assert membership(groups, VALUES, SCHEMA)[3] == -1


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"protected": ("sexe",)}, "unknown column 'sexe'"),
        ({"protected": ("id",)}, "identifier"),
        ({"protected": ("age",), "bands": {"age": (85, 60)}}, "rising order"),
        ({"protected": ("age",), "bands": {"age": ("old",)}}, "cannot begin at 'old'"),
        ({"protected": ("smoker",), "bands": {"age": (60,)}}, "no protected column"),
        ({"named": {"old": "age >= 60", "older": "age >= 85"}}, "overlap"),
        ({"named": {"nobody": "age > 110"}}, "no patient is in the group 'nobody'"),
        ({"named": {"others": "age > 60"}}, "choose another name"),
    ],
)
def test_what_makes_no_groups_is_refused(given_: dict, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        make_groups(VALUES, SCHEMA, **given_)


def test_every_group_can_be_asked_of_a_generator() -> None:
    for group in make_groups(VALUES, SCHEMA, protected=("sex at birth", "age", "smoker")):
        assert Condition.parse(group.where, SCHEMA).boxes


@given(st.text(min_size=1, max_size=12).filter(lambda word: word.strip()))
def test_any_word_of_a_category_can_be_written(word: str) -> None:
    schema = Schema(name="w", columns=({"name": "c", "kind": "category", "values": (word, word + "x")},))
    group = Group("g", f"c == {text_literal(word)}")
    assert membership((group,), {"c": np.array([0.0, 1.0])}, schema).tolist() == [0, -1]
