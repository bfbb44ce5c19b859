"""Conditions become boxes: disjoint, exact wherever no two columns are compared, and right at every edge."""

import datetime as dt
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from ehrsynth.conditions import MOST_BOXES, CodeSet, Condition
from ehrsynth.encoding import codes_to_values
from ehrsynth.errors import ConditionError, ExpressionError
from ehrsynth.expressions import quoted, truth
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.schema.binding import bind

SCHEMA = Schema(
    name="s",
    columns=(
        IdentifierColumn(name="id"),
        IntegerColumn(name="age", minimum=16, maximum=99),
        NumberColumn(name="hb", minimum=0, maximum=20, decimals=1, missing=True),
        CategoryColumn(name="sex", values=("F", "M", "U")),
        CategoryColumn(name="grade", values=("low", "mid", "high"), ordered=True, missing=True),
        BooleanColumn(name="smoker", true="Y", false="N", missing=True),
        DateColumn(name="start", minimum="2000-01-01", maximum="2000-12-31"),
        DateColumn(name="stop", minimum="2000-01-01", maximum="2001-12-31", missing=True),
        DatetimeColumn(name="seen", minimum="2000-01-01", maximum="2009-12-31", missing=True),
        IntegerColumn(name="wide", minimum=-(2**52), maximum=2**52 - 1, missing=True),
        NumberColumn(name="fine", minimum=-1000, maximum=1000, decimals=6, missing=True),
    ),
)
YEAR = 366 * 86_400


def sets(where):
    """The only box of an exact condition, as plain values."""
    condition = Condition.parse(where, SCHEMA)
    assert condition.exact
    assert len(condition.boxes) == 1
    return {name: (codes.intervals, codes.missing) for name, codes in condition.boxes[0].items()}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("age >= 80", {"age": (((64, 83),), False)}),
        ("age >= 79.5", {"age": (((64, 83),), False)}),
        ("age > 98.5", {"age": (((83, 83),), False)}),
        ("60 <= age < 80", {"age": (((44, 63),), False)}),
        ("not 60 <= age < 80", {"age": (((0, 43), (64, 83)), False)}),
        ("age * 2 > 190", {"age": (((80, 83),), False)}),
        ("hb < 0.3", {"hb": (((0, 2),), False)}),
        ("hb <= 0.3", {"hb": (((0, 3),), False)}),
        ("hb == 0.3", {"hb": (((3, 3),), False)}),
        ("hb < 0.3 or missing(hb)", {"hb": (((0, 2),), True)}),
        ("not (hb < 19)", {"hb": (((190, 200),), False)}),
        ("not missing(hb)", {"hb": (((0, 200),), False)}),
        ("missing(hb)", {"hb": ((), True)}),
        ('sex != "F"', {"sex": (((1, 2),), False)}),
        ('sex in ("F", "U")', {"sex": (((0, 0), (2, 2)), False)}),
        ('grade >= "mid"', {"grade": (((1, 2),), False)}),
        ('grade != "mid"', {"grade": (((0, 0), (2, 2)), False)}),
        ("smoker", {"smoker": (((1, 1),), False)}),
        (
            'not smoker and age == 16 and hb != 0 and sex == "M"',
            {
                "age": (((0, 0),), False),
                "hb": (((1, 200),), False),
                "sex": (((1, 1),), False),
                "smoker": (((0, 0),), False),
            },
        ),
        ('start < "2000-01-03"', {"start": (((0, 1),), False)}),
        ('seen < "2001-01-01"', {"seen": (((0, YEAR - 1),), False)}),
        ('seen == "2001-01-01T00:00:05"', {"seen": (((YEAR + 5, YEAR + 5),), False)}),
        ("wide >= 0", {"wide": (((2**52, 2**53 - 1),), False)}),
        ("0 > wide", {"wide": (((0, 2**52 - 1),), False)}),
        ("wide in (0, 2, 0.5)", {"wide": (((2**52, 2**52), (2**52 + 2, 2**52 + 2)), False)}),
        ("not missing(wide)", {"wide": (((0, 2**53 - 1),), False)}),
        ("missing(wide)", {"wide": ((), True)}),
        ("fine < 0.000001", {"fine": (((0, 10**9),), False)}),
        ("fine >= 0.0000005", {"fine": (((10**9 + 1, 2 * 10**9),), False)}),
        ("not missing(age)", {}),
        ("true", {}),
        ('sex == "F" or sex != "F"', {}),
    ],
)
def test_known_answers(where, expected):
    assert sets(where) == expected


@pytest.mark.parametrize(
    "where",
    [
        "age > 99",
        "age < 16",
        "hb == 0.35",
        "missing(age)",
        "missing(hb) and hb > 3",
        'sex == "F" and sex == "M"',
        "wide > 1e300",
        "age in (1, 2)",
        "1 > 2",
        "not true",
        'start > stop and stop > "2001-01-01"',
        "age > 90 and (hb < 0 or age < 80)",
    ],
)
def test_what_no_patient_can_meet_is_refused_at_once(where):
    with pytest.raises(ConditionError, match="no patient can meet"):
        Condition.parse(where, SCHEMA)


