"""What parses, what does not, and where the error points."""

import pytest

from ehrsynth.errors import ExpressionError
from ehrsynth.expressions import (
    Arithmetic,
    Call,
    Comparison,
    Junction,
    Membership,
    Missing,
    Name,
    Not,
    Number,
    Text,
    parse,
    quoted,
    walk,
)


def pointed_at(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    lines = str(caught.value).split("\n")
    start, length = lines[-1].index("^"), lines[-1].count("^")
    assert start == caught.value.position + 2
    return lines[-2][start : start + length], caught.value.problem


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("", "", "empty"),
        ("  ", "", "empty"),
        ("age >", "", "ends too early"),
        ("(age > 3", "", "')'"),
        ("age = 3", "=", "write =="),
        ("a & b", "&", "'and'"),
        ("a > 3 AND b > 3", "AND", "small letters"),
        ("a b", "b", "operator"),
        ("a > 3)", ")", "operator"),
        ("80years > a", "years", "operator"),
        ("a > 1e999", "1e999", "too large"),
        ("a == 'x", "'", "never closed"),
        ('a == "x', '"', "never closed"),
        ("`a > 3", "`", "never closed"),
        ("`` > 3", "`", "empty"),
        ("a ? 3", "?", "backticks"),
        ("a ≤ 3", "≤", "<="),
        ("a and 3", "3", "true or false"),
        ("not (a + 1)", "a + 1", "true or false"),
        ("1 + (a < 3)", "a < 3", "value"),
        ("-(a < 3) > 2", "a < 3", "value"),
        ("a == (b == c)", "b == c", "value"),
        ("a == not b", "not b", "value"),
        ("abs(a < 3) > 2", "a < 3", "value"),
        ("a < b in (1, 2)", "a < b", "value"),
        ("a in 3", "3", "'('"),
        ("a in ()", ")", "expected"),
        ("a in (b)", "b", "a list holds"),
        ("a in (1 2)", "2", "')'"),
        ("a not 3", "3", "'in'"),
        ("foo(a) > 3", "foo", "unknown function"),
        ("flor(a) > 3", "flor", "Did you mean 'floor'"),
        ("abs(a, b) > 3", "abs", "1 values, not 2"),
        ("min(a) > 3", "min", "2 or more"),
        ("round(a, 2.5) > 3", "2.5", "whole number of digits"),
        ("round(a, 16) > 3", "16", "at most 15"),
        ("round(a, b) > 3", "b", "whole number of digits"),
        ("missing(3)", "3", "one column"),
        ("missing(a, b)", "a", "one column"),
        ("height (cm) > 3", "height", "brackets in it is put into backticks"),
        ("and == 1", "and", "is put into backticks"),
        ("order by == 1", "by", "is put into backticks"),
        ("a > 3 or\n\tb = 3", "=", "write =="),
        ("🩺 > 3", "🩺", "backticks"),
        ("a in [1, 2]", "[", "round brackets"),
    ],
)
def test_an_error_points_at_the_word(text, word, said):
    at, problem = pointed_at(text)
    assert said in problem
    assert at.strip() == word


@pytest.mark.parametrize(
    "text",
    [
        "(" * 200 + "a" + ")" * 200,
        "-" * 200 + "a",
        "not " * 200 + "a",
        "1+(" * 200 + "a" + ")" * 200,
        "abs(" * 200,
    ],
)
def test_deep_nesting_is_refused_long_before_python_gives_up(text):
    assert "nested deeper" in pointed_at(text)[1]


def test_a_hundred_levels_and_long_chains_are_fine():
    assert parse("(" * 99 + "a" + ")" * 99).root == Name(99, 1, "a")
    assert len(list(walk(parse("+".join(["a"] * 5000)).root))) == 5001
    assert len(list(walk(parse(" or ".join(["a"] * 2000)).root))) == 2001


def test_too_long_an_expression_is_refused():
    with pytest.raises(ExpressionError, match="at most 10000"):
        parse("a" * 10_001)


def test_the_tree_has_the_usual_precedence():
    root = parse("not a + 1 * 2 < 3 and b or c").root
    assert isinstance(root, Junction)
    assert root.operators == ("or",)
    both = root.operands[0]
    assert isinstance(both, Junction)
    assert both.operators == ("and",)
    negation = both.operands[0]
    assert isinstance(negation, Not)
    comparison = negation.operand
    assert isinstance(comparison, Comparison)
    total = comparison.operands[0]
    assert isinstance(total, Arithmetic)
    assert total.operators == ("+",)
    assert isinstance(total.operands[1], Arithmetic)


def test_parts_know_their_place():
    text = '60 <= age < 80 and x not in ("A", -2)  or missing(`blood pressure`)'
    cut = {text[n.start : n.end]: type(n) for n in walk(parse(text).root)}
    assert cut["60 <= age < 80"] is Comparison
    assert cut['x not in ("A", -2)'] is Membership
    assert cut["-2"] is Number
    assert cut["missing(`blood pressure`)"] is Missing
    assert cut["`blood pressure`"] is Name


def test_words_and_names_keep_their_quotes_and_backslashes():
    assert parse(r'"say \"x\" \\ y\z"').root.value == r'say "x" \ y\z'
    assert parse(r"'it\'s'").root == Text(0, 7, "it's")
    assert parse("`a``b`").root == Name(0, 6, "a`b")


@pytest.mark.parametrize(
    "name", ["age", "blood pressure", "and", "not", "true", "1st", "a`b", "🩺", "a.b", "été"]
)
def test_a_quoted_name_is_that_column(name):
    assert parse(quoted(name)).root.name == name
    assert parse(f"missing({quoted(name)})").columns == {name}


def test_functions_and_columns_may_share_a_name():
    root = parse("min(min, max) > missing").root
    assert isinstance(root.operands[0], Call)
    assert parse("min(min, max) > missing").columns == {"min", "max", "missing"}
