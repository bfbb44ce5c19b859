"""Expressions meet a schema: types, words, dates, units; and what is wrong with constraints."""

import pytest

from ehrsynth.errors import ExpressionError
from ehrsynth.expressions import Number, walk
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    FixedCombination,
    Formula,
    IdentifierColumn,
    Implication,
    Inequality,
    IntegerColumn,
    NumberColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.schema.binding import bind, columns_of, constraint_problems, word_value

COLUMNS = (
    IdentifierColumn(name="id"),
    IntegerColumn(name="age", minimum=16, maximum=99),
    NumberColumn(name="hb", minimum=3, maximum=20, decimals=1, missing=True),
    CategoryColumn(name="sex", values=("F", "M")),
    CategoryColumn(name="grade", values=("1", "2", "3"), ordered=True),
    CategoryColumn(name="later grade", values=("1", "2", "3"), ordered=True),
    CategoryColumn(name="stype", values=tuple(f"T{n}" for n in range(15))),
    CodeColumn(name="icd", values=("I61", "I63"), system="ICD-10"),
    BooleanColumn(name="smoker", true="Y", false="N", missing=True),
    DateColumn(name="start", minimum="2000-01-01", maximum="2010-12-31"),
    DateColumn(name="stop", minimum="2000-01-01", maximum="2011-12-31", missing=True),
    DatetimeColumn(name="seen", minimum="2000-01-01", maximum="2011-12-31"),
    DatetimeColumn(name="gone", minimum="2000-01-01", maximum="2011-12-31"),
    DurationColumn(name="stay", minimum=0, maximum=400, unit="days"),
    DurationColumn(name="delay", minimum=0, maximum=400, unit="hours"),
)
SCHEMA = Schema(name="s", columns=COLUMNS)


def literals(text):
    root = bind(text, SCHEMA, expects="truth").root
    return [node.value for node in walk(root) if isinstance(node, Number)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('sex == "M"', [1]),
        ('"F" != sex', [0]),
        ('sex in ("M", "F")', [1, 0]),
        ('grade >= "2"', [1]),
        ("grade >= 2", [1]),
        ("grade in (1, '3')", [0, 2]),
        ("'1' < grade <= '3'", [0, 2]),
        ("grade <= `later grade`", []),
        ("icd == 'I63'", [1]),
        ("smoker", []),
        ("not smoker", []),
        ("smoker == true", [1]),
        ("smoker == 'N'", [0]),
        ("smoker != false", [0]),
        ("start >= '1970-01-02'", [1]),
        ("seen >= '1970-01-01T00:01:00'", [60]),
        ("seen >= '1970-01-01 00:01'", [60]),
        ("seen >= '1970-01-02'", [86_400]),
        ("start in ('1970-01-03', '1970-01-04')", [2, 3]),
        ("stop - start > 3", [3]),
        ("stop - '1970-01-03' <= stay", [2]),
        ("start + stay <= stop", []),
        ("3 + start < stop", [3]),
        ("start - 3 < '1970-01-03'", [3, 2]),
        ("max(start, '1970-01-03') < stop", [2]),
        ("gone - seen > delay * 3600", [3600]),
        ("age + smoker * 3 > 80", [3, 80]),
        ("round(hb, 1) + -2 > 1.5", [1, -2, 1.5]),
        ("max(stay, 3) > stay", [3]),
        ("missing(stop) and true", []),
    ],
)
def test_words_and_dates_become_numbers(text, numbers):
    assert literals(text) == numbers


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("aeg > 3", "aeg", "Did you mean 'age'"),
        ("id == 'x'", "id", "identifier"),
        ("age > 3 and missing(id)", "id", "identifier"),
        ("sex == 'W'", "'W'", "known: F, M"),
        ("stype == 'T15'", "'T15'", "known: T0, T1, T2, T3, T4, T5, T6, T7, T8, T9 and 5 more"),
        ("stype == 'TT1'", "'TT1'", "Did you mean 'T1'"),
        ("sex > 'F'", "sex > 'F'", "no order"),
        ("icd < 'I63'", "icd < 'I63'", "no order"),
        ("smoker > false", "smoker > false", "no order"),
        ("smoker == 'maybe'", "'maybe'", "known: N, Y, false, true"),
        ("age == '80'", "'80'", "without quotes"),
        ("age in (80, '81')", "'81'", "without quotes"),
        ("age == true", "true", "without quotes"),
        ("age and smoker", "age", "compare it"),
        ("grade == sex", "sex", "does not compare"),
        ("age == sex", "age", "does not compare"),
        ("sex + 1 > 2", "1", "no meaning"),
        ("abs(sex) > 1", "sex", "expected a number"),
        ("min(sex, 'F') == 'F'", "min(sex, 'F')", "numbers or dates"),
        ("start > 3", "3", "2020-01-31"),
        ("start > '31.01.2001'", "'31.01.2001'", "2020-01-31"),
        ("start > '2001-02-30'", "'2001-02-30'", "2020-01-31"),
        ("start > '2001-02-03T10:00'", "'2001-02-03T10:00'", "2020-01-31"),
        ("start < seen", "seen", "does not compare"),
        ("start * 2 > 3", "start", "expected a number"),
        ("start + stop > 3", "stop", "no meaning"),
        ("start + delay < stop", "delay", "no meaning"),
        ("stay > delay", "delay", "does not compare"),
        ("stop - start > delay", "delay", "does not compare"),
        ("'a' == 'b'", "'a'", "without quotes"),
        ("age + 1", "age + 1", "true or false"),
    ],
)
def test_an_error_points_at_the_word_and_says_what_is_allowed(text, word, said):
    with pytest.raises(ExpressionError) as caught:
        bind(text, SCHEMA, expects="truth")
    error = caught.value
    pointer = str(error).split("\n")[-1][2:]
    assert text[error.position : error.position + pointer.count("^")] == word
    assert said in error.problem