def test_the_refusal_says_what_the_schema_allows():
    with pytest.raises(ConditionError, match="age 16 to 99, never missing; sex F, M, U, never missing"):
        Condition.parse('age > 120 and sex == "F"', SCHEMA)


def test_an_identifier_cannot_be_asked_for():
    with pytest.raises(ExpressionError, match="identifier"):
        Condition.parse("missing(id)", SCHEMA)


def test_two_columns_are_bounded_but_not_boxed():
    condition = Condition.parse('stop < start and start < "2000-02-01"', SCHEMA)
    assert not condition.exact
    assert condition.columns == {"start", "stop"}
    assert condition.boxes[0]["stop"] == CodeSet(((0, 364),), missing=False)
    codes = np.zeros((3, 10), np.int64)
    codes[:, 5], codes[:, 6] = [5, 5, 5], [4, 5, -1]
    assert condition.mask(codes).tolist() == [True, False, False]


def test_a_missing_value_is_never_true_nor_false():
    codes = np.zeros((2, 10), np.int64)
    codes[1, 1] = -1
    assert Condition.parse("hb < 10", SCHEMA).mask(codes).tolist() == [True, False]
    assert Condition.parse("not (hb > 10)", SCHEMA).mask(codes).tolist() == [True, False]
    assert Condition.parse("hb < 10 or age == 16", SCHEMA).mask(codes).tolist() == [True, True]


@pytest.mark.parametrize("where", ["hb + age > 40", "not hb + age > 40", "hb * 2 == age"])
def test_a_relation_needs_its_columns_to_be_there(where):
    """What is missing compares with nothing, so that a generator need not propose it."""
    condition = Condition.parse(where, SCHEMA)
    assert not condition.exact
    assert [box["hb"] for box in condition.boxes] == [CodeSet(((0, 200),), missing=False)]


def test_too_many_boxes_become_one_that_covers_them():
    pairs = [f"(wide=={n} and fine=={n})" for n in range(MOST_BOXES + 1)]
    most = Condition.parse(" or ".join(pairs[:-1]), SCHEMA)
    assert most.exact
    assert len(most.boxes) == MOST_BOXES
    more = Condition.parse(" or ".join(pairs), SCHEMA)
    assert not more.exact
    assert len(more.boxes) == 1
    assert more.boxes[0]["wide"] == CodeSet(((2**52, 2**52 + MOST_BOXES),), missing=False)


# ---- sets of codes ----

SIZE = 12
code_sets = st.builds(
    lambda points, missing: CodeSet((), missing).union(points_of(points)),
    st.sets(st.integers(0, SIZE - 1)),
    st.booleans(),
)
ALL = np.arange(-1, SIZE)


def points_of(points):
    found = CodeSet((), missing=False)
    for point in points:
        found = found.union(CodeSet(((point, point),), missing=False))
    return found


def members(codes):
    return set(ALL[codes.contains(ALL)].tolist())


@given(code_sets, code_sets)
def test_sets_behave_as_sets(one, other):
    assert members(one.intersect(other)) == members(one) & members(other)
    assert members(one.union(other)) == members(one) | members(other)
    assert members(one.minus(other)) == members(one) - members(other)
    assert one.size == len(members(one))
    assert one.is_empty == (not members(one))
    assert one.covers(SIZE) == (members(one) >= set(range(SIZE)))
    for made in (one.intersect(other), one.union(other), one.minus(other)):
        ends = [end for interval in made.intervals for end in interval]
        assert ends == sorted(ends)


@given(code_sets, code_sets)
def test_a_union_has_no_needless_edges(one, other):
    made = one.union(other).intervals
    assert all(high + 1 < low for (_, high), (low, _) in itertools.pairwise(made))


# ---- random conditions on random schemas ----


def _literal(column, value):
    match column:
        case CategoryColumn() | CodeColumn():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case BooleanColumn():
            return str(value).lower()
        case DateColumn() | DatetimeColumn():
            return f'"{value.isoformat()}"'
    return repr(value)


@st.composite
def leaves(draw, schema):
    column = draw(st.sampled_from(schema.learnt))
    name = quoted(column.name)
    kind = draw(st.sampled_from(["missing", "compare", "chain", "in"]))
    value = strategies._plain(column).map(lambda found: _literal(column, found))
    ordered = not isinstance(column, CodeColumn | BooleanColumn) and getattr(column, "ordered", True)
    symbols = st.sampled_from(["==", "!=", "<", "<=", ">", ">="] if ordered else ["==", "!="])
    if kind == "missing":
        return f"missing({name})"
    if kind == "in":
        listed = ", ".join(draw(st.lists(value, min_size=1, max_size=3)))
        return f"{name} {draw(st.sampled_from(['', 'not ']))}in ({listed})"
    text = f"{name} {draw(symbols)} {draw(value)}"
    if kind == "chain":
        return f"{draw(value)} {draw(symbols)} {text}"
    return text


