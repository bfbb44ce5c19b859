"""A whole schema: names, sources, rules, subsets, and its hash."""

import pytest
from hypothesis import given
from pydantic import ValidationError

import strategies
from ehrsynth.errors import RequestError
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    IdentifierColumn,
    Implication,
    Inequality,
    IntegerColumn,
    LeftOut,
    PublicRows,
    Schema,
)

AGE = IntegerColumn(name="age", minimum=16, maximum=99)
OLD = IntegerColumn(name="old", minimum=16, maximum=99)
SEX = CategoryColumn(name="sex", values=("F", "M"), roles=("protected",))
KEY = IdentifierColumn(name="id", roles=("patient_key",))
RULE = Inequality(low="age", high="old")
SCHEMA = Schema(name="s", columns=(KEY, AGE, SEX, OLD), constraints=(RULE,))


def test_it_finds_its_columns():
    assert SCHEMA.names == ("id", "age", "sex", "old")
    assert [c.name for c in SCHEMA.learnt] == ["age", "sex", "old"]
    assert SCHEMA.patient_key == "id"
    assert SCHEMA.with_role("protected") == ("sex",)
    assert SCHEMA.column("sex") is SEX
    with pytest.raises(RequestError, match="Did you mean 'age'"):
        SCHEMA.column("agee")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"columns": (AGE, AGE)}, "column 'age' is declared 2 times"),
        ({"columns": (AGE,), "left_out": (LeftOut(name="age"),)}, "column 'age' is declared 2 times"),
        ({"columns": ()}, "at least 1"),
        ({"columns": (KEY, KEY.model_copy(update={"name": "b"}))}, "one column is the patient_key, not 2"),
        ({"columns": (AGE,), "constraints": (RULE,)}, "unknown column 'old'"),
        (
            {"columns": (AGE.model_copy(update={"source": "public"}),)},
            "'age': source public needs a citation",
        ),
        (
            {"columns": (AGE.model_copy(update={"item_sources": {"maximum": "public"}}),)},
            "'age': source public needs a citation",
        ),
        ({"columns": (AGE,), "rows": PublicRows(value=3)}, "rows: source public needs a citation"),
        ({"columns": (SEX,), "missing_codes": ("M",)}, "'sex': 'M': a value here and a missing code"),
        ({"columns": (BooleanColumn(name="b"),), "missing_codes": ("false",)}, "'b': 'false': a value here"),
        ({"columns": (AGE,), "titel": "x"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        Schema(name="s", **fields)


def test_a_citation_of_the_schema_serves_all():
    public = AGE.model_copy(update={"source": "public"})
    assert Schema(name="s", columns=(public,), citation="Trials 2011").guessed() == ()
    assert "age: minimum" in SCHEMA.guessed()
    assert "constraint 1: inequality" in SCHEMA.guessed()


def test_a_subset_keeps_the_rules_that_it_can():
    some = SCHEMA.subset(("old", "age"))
    assert some.names == ("old", "age")
    assert some.constraints == (RULE,)
    assert [c.name for c in some.left_out] == ["id", "sex"]
    assert SCHEMA.subset(("age", "sex")).constraints == ()
    with pytest.raises(RequestError):
        SCHEMA.subset(("nothing",))


def test_a_change_is_checked():
    assert SCHEMA.changed(title="T").title == "T"
    with pytest.raises(ValidationError):
        SCHEMA.changed(columns=(AGE,))


def test_the_hash_follows_the_meaning():
    again = Schema(name="s", columns=(KEY, AGE, SEX, OLD), constraints=(RULE,))
    assert again.hash() == SCHEMA.hash()
    assert SCHEMA.changed(title="T").hash() != SCHEMA.hash()
    assert SCHEMA.names  # what was looked up before does not change it
    assert again == SCHEMA


@given(strategies.schemas())
def test_plain_values_bring_the_schema_back(schema):
    assert Schema.model_validate(schema.as_json()) == schema


def test_rules_keep_their_words():
    rule = Implication.model_validate({"if": "age > 80", "then": "sex == 'F'"})
    made = SCHEMA.changed(constraints=(rule,))
    assert made.as_json()["constraints"] == [{"kind": "implication", "if": "age > 80", "then": "sex == 'F'"}]
    assert Schema.model_validate(made.as_json()) == made
