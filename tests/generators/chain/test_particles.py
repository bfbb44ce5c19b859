"""Weights, and who comes first in the chain."""

import numpy as np
import pytest

from ehrsynth.generators.chain.order import chain_order, computed_columns
from ehrsynth.generators.chain.particles import effective, log_mean, systematic
from ehrsynth.schema import Schema


def test_known_weights() -> None:
    log_weight = np.log(np.array([1.0, 1.0, 2.0]))
    assert log_mean(log_weight) == pytest.approx(np.log(4 / 3))
    assert effective(log_weight) == pytest.approx(16 / 6)
    assert effective(log_weight - 1_000) == pytest.approx(16 / 6)
    assert effective(np.zeros(7)) == pytest.approx(7)


def test_no_weight_at_all() -> None:
    nothing = np.full(3, -np.inf)
    assert log_mean(nothing) == -np.inf
    assert effective(nothing) == 0


def test_systematic_choice_is_proportional_within_one() -> None:
    log_weight = np.log(np.array([0.5, 0.0, 0.3, 0.2]) + 1e-300)
    counts = np.bincount(systematic(log_weight, 10, np.random.default_rng(0)), minlength=4)
    assert (np.abs(counts - [5, 0, 3, 2]) <= 1).all()
    assert counts[1] == 0


def schema(*roles: tuple[str, ...]) -> Schema:
    columns = tuple({"name": f"c{p}", "kind": "boolean", "roles": r} for p, r in enumerate(roles))
    return Schema(citation="made for this test", name="roles", columns=columns)


def test_the_order_follows_the_roles_then_the_states() -> None:
    roles = schema(("outcome",), (), ("treatment",), ("protected",), ("sensitive",), ("site",))
    assert chain_order(roles, [2, 9, 2, 5, 3, 2]) == [5, 3, 4, 1, 2, 0]


def test_the_latest_stage_counts() -> None:
    assert chain_order(schema(("protected", "outcome"), ()), [2, 50]) == [1, 0]


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
