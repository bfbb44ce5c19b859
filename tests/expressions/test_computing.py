"""Truth in three values and numbers: known answers, and random trees against a slow reading row by row."""

import math
import operator
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import ExpressionError
from ehrsynth.expressions import compute, parse, truth

NAN = math.nan
VALUES = {
    "a": np.array([1.0, NAN, 90.0, 0.0, -2.5]),
    "b": np.array([0.0, 1.0, NAN, 4.0, 2.0]),
    "odd name": np.array([1.0, 2.0, 3.0, NAN, NAN]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a >= 1", [1, 0, 1, -1, -1]),
        ("not a >= 1", [-1, 0, -1, 1, 1]),
        ("a != 1", [-1, 0, 1, 1, 1]),
        ("-5 < a <= 1", [1, 0, -1, 1, 1]),
        ("a in (90, 1)", [1, 0, 1, -1, -1]),
        ("a not in (90, 1)", [-1, 0, -1, 1, 1]),
        ("missing(a)", [-1, 1, -1, -1, -1]),
        ("not missing(a) and not missing(b)", [1, -1, -1, 1, 1]),
        ("a > 0 or b > 0", [1, 1, 1, 1, 1]),
        ("a > 50 and b > 0", [-1, 0, 0, -1, -1]),
        ("a / b > 0", [0, 0, 0, -1, -1]),  # 1 / 0 is unknown
        ("b", [-1, 1, 0, 1, 1]),
        ("true", [1, 1, 1, 1, 1]),
        ("false or a == 1", [1, 0, -1, -1, -1]),
        ("1 > 2", [-1] * 5),
        ("`odd name` == 2", [-1, 1, -1, 0, 0]),
    ],
)
def test_truth(text, expected):
    found = truth(parse(text), VALUES)
    assert found.dtype == np.int8
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", [1, NAN, NAN, 8, 1.5]),
        ("(a + b) * 2", [2, NAN, NAN, 8, -1]),
        ("10 - 4 - 3", [3] * 5),
        ("8 / 4 / 2", [1] * 5),
        ("-a", [-1, NAN, -90, 0, 2.5]),
        ("abs(a)", [1, NAN, 90, 0, 2.5]),
        ("floor(a)", [1, NAN, 90, 0, -3]),
        ("ceil(a)", [1, NAN, 90, 0, -2]),
        ("max(a, b, 3)", [3, NAN, NAN, 4, 3]),
        ("min(a, b)", [0, NAN, NAN, 0, -2.5]),
        ("round(a / 3, 2)", [0.33, NAN, 30, 0, -0.83]),
        ("round(1234, -2)", [1200] * 5),
        ("a / b", [NAN, NAN, NAN, 0, -1.25]),
        ("1 / (1 / (a - a))", [NAN] * 5),  # an infinity on the way does not come back as zero
        ("1e308 * 10", [NAN] * 5),
    ],
)
def test_numbers(text, expected):
    found = compute(parse(text), VALUES)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "text"), [(truth, "a + 1"), (truth, "5"), (compute, "a > 1"), (truth, "a == 'x'")]
)
def test_the_wrong_kind_of_expression_is_an_error(call, text):
    with pytest.raises(ExpressionError):
        call(parse(text), VALUES)


def test_a_column_without_values_is_an_error_with_a_caret():
    with pytest.raises(ExpressionError, match="unknown column 'aa'") as caught:
        truth(parse("b > 1 and aa > 1"), VALUES)
    assert caught.value.position == 10


def test_the_values_are_not_changed():
    before = VALUES["a"].copy()
    truth(parse("a"), VALUES)
    compute(parse("a"), VALUES)[:] = 0
    np.testing.assert_array_equal(VALUES["a"], before)


# Random trees: each is a text with as few brackets as possible or with more, its level, and a function
# from a row to its meaning, where None is missing or unknown.

NAMES = {"a": "a", "b": "b", "odd name": "`odd name`"}
OR, AND, NOT, COMPARISON, SUM, PRODUCT, MINUS, ATOM = range(1, 9)
COMPARE = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le}
COMPARE |= {">": operator.gt, ">=": operator.ge}
COMPUTE = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
spaces = st.sampled_from([" ", "  ", "\n"])


def shown(part, least):
    text, level, _ = part
    return text if level >= least else f"({text})"


def finite(step):
    def computed(*numbers):
        if None in numbers:
            return None
        try:
            result = step(*numbers)
        except ZeroDivisionError:
            return None
        return result if math.isfinite(result) else None

    return computed


@st.composite
def arithmetic(draw, numbers):
    level = draw(st.sampled_from([SUM, PRODUCT]))
    parts = draw(st.lists(numbers, min_size=2, max_size=4))
    symbols = [draw(st.sampled_from("+-" if level == SUM else "*/")) for _ in parts[1:]]
    text = shown(parts[0], level)
    for symbol, part in zip(symbols, parts[1:], strict=True):
        text += f"{draw(spaces)}{symbol}{draw(spaces)}{shown(part, level + 1)}"

    def meaning(row):
        total = parts[0][2](row)
        for symbol, part in zip(symbols, parts[1:], strict=True):
            total = finite(COMPUTE[symbol])(total, part[2](row))
        return total

    return text, level, meaning


