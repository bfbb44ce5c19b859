"""Who comes first in the chain."""

import numpy as np

from ehrsynth.generators.chain.order import chain_order, computed_columns, learnt_order
from ehrsynth.schema import Schema
from ward import WARD


def schema(*roles: tuple[str, ...]) -> Schema:
    columns = tuple({"name": f"c{p}", "kind": "boolean", "roles": r} for p, r in enumerate(roles))
    return Schema(citation="made for this test", name="roles", columns=columns)


def test_the_order_follows_the_roles_then_the_states() -> None:
    roles = schema(("outcome",), (), ("treatment",), ("protected",), ("sensitive",), ("site",))
    assert chain_order(roles, [2, 9, 2, 5, 3, 2]) == [5, 3, 4, 1, 2, 0]


def test_the_latest_stage_counts() -> None:
    assert chain_order(schema(("protected", "outcome"), ()), [2, 50]) == [1, 0]


def test_where_covariates_are_named_a_column_without_a_role_is_none_and_comes_after_the_outcomes() -> None:
    named = schema(("time",), (), ("outcome",), ("covariate",), ("treatment",), ("protected", "covariate"))
    assert chain_order(named, [2] * 6) == [5, 3, 4, 2, 1, 0]
    assert learnt_order(named, np.zeros((6, 6))) == [5, 3, 4, 2, 1, 0]
    silent = schema(("time",), (), ("outcome",), (), ("treatment",), ("protected",))
    assert chain_order(silent, [2] * 6) == [5, 1, 3, 4, 2, 0]


def test_a_formula_follows_its_inputs_and_other_formulas() -> None:
    numbers = [
        {"name": n, "kind": "integer", "minimum": 0, "maximum": 99} for n in ("sum", "twice", "a", "b")
    ]
    rules = (
        {"kind": "formula", "column": "twice", "equals": "sum * 2"},
        {"kind": "formula", "column": "sum", "equals": "a + b"},
    )
    named = Schema(citation="made for this test", name="sums", columns=numbers, constraints=rules)
    order = chain_order(named, [5, 6, 70, 80])
    assert [named.learnt[p].name for p in order] == ["a", "b", "sum", "twice"]
    assert computed_columns(named) == {"sum", "twice"}


def test_next_is_who_is_closest_to_any_before() -> None:
    closeness = np.zeros((5, 5))
    for one, other, near in ((0, 3, 0.9), (3, 1, 0.5), (1, 4, 0.8), (0, 2, 0.1)):
        closeness[one, other] = closeness[other, one] = near
    # 3 tells most of all others; 4 is far from it, and near to 1.
    assert learnt_order(schema((), (), (), (), ()), closeness) == [3, 0, 1, 4, 2]
    assert learnt_order(schema(("outcome",), (), (), ("time",), ()), closeness) == [1, 4, 2, 0, 3]


def test_what_a_rule_makes_follow_comes_after_its_cause_however_close() -> None:
    names = [column.name for column in WARD.learnt]
    closeness = np.zeros((len(names), len(names)))
    closeness[names.index("day of death"), names.index("drug")] = 5.0
    order = [names[place] for place in learnt_order(WARD, closeness)]
    assert order.index("dead") < order.index("day of death")
    assert order.index("pulse pressure") > max(order.index("sbp"), order.index("dbp"))


def test_rules_in_a_circle_leave_the_order_to_closeness() -> None:
    rules = ({"kind": "implication", "if": a, "then": b} for a, b in (("c0", "c1"), ("c1", "c0")))
    columns = tuple({"name": f"c{p}", "kind": "boolean"} for p in range(3))
    circle = Schema(citation="made for this test", name="circle", columns=columns, constraints=tuple(rules))
    assert sorted(learnt_order(circle, np.zeros((3, 3)))) == [0, 1, 2]