@st.composite
def relations(draw, schema):
    numeric = [c for c in schema.learnt if c.kind in {"integer", "number"}]
    if len(numeric) < 2:
        return draw(leaves(schema))
    one, other = draw(st.permutations(numeric))[:2]
    symbol = draw(st.sampled_from(["<", "<=", "==", "!=", ">"]))
    plus = draw(st.sampled_from(["", " + 1", " * 2"]))
    return f"{quoted(one.name)}{plus} {symbol} {quoted(other.name)}"


@st.composite
def conditions(draw, leaf=leaves, **wanted):
    schema = draw(strategies.schemas(**wanted))
    tree = st.recursive(
        leaf(schema),
        lambda inner: st.one_of(
            inner.map("not ({})".format),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + ") and (".join(parts) + ")"),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + ") or (".join(parts) + ")"),
        ),
        max_leaves=6,
    )
    return schema, draw(tree)


def rows_near_the_edges(condition, rng):
    """Codes at, just inside and just outside every edge of every box, combined across columns."""
    choices = []
    for column in condition.schema.learnt:
        edges = {0, column.size - 1, -1 if column.missing else 0}
        for box in condition.boxes:
            for low, high in box[column.name].intervals if column.name in box else ():
                edges |= {low - 1, low, high, high + 1}
        choices.append(
            [code for code in sorted(edges) if -1 <= code < column.size and (code >= 0 or column.missing)]
        )
    return np.array([[rng.choice(c) for c in choices] for _ in range(200)], np.int64)


def held(box, codes, schema):
    places = {c.name: place for place, c in enumerate(schema.learnt)}
    found = np.full(len(codes), fill_value=True)
    for name, allowed in box.items():
        found &= allowed.contains(codes[:, places[name]])
    return found


def check(schema, where, rng):
    try:
        condition = Condition.parse(where, schema)
    except ConditionError:
        codes = np.stack([rng.integers(-int(c.missing), c.size, 100) for c in schema.learnt], axis=1)
        assert not _met(where, schema, codes).any()
        return None
    codes = rows_near_the_edges(condition, rng)
    count = np.sum([held(box, codes, schema) for box in condition.boxes], axis=0)
    assert count.max() <= 1, "boxes overlap"
    mask = condition.mask(codes)
    if condition.exact:
        np.testing.assert_array_equal(count == 1, mask)
    else:
        assert not (mask & (count == 0)).any(), "boxes leave out what meets the condition"
    for box in condition.boxes:
        assert not any(allowed.is_empty for allowed in box.values())
    return condition


def _met(where, schema, codes):
    return truth(bind(where, schema, expects="truth"), codes_to_values(codes, schema)) == 1


@given(conditions(max_columns=3), st.integers(0, 2**32 - 1))
def test_boxes_are_disjoint_and_exactly_the_condition(drawn, seed):
    schema, where = drawn
    condition = check(schema, where, np.random.default_rng(seed))
    assert condition is None or condition.exact


@given(
    conditions(leaf=relations, kinds=("integer", "number"), min_columns=2, max_columns=3), st.integers(0, 99)
)
def test_boxes_cover_relations(drawn, seed):
    schema, where = drawn
    check(schema, where, np.random.default_rng(seed))


@given(
    st.integers(-10, 10**6), st.integers(1, 15), st.integers(0, 20), st.sampled_from(["<", "<=", ">", ">="])
)
def test_every_grid_point_is_on_its_own_side_of_itself(low, decimals, steps, symbol):
    span = min(10**14 // 10**decimals, 10**6)
    column = NumberColumn(name="x", minimum=0, maximum=max(span, 0.1 if decimals else 1), decimals=decimals)
    code = min(abs(low) * 7 + steps, column.size - 1)
    literal = repr(code / 10**decimals)
    schema = Schema(name="s", columns=(column,))
    around = np.array([[c] for c in (code - 1, code, code + 1) if 0 <= c < column.size])
    expected = {"<": around < code, "<=": around <= code, ">": around > code, ">=": around >= code}[symbol][
        :, 0
    ]
    if expected.any():
        condition = Condition.parse(f"x {symbol} {literal}", schema)
        assert condition.mask(around).tolist() == expected.tolist()
        assert held(condition.boxes[0], around, schema).tolist() == expected.tolist()


def test_dates_count_in_days():
    condition = Condition.parse('stop - start > 3 and start == "2000-01-01"', SCHEMA)
    codes = np.zeros((2, 10), np.int64)
    codes[:, 6] = [3, 4]
    assert condition.mask(codes).tolist() == [False, True]
    assert dt.date(2000, 1, 1).isoformat() in condition.text