@st.composite
def calls(draw, numbers):
    one, other = draw(numbers), draw(numbers)
    name = draw(st.sampled_from(["abs", "floor", "min", "max"]))
    if name in {"min", "max"}:
        choose = finite(min if name == "min" else max)
        text = f"{name}({one[0]},{other[0]})"
        return text, ATOM, lambda row: choose(one[2](row), other[2](row))
    step = finite(abs if name == "abs" else math.floor)
    return f"{name}( {one[0]} )", ATOM, lambda row: step(one[2](row))


def leaf(name):
    return NAMES[name], ATOM, lambda row: None if math.isnan(row[name]) else row[name]


def constant(value):
    text = repr(value)
    return text, MINUS if value < 0 else ATOM, lambda _: value


def negative(part):
    return f"-{shown(part, MINUS)}", MINUS, lambda row: finite(operator.neg)(part[2](row))


numbers = st.recursive(
    st.sampled_from(sorted(NAMES)).map(leaf) | st.sampled_from([-2.5, 0, 1, 2, 90, 0.1]).map(constant),
    lambda inner: arithmetic(inner) | calls(inner) | inner.map(negative),
    max_leaves=5,
)


@st.composite
def comparisons(draw):
    parts = draw(st.lists(numbers, min_size=2, max_size=3))
    symbols = [draw(st.sampled_from(sorted(COMPARE))) for _ in parts[1:]]
    text = shown(parts[0], SUM)
    for symbol, part in zip(symbols, parts[1:], strict=True):
        text += f" {symbol} {shown(part, SUM)}"

    def meaning(row):
        values = [part[2](row) for part in parts]
        pairs = zip(symbols, values, values[1:], strict=False)
        return all_of([None if None in (a, b) else COMPARE[s](a, b) for s, a, b in pairs])

    return text, COMPARISON, meaning


@st.composite
def memberships(draw):
    item = draw(numbers)
    choices = draw(st.lists(st.sampled_from([-2.5, 0, 1, 90]), min_size=1, max_size=3))
    negated = draw(st.booleans())
    text = f"{shown(item, SUM)} {'not ' if negated else ''}in ({', '.join(map(repr, choices))})"

    def meaning(row):
        value = item[2](row)
        return None if value is None else (value in choices) != negated

    return text, COMPARISON, meaning


def absence(name):
    return f"missing({NAMES[name]})", ATOM, lambda row: math.isnan(row[name])


def all_of(truths):
    return False if False in truths else None if None in truths else True


def any_of(truths):
    return True if True in truths else None if None in truths else False


@st.composite
def junctions(draw, truths):
    level = draw(st.sampled_from([OR, AND]))
    parts = draw(st.lists(truths, min_size=2, max_size=3))
    text = f"{draw(spaces)}{'or' if level == OR else 'and'} ".join(shown(p, level + 1) for p in parts)
    join = any_of if level == OR else all_of
    return text, level, lambda row: join([part[2](row) for part in parts])


def denial(part):
    def meaning(row):
        value = part[2](row)
        return None if value is None else not value

    return f"not {shown(part, NOT)}", NOT, meaning


truths = st.recursive(
    comparisons() | memberships() | st.sampled_from(sorted(NAMES)).map(absence),
    lambda inner: junctions(inner) | inner.map(denial),
    max_leaves=8,
)
ROWS = [{name: float(VALUES[name][place]) for name in VALUES} for place in range(5)]


@given(truths)
def test_random_conditions_mean_what_they_say(tree):
    text, _, meaning = tree
    expected = [{True: 1, None: 0, False: -1}[meaning(row)] for row in ROWS]
    assert truth(parse(text), VALUES).tolist() == expected


@given(numbers)
def test_random_formulas_mean_what_they_say(tree):
    text, _, meaning = tree
    expected = [NAN if (value := meaning(row)) is None else value for row in ROWS]
    np.testing.assert_array_equal(compute(parse(text), VALUES), expected)


@given(truths)
def test_brackets_round_every_part_change_nothing(tree):
    text, _, _ = tree
    nested = reduce(lambda inner, _: f"({inner})", range(3), text)
    np.testing.assert_array_equal(truth(parse(text), VALUES), truth(parse(nested), VALUES))


@given(truths)
def test_a_denial_turns_true_and_false_round(tree):
    text, _, _ = tree
    np.testing.assert_array_equal(-truth(parse(text), VALUES), truth(parse(f"not ({text})"), VALUES))


@given(st.text("aAnd or()<>=!+-*/,.'\"`0123 \\min🩺", max_size=30))
def test_any_text_parses_or_is_refused_with_a_caret_inside_it(text):
    try:
        parse(text)
        position = 0
    except ExpressionError as error:
        position = error.position
    assert 0 <= position <= len(text)
