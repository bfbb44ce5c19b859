"""How many patients of each group and outcome a goal asks for, and the weights that reach it."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.rebalance.plan import Counts, Population, rows_of
from ehrsynth.rebalance.targets import (
    class_weights,
    goal_weights,
    helped,
    raked_weights,
    staying,
    stratum_counts,
    wanted,
)
from minority import NUMBERS, numbers, plan_of_numbers

TABLE = numbers(300, 60, seed=1)
PLAN = plan_of_numbers(TABLE)
ROWS = rows_of(TABLE, PLAN, NUMBERS)
COUNTS = stratum_counts(ROWS, 2)


def sums(weights: np.ndarray) -> np.ndarray:
    return np.array([weights[ROWS.group == g].sum() for g in (0, 1)])


def test_equal_groups_rise_to_the_largest_and_keep_their_share_of_events() -> None:
    found = wanted(TABLE, PLAN, NUMBERS, "up")
    assert found[0].tolist() == COUNTS[0].tolist()
    assert found[1].sum() == 300
    assert found[1, 1] / 300 == pytest.approx(COUNTS[1, 1] / 60, abs=0.005)


def test_equal_groups_fall_to_the_smallest() -> None:
    found = wanted(TABLE, PLAN, NUMBERS, "down")
    assert found[1].tolist() == COUNTS[1].tolist()
    assert found[0].sum() == 60


def test_equal_classes_never_shrink_on_the_way_up_nor_grow_on_the_way_down() -> None:
    plan = replace(PLAN, classes="equal")
    up, down = wanted(TABLE, plan, NUMBERS, "up"), wanted(TABLE, plan, NUMBERS, "down")
    assert (up[:, 0] == up[:, 1]).all()
    assert (up >= COUNTS).all()
    assert (down[:, 0] == down[:, 1]).all()
    assert (down <= COUNTS).all()


def test_counts_are_of_the_whole_table_and_in_proportion_for_a_part() -> None:
    plan = replace(PLAN, goal=Counts({"group: b": 200}))
    assert wanted(TABLE, plan, NUMBERS, "up").sum(axis=1).tolist() == [300, 200]
    half = TABLE.iloc[::2].reset_index(drop=True)
    assert wanted(half, plan, NUMBERS, "up").sum(axis=1).tolist() == [150, 100]
    with pytest.raises(RequestError, match="Did you mean 'group: b'"):
        wanted(TABLE, replace(PLAN, goal=Counts({"group:b": 200})), NUMBERS, "up")


def test_a_goal_that_would_blow_up_the_table_is_refused() -> None:
    with pytest.raises(RequestError, match="more than 20 times"):
        wanted(TABLE, replace(PLAN, goal=Counts({"group: b": 10_000})), NUMBERS, "up")


def test_a_population_makes_no_group_shrink_and_has_its_shares() -> None:
    plan = replace(PLAN, goal=Population({"group": {"a": 0.25, "b": 0.75}}))
    found = wanted(TABLE, plan, NUMBERS, "up").sum(axis=1)
    assert found[0] == 300
    assert found[1] == pytest.approx(900, abs=1)


def test_weights_reach_the_goal() -> None:
    assert sums(goal_weights(ROWS, PLAN, NUMBERS)) == pytest.approx([180, 180])
    counted = replace(PLAN, goal=Counts({"group: b": 300}))
    assert np.divide(*sums(goal_weights(ROWS, counted, NUMBERS))) == pytest.approx(1)
    raked = replace(PLAN, goal=Population({"group": {"a": 0.25, "b": 0.75}, "x0": {"mean": 0.3}}))
    weights = raked_weights(ROWS, raked, NUMBERS).weights
    assert sums(weights) == pytest.approx([90, 270], rel=1e-4)
    assert np.average(ROWS.values["x0"], weights=weights) == pytest.approx(0.3, abs=1e-4)


def test_a_cell_that_a_part_of_the_table_lacks_is_left_out_there() -> None:
    plan = replace(PLAN, goal=Population({"group": {"a": 1.0, "b": 1.0}}))
    alone, part = (rows_of(TABLE.iloc[:n], plan, NUMBERS) for n in (300, 320))
    assert raked_weights(alone, plan, NUMBERS).weights == pytest.approx(np.ones(300))
    assert raked_weights(part, plan, NUMBERS).weights[300:].sum() == pytest.approx(160, rel=1e-4)
    with pytest.raises(RequestError, match="impossible"):
        raked_weights(alone, replace(plan, rows=300), NUMBERS)


def test_class_weights_balance_each_group_and_leave_its_size() -> None:
    weights = class_weights(ROWS, 2)
    assert sums(weights) == pytest.approx([300, 60])
    for group in (0, 1):
        mine = ROWS.group == group
        assert weights[mine & ROWS.event].sum() == pytest.approx(weights[mine & ~ROWS.event].sum())


def test_who_stays_is_drawn_and_as_many_as_asked() -> None:
    target = np.array([[10, 20], COUNTS[1].tolist()])
    places = staying(ROWS, target, 3)
    found = stratum_counts(rows_of(TABLE.iloc[places], PLAN, NUMBERS), 2)
    assert found.tolist() == target.tolist()
    assert not np.array_equal(places, staying(ROWS, target, 4))


def test_the_groups_that_the_goal_raises_are_helped() -> None:
    assert helped(TABLE, PLAN, NUMBERS) == ("group: b",)
    assert helped(TABLE, replace(PLAN, goal=Counts({"group: a": 900})), NUMBERS) == ("group: a",)
    even = numbers(60, 60)
    assert helped(even, plan_of_numbers(even), NUMBERS) == ("group: a", "group: b")
