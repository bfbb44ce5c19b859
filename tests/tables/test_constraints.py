"""Every rule between columns, with known answers, missing values included."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    FixedCombination,
    Formula,
    Implication,
    Inequality,
    IntegerColumn,
    NumberColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.tables.constraints import recompute, repair, satisfied, violations
from ehrsynth.tables.grids import grid
from strategies import schemas_with_tables

NONE = float("nan")


def whole(name, *, low=0, high=100, missing=True):
    return IntegerColumn(name=name, minimum=low, maximum=high, missing=missing)


def schema_of(columns, *constraints):
    return Schema(name="s", columns=tuple(columns), constraints=tuple(constraints))


def values_of(schema, rows):
    array = np.array(rows, np.float64).reshape(-1, len(schema.learnt))
    return {column.name: array[:, place].copy() for place, column in enumerate(schema.learnt)}


def rows_of(values):
    return np.stack(list(values.values()), axis=1).tolist()


def check(schema, rows, expected):
    assert satisfied(values_of(schema, rows), schema).tolist() == expected


def check_repair(schema, rows, expected):
    before = values_of(schema, rows)
    after = repair(before, schema)
    np.testing.assert_equal(rows_of(after), np.array(expected, np.float64).tolist())
    np.testing.assert_equal(rows_of(before), np.array(rows, np.float64).tolist())


# ---- the grid ----


@given(schemas_with_tables(min_rows=1))
def test_every_table_of_a_schema_without_rules_is_valid_and_stays_as_it_is(drawn):
    from ehrsynth.tables.values import to_values

    schema, table = drawn
    values = to_values(table, schema)
    assert satisfied(values, schema).all()
    np.testing.assert_equal(repair(values, schema), values)
    assert violations(values, schema) == []


def test_values_off_the_grid_and_forbidden_gaps_are_invalid():
    schema = schema_of([whole("a", missing=False), NumberColumn(name="b", minimum=0, maximum=1, decimals=1)])
    rows = [[5, 0.3], [NONE, 0.3], [5.5, 0.3], [101, 0.3], [5, 0.33], [5, NONE], [-1, 0.3], [np.inf, 0.3]]
    check(schema, rows, [True] + [False] * 7)


# ---- inequality ----


@pytest.mark.parametrize(("strict", "equal"), [(False, True), (True, False)])
def test_inequality(strict, equal):
    schema = schema_of([whole("a"), whole("b")], Inequality(low="a", high="b", strict=strict))
    rows = [[1, 2], [2, 2], [3, 2], [NONE, 2], [3, NONE], [NONE, NONE]]
    check(schema, rows, [True, equal, False, True, True, True])


# ---- fixed combinations ----


def combinations(*values):
    columns = [
        CategoryColumn(name="sex", values=("F", "M"), missing=True),
        BooleanColumn(name="pregnant", true="Y", false="N", missing=True),
        whole("weeks"),
    ]
    names = ("sex", "pregnant", "weeks")
    return schema_of(columns, FixedCombination(columns=names, values=values))


def test_fixed_combinations_hold_only_as_listed():
    schema = combinations(("F", "Y", "20"), ("F", "N", "0"), ("M", "N", "0"))
    rows = [[0, 1, 20], [0, 0, 0], [1, 0, 0], [1, 1, 20], [0, 1, 0], [0, 1, 21], [1, 0, NONE]]
    check(schema, rows, [True, True, True, False, False, False, False])


def test_null_stands_for_missing_in_fixed_combinations():
    schema = combinations(("M", None, None), ("F", "N", None))
    rows = [[1, NONE, NONE], [0, 0, NONE], [0, NONE, NONE], [1, 0, NONE], [NONE, NONE, NONE]]
    check(schema, rows, [True, True, False, False, False])


@given(
    st.lists(st.tuples(*[st.sampled_from(["0", "1", "2", None])] * 4), min_size=1, max_size=6, unique=True)
)
def test_fixed_combinations_agree_with_a_set(listed):
    columns = [whole(name) for name in "abcd"]
    schema = schema_of(columns, FixedCombination(columns=tuple("abcd"), values=tuple(listed)))
    every = [(a, b, c, d) for a in "0123" for b in ["0", None] for c in ["1", "2", "5"] for d in ["2", None]]
    rows = [[NONE if word is None else float(word) for word in row] for row in [*every, *listed]]
    check(schema, rows, [row in set(listed) for row in [*every, *listed]])


# ---- implications ----


def implied(then, *, premise="dead", columns=None):
    columns = columns or [
        BooleanColumn(name="dead", missing=True),
        whole("day"),
        whole("cause", missing=False),
    ]
    return schema_of(columns, Implication(if_=premise, then=then))


def test_an_implication_is_broken_only_where_true_meets_false():
    schema = implied("day > 5")
    rows = [[1, 6, 0], [1, 5, 0], [0, 5, 0], [NONE, 5, 0], [1, NONE, 0]]
    check(schema, rows, [True, False, True, True, True])


def test_an_implication_may_ask_for_presence():
    schema = implied("not missing(day)")
    check(schema, [[1, 6, 0], [1, NONE, 0], [0, NONE, 0], [NONE, NONE, 0]], [True, False, True, True])


@pytest.mark.parametrize(
    ("then", "repaired"),
    [
        ("missing(day)", [1, NONE, 3]),
        ("day == 7", [1, 7, 3]),
        ("7 == day", [1, 7, 3]),
        ("day in (7)", [1, 7, 3]),
        ("missing(day) and cause == 0", [1, NONE, 0]),
        ("not dead", [0, 5, 3]),
        ("dead == false and (day == 1 and cause == 2)", [0, 1, 2]),
    ],
)
def test_an_assigning_implication_is_carried_out(then, repaired):
    check_repair(implied(then, premise="dead and day == 5"), [[1, 5, 3], [0, 5, 3]], [repaired, [0, 5, 3]])


@pytest.mark.parametrize(
    "then",
    [
        "day > 7",
        "day == 7 or cause == 0",
        "day == 7 and cause > 50",
        "day in (7, 8)",
        "day != 5",
        "day == cause",
        "day == 7 and day == 8",
    ],
)
def test_what_is_no_assignment_is_left_alone(then):
    check_repair(implied(then), [[1, 5, 3]], [[1, 5, 3]])


def test_categories_are_assigned_by_word():
    columns = [CategoryColumn(name="sex", values=("M", "F")), BooleanColumn(name="pregnant")]
    schema = implied('sex == "F"', premise="pregnant", columns=columns)
    check_repair(schema, [[0, 1], [0, 0]], [[1, 1], [0, 0]])


# ---- formulas ----


def bmi(**column):
    return schema_of(
        [
            NumberColumn(name="kg", minimum=0, maximum=300, decimals=1, missing=True),
            NumberColumn(name="m", minimum=0, maximum=3, decimals=2, missing=True),
            NumberColumn(name="bmi", minimum=5, maximum=90, decimals=1, **column),
        ],
        Formula(column="bmi", equals="kg / (m * m)"),
    )


def test_a_formula_holds_up_to_rounding_and_where_something_is_missing():
    rows = [[81, 1.8, 25.0], [80, 1.8, 24.7], [80, 1.8, 24.8], [NONE, 1.8, 30], [80, 1.8, NONE], [80, 0, 30]]
    check(bmi(missing=True), rows, [True, True, False, True, True, True])


def test_a_formula_is_recomputed():
    check_repair(bmi(missing=True), [[80, 1.8, 30], [NONE, 1.8, 30]], [[80, 1.8, 24.7], [NONE, 1.8, 30]])


def test_a_formula_fills_a_gap_that_is_not_allowed():
    check_repair(bmi(), [[80, 1.8, NONE]], [[80, 1.8, 24.7]])


def test_a_result_out_of_bounds_is_a_violation_that_nothing_repairs():
    schema = bmi(missing=True)
    check(schema, [[300, 0.5, 90.0]], [False])
    check_repair(schema, [[300, 0.5, 90.0]], [[300, 0.5, 90.0]])


def test_both_neighbours_of_a_half_are_right():
    columns = [whole("a"), whole("b")]
    schema = schema_of(columns, Formula(column="b", equals="a / 2"))
    check(schema, [[5, 2], [5, 3], [5, 4], [7, 3], [7, 4]], [True, True, False, True, True])


def test_formulas_of_formulas_are_computed_in_their_order():
    columns = [whole(name) for name in ("total", "double", "a")]
    formulas = Formula(column="total", equals="double + 1"), Formula(column="double", equals="a * 2")
    schema = schema_of(columns, *formulas)
    check_repair(schema, [[0, 0, 20], [0, 40, 20], [41, 40, 20]], [[41, 40, 20]] * 3)
    assert rows_of(recompute(values_of(schema, [[NONE, 7, 20]]), schema)) == [[41, 40, 20]]


def test_a_long_chain_of_formulas_is_repaired_whatever_its_order():
    names = [f"x{place}" for place in range(30)]
    links = [Formula(column=b, equals=f"{a} + 1") for a, b in pairwise(names)]
    schema = schema_of([whole(name) for name in names], *reversed(links))
    check_repair(schema, [[7] + [0] * 29], [list(range(7, 37))])


def test_large_decimals_may_be_off_by_their_last_bit():
    columns = [NumberColumn(name=n, minimum=0, maximum=99_999_999_999_999, decimals=1) for n in "ab"]
    schema = schema_of(columns, Formula(column="b", equals="a + 0.05"))
    a = np.round(90_000_000_000_000 + np.arange(50) / 10, 1)
    rows = np.stack([a, np.round(a + 0.05, 1)], axis=1)
    assert satisfied(values_of(schema, rows), schema).all()


def test_recomputing_makes_missing_what_cannot_be_computed():
    schema = bmi(missing=True)
    values = recompute(values_of(schema, [[NONE, 1.8, 30], [80, 1.8, NONE]]), schema)
    np.testing.assert_equal(values["bmi"], np.array([NONE, 24.7]))


# ---- present together ----


def test_present_together():
    schema = schema_of([whole("sbp"), whole("dbp")], PresentTogether(columns=("sbp", "dbp")))
    rows = [[1, 2], [NONE, NONE], [1, NONE], [NONE, 2]]
    check(schema, rows, [True, True, False, False])
    check_repair(schema, rows, [[1, 2], [NONE, NONE], [NONE, NONE], [NONE, NONE]])


def test_what_must_be_present_is_not_made_missing():
    columns = [whole("sbp", missing=False), whole("dbp")]
    schema = schema_of(columns, PresentTogether(columns=("sbp", "dbp")))
    check_repair(schema, [[1, NONE]], [[1, NONE]])


# ---- all of them ----


CHAIN = schema_of(
    [BooleanColumn(name="dead", missing=True), whole("day"), whole("cause"), whole("score", high=50)],
    Inequality(low="day", high="cause"),
    Implication(if_="dead == false", then="missing(day)"),
    PresentTogether(columns=("day", "cause")),
    Formula(column="score", equals="day + 1"),
)
CELLS = st.tuples(*[st.sampled_from([0.0, 1.0, 30.0, 60.0, NONE])] * 4)


def test_repair_goes_on_until_nothing_changes():
    check_repair(CHAIN, [[0, 5, 9, 6], [1, 5, 9, 1]], [[0, NONE, NONE, 6], [1, 5, 9, 6]])


def test_what_may_not_be_assigned_does_not_stand_in_the_way_of_another_rule():
    columns = [whole("a"), whole("b", missing=False), whole("c")]
    forbidden = Implication(if_="a == 5", then="missing(b)"), Implication(if_="a == 5", then="b == 500")
    for rule in forbidden:
        check_repair(schema_of(columns, rule, Formula(column="a", equals="c + 1")), [[5, 3, 1]], [[2, 3, 1]])


def test_rules_in_a_circle_end_and_leave_the_row_as_it_was():
    schema = schema_of(
        [whole("a"), whole("b")],
        Implication(if_="a == 1", then="a == 2"),
        Implication(if_="a == 2", then="a == 1"),
    )
    check_repair(schema, [[1, 0], [3, 0]], [[1, 0], [3, 0]])


@given(st.lists(CELLS, min_size=1, max_size=8))
def test_repair_is_idempotent_never_harms_and_gives_rows_whole(rows):
    before = values_of(CHAIN, rows)
    valid = satisfied(before, CHAIN)
    after = repair(before, CHAIN)
    np.testing.assert_equal(repair(after, CHAIN), after)
    now = satisfied(after, CHAIN)
    for name, array in after.items():
        np.testing.assert_equal(array[valid | ~now], before[name][valid | ~now])
        assert (grid(CHAIN.column(name)).contains(array[now]) | np.isnan(array[now])).all()


def test_violations_are_counted_by_rule_in_the_order_of_the_schema():
    values = values_of(CHAIN, [[0, 5, 3, 6], [1, 5, NONE, 9], [0, 9, 5, 10]])
    found = violations(values, CHAIN)
    assert [(rule.kind, count) for rule, count in found] == [
        ("inequality", 2),
        ("implication", 2),
        ("present_together", 1),
        ("formula", 1),
    ]


def test_no_rows_are_no_violation():
    assert satisfied(values_of(CHAIN, []), CHAIN).shape == (0,)
    assert violations(values_of(CHAIN, []), CHAIN) == []
    assert rows_of(repair(values_of(CHAIN, []), CHAIN)) == []