@pytest.mark.parametrize("text", ["age > 3", "sex", "'x'", "smoker"])
def test_a_formula_is_a_number(text):
    with pytest.raises(ExpressionError):
        bind(text, SCHEMA, expects="number")
    assert bind("age * 2 + smoker", SCHEMA, expects="number").columns == {"age", "smoker"}


def test_a_quoted_name_of_a_column_is_told_from_a_word():
    with pytest.raises(ExpressionError, match="the column of that name is `age`, in backticks"):
        bind('"age" > 3', SCHEMA, expects="truth")


def test_the_text_stays_as_written():
    assert bind(" sex==  'M'", SCHEMA, expects="truth").text == " sex==  'M'"


def test_words_of_a_schema_have_values():
    column = SCHEMA.column
    assert word_value(column("sex"), "M") == 1
    assert word_value(column("smoker"), "Y") == 1
    assert word_value(column("start"), "1970-01-11") == 10
    assert word_value(column("hb"), "3.5") == 3.5
    with pytest.raises(ValueError, match="takes digits"):
        word_value(column("age"), "old")
    with pytest.raises(ValueError, match="known: F, M"):
        word_value(column("sex"), "W")


# ---- constraints ----


def problems(*rules):
    made = Schema.model_construct(**dict(SCHEMA)).model_copy(update={"constraints": rules})
    return constraint_problems(made)


def implication(if_, then):
    return Implication.model_validate({"if": if_, "then": then})


FINE = [
    Inequality(low="start", high="stop", strict=True),
    Inequality(low="grade", high="later grade"),
    FixedCombination(columns=("sex", "smoker"), values=(("F", "Y"), ("M", None))),
    FixedCombination(columns=("age", "start", "hb"), values=(("16", "2000-01-01", "3.5"),)),
    implication("age > 80", "missing(hb)"),
    Formula(column="stay", equals="stop - start"),
    Formula(column="hb", equals="round(age / 10, 1)"),
    Formula(column="stop", equals="start + stay"),
    PresentTogether(columns=("hb", "stop")),
]


@pytest.mark.parametrize("rule", FINE, ids=lambda rule: rule.kind)
def test_a_good_rule_has_no_problem(rule):
    assert problems(rule) == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Inequality(low="age", high="agee"), "unknown column 'agee'"),
        (Inequality(low="age", high="age"), "the same column"),
        (Inequality(low="age", high="id"), "identifier"),
        (Inequality(low="age", high="sex"), "does not compare"),
        (Inequality(low="sex", high="sex2"), "unknown column 'sex2'"),
        (Inequality(low="icd", high="stype"), "does not compare"),
        (Inequality(low="stay", high="delay"), "does not compare"),
        (FixedCombination(columns=("sex", "age"), values=(("W", "20"),)), "known: F, M"),
        (FixedCombination(columns=("sex", "age"), values=(("F", "15"),)), "no value 15: 16 to 99"),
        (FixedCombination(columns=("sex", "hb"), values=(("F", "3.55"),)), "decimals 1"),
        (FixedCombination(columns=("sex", "hb"), values=(("F", "nan"),)), "no value nan"),
        (FixedCombination(columns=("sex", "age"), values=((None, "20"),)), "may not be missing"),
        (FixedCombination(columns=("sex", "sex"), values=(("F", "F"),)), "more than once"),
        (
            FixedCombination(columns=("sex", "age"), values=(("F", "20"), ("F", "20"))),
            "listed more than once",
        ),
        (implication("agee > 3", "sex == 'F'"), "in 'agee > 3': unknown column"),
        (implication("age > 3", "sex == 'W'"), "known: F, M"),
        (implication("age > ", "sex == 'F'"), "ends too early"),
        (Formula(column="age", equals="age + 1"), "circle"),
        (Formula(column="sex", equals="age"), "cannot be computed"),
        (Formula(column="stay", equals="gone - seen"), "is not what"),
        (Formula(column="age", equals="start"), "is not what"),
        (Formula(column="nothing", equals="age"), "unknown column"),
        (PresentTogether(columns=("hb", "nothing")), "unknown column 'nothing'"),
    ],
)
def test_a_bad_rule_is_named_with_its_place(rule, said):
    found = problems(FINE[0], rule)
    assert len(found) == 1
    assert said in found[0]
    assert "circle" in found[0] or found[0].startswith(f"constraint 2 ({rule.kind}): ")


def test_formulas_have_an_order():
    one = Formula(column="age", equals="hb * 2")
    two = Formula(column="hb", equals="stay / 10")
    assert problems(one, two) == []
    assert problems(one, two, Formula(column="stay", equals="age * 1")) == [
        "formulas go round in a circle: age, hb, stay"
    ]
    assert problems(one, one) == ["column 'age' has 2 formulas; it can have one"]


def test_all_problems_are_told_at_once():
    rules = [Inequality(low="a", high="b"), implication("x > 1", "y > 1")]
    assert len(problems(*rules)) == 4


def test_the_columns_of_a_rule():
    assert columns_of(FINE[0]) == {"start", "stop"}
    assert columns_of(FINE[2]) == {"sex", "smoker"}
    assert columns_of(implication("age > 1", "missing(hb) or `later grade` == '1'")) == {
        "age",
        "hb",
        "later grade",
    }
    assert columns_of(FINE[5]) == {"start", "stop", "stay"}
    assert columns_of(FINE[8]) == {"hb", "stop"}
