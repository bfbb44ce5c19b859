"""What a rule of the schema forbids is refused at once; what it allows somebody is not."""

import pytest

from ehrsynth.conditions import Condition
from ehrsynth.errors import ConditionError
from ehrsynth.generators.forbidden import forbidding, refuse_forbidden
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    FixedCombination,
    Implication,
    Inequality,
    IntegerColumn,
    NumberColumn,
    PresentTogether,
    Schema,
)

_DAYS = {"minimum": "2000-01-01", "maximum": "2009-12-31"}
SCHEMA = Schema(
    name="s",
    columns=(
        NumberColumn(name="crp", minimum=0, maximum=100, decimals=1, missing=True),
        IntegerColumn(name="sodium", minimum=100, maximum=160, missing=True),
        DateColumn(name="start", **_DAYS),
        DateColumn(name="stop", missing=True, **_DAYS),
        BooleanColumn(name="died"),
        IntegerColumn(name="age", minimum=0, maximum=110),
        CategoryColumn(name="city", values=("Bern", "Rome")),
        CategoryColumn(name="country", values=("CH", "IT"), missing=True),
    ),
    constraints=(
        PresentTogether(columns=("crp", "sodium")),
        Inequality(low="start", high="stop", strict=True),
        Implication(**{"if": "died == true and age < 50", "then": "missing(stop)"}),
        FixedCombination(columns=("city", "country"), values=(("Bern", "CH"), ("Rome", None))),
    ),
)


@pytest.mark.parametrize(
    ("where", "rules"),
    [
        ("missing(crp) and not missing(sodium)", "constraint 1 "),
        ("crp > 3 and missing(sodium)", "constraint 1 "),
        ('stop <= "2003-05-01" and start >= "2003-05-01"', "constraint 2 "),
        ('died == true and age < 40 and stop > "2003-05-01"', "constraint 3 "),
        ('city == "Bern" and missing(country)', "constraint 4 "),
        ('country == "IT"', "constraint 4 "),
        ('country == "IT" or crp > 3 and missing(sodium)', "constraint 1 .*; constraint 4 "),
    ],
)
def test_a_condition_against_a_rule_is_refused_with_the_rule_named(where: str, rules: str) -> None:
    with pytest.raises(ConditionError, match=rules):
        refuse_forbidden(Condition.parse(where, SCHEMA))


@pytest.mark.parametrize(
    "where",
    [
        "crp >= 0",
        "missing(crp)",
        'stop <= "2003-05-02" and start >= "2003-05-01"',
        'start >= "2009-12-31" and (missing(stop) or died == true)',
        "died == true and not missing(stop)",
        "died == true and age < 50",
        'city == "Rome" and missing(country)',
        'country == "IT" or age > 3',
        "age > age + 0 or age >= 0",
    ],
)
def test_a_condition_that_the_rules_allow_somebody_is_forbidden_by_none(where: str) -> None:
    assert forbidding(Condition.parse(where, SCHEMA)) == ()
