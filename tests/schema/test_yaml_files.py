"""Schema files: written to be read by people, read back to the word, refused in plain sentences."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import strategies
from ehrsynth.errors import SchemaError
from ehrsynth.schema import (
    CategoryColumn,
    FixedCombination,
    Implication,
    IntegerColumn,
    LeftOut,
    PublicRows,
    Schema,
)
from ehrsynth.schema.complaints import schema_from
from ehrsynth.schema.yaml_files import load_schema, save_schema, schema_text

MISREAD = (
    *("No", "Yes", "on", "off", "y", "N", "true", "False", "null", "~", "Null", ".inf", ".nan"),
    *("1", "012", "1.10", "1_0", "1e3", "0x1F", "0o7", "+1", ".5", "-1", "12:30", "2020-01-01"),
    *("=", "<<", "?", "-", "--", "|", ">", "{", "[", "]", "}", "@a", "%a", "!t", "&a", "*a", "#x"),
    *("a: b", "a #b", "- a", 'say "x"', "it's", " lead", "trail ", "a,b", "x\ny", "\t"),
    *("\N{SMILING FACE WITH SMILING EYES}", "\x85", "\u2028", "\ufeff"),
)
SCHEMA = Schema(
    name="trial",
    title="A trial: of words",
    citation="Trials 2011;12:101",
    rows=PublicRows(value=19435),
    missing_codes=("NA", "-9"),
    columns=(
        IntegerColumn(
            name="AGE", minimum=16, maximum=99, unit="years", roles=("protected",), source="public"
        ),
        CategoryColumn(
            name="blood: type", values=("A", "B", "No"), labels={"No": "not: known"}, missing=True
        ),
    ),
    constraints=(
        Implication.model_validate({"if": "AGE > 80", "then": "missing(`blood: type`)"}),
        FixedCombination(columns=("AGE", "blood: type"), values=(("16", "A"), ("17", None))),
    ),
    left_out=(LeftOut(name="note", reason="free text"),),
)


def written(tmp_path, text):
    path = tmp_path / "schema.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(tmp_path, text):
    with pytest.raises(SchemaError) as caught:
        load_schema(written(tmp_path, text))
    assert "schema.yaml" in caught.value.summary
    return list(caught.value.problems)


def with_columns(*columns, after=""):
    return "name: x\ncolumns:\n" + "".join(f"  - {column}\n" for column in columns) + after


def test_a_file_is_made_to_be_read():
    comments = {"AGE": "two digits\non the form", "blood: type": "a guess"}
    assert (
        schema_text(SCHEMA, comments)
        == """\
format: 1
name: trial
title: 'A trial: of words'
citation: 'Trials 2011;12:101'
rows:
  value: 19435
missing_codes: [NA, '-9']
columns:
  # two digits
  # on the form
  - name: AGE
    kind: integer
    roles: [protected]
    source: public
    minimum: 16
    maximum: 99
    unit: years
  # a guess
  - name: 'blood: type'
    kind: category
    missing: true
    values: [A, B, 'No']
    labels:
      'No': 'not: known'
constraints:
  - kind: implication
    if: 'AGE > 80'
    then: 'missing(`blood: type`)'
  - kind: fixed_combination
    columns: [AGE, 'blood: type']
    values:
      - ['16', A]
      - ['17', null]
left_out:
  - name: note
    reason: free text
"""
    )


def test_what_is_saved_is_loaded(tmp_path):
    save_schema(SCHEMA, tmp_path / "schema.yaml", comments={"AGE": "x"})
    assert load_schema(tmp_path / "schema.yaml") == SCHEMA
    assert load_schema(tmp_path / "schema.yaml").hash() == SCHEMA.hash()


@pytest.mark.parametrize("word", MISREAD)
def test_words_that_yaml_would_misread_come_back(tmp_path, word):
    column = CategoryColumn(name=word, values=(word, "other"), description=word, labels={word: word})
    schema = Schema(name=word, columns=(column,), missing_codes=(f"{word}.",))
    save_schema(schema, tmp_path / "schema.yaml", comments={word: word})
    assert load_schema(tmp_path / "schema.yaml") == schema
    # Any other reader of YAML gets the same words.
    assert (
        Schema.model_validate(yaml.safe_load((tmp_path / "schema.yaml").read_text(encoding="utf-8")))
        == schema
    )


@given(strategies.schemas(), st.text(max_size=30), st.text(max_size=200))
def test_any_schema_comes_back(tmp_path_factory, schema, comment, description):
    schema = schema.changed(description=description.encode(errors="ignore").decode())
    path = tmp_path_factory.mktemp("yaml") / "schema.yaml"
    comment = comment.encode(errors="ignore").decode()
    save_schema(schema, path, comments=dict.fromkeys(schema.names, comment))
    assert load_schema(path) == schema


def test_five_thousand_values_stay_readable(tmp_path):
    values = tuple(f"value {n}" for n in range(5000))
    schema = Schema(name="s", columns=(CategoryColumn(name="x", values=values),))
    text = schema_text(schema)
    assert max(map(len, text.splitlines())) < 130
    assert load_schema(written(tmp_path, text)) == schema


def test_a_word_is_what_stands_in_the_file(tmp_path):
    text = with_columns(
        "{name: 012, kind: category, values: [No, yes, 012, 1e3, 0x1F, 1.10, 12:30, 2020-01-01, true]}"
    )
    column = load_schema(written(tmp_path, text)).columns[0]
    assert column.name == "012"
    assert column.values == ("No", "yes", "012", "1e3", "0x1F", "1.10", "12:30", "2020-01-01", "true")


def test_numbers_and_truths_are_read_where_they_are_meant(tmp_path):
    text = with_columns(
        "{name: a, kind: number, minimum: -1.5, maximum: 1e3, decimals: 1, missing: yes}",
        "{name: b, kind: boolean, true: Yes, false: No}",
        "{name: c, kind: date, minimum: 2020-01-01, maximum: 2020-12-31}",
        after="format: 1\n",
    )
    a, b, c = load_schema(written(tmp_path, text)).columns
    assert (a.minimum, a.maximum, a.missing) == (-1.5, 1000, True)
    assert (b.true, b.false) == ("Yes", "No")
    assert c.size == 366


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (
            "{name: AGE, kind: integer, minimum: 120, maximum: 16}",
            "column 'AGE': minimum 120 is above maximum 16",
        ),
        (
            "{name: AGE, kind: integer, minimun: 1, minimum: 1, maximum: 9}",
            "column 'AGE': unknown field 'minimun'; did you mean 'minimum'?",
        ),
        ("{name: AGE, kind: integer, minimum: 1}", "column 'AGE': needs 'maximum'"),
        (
            "{name: AGE, kind: integer, minimum: low, maximum: 9}",
            "column 'AGE': 'minimum' is 'low'; it must be a whole number",
        ),
        (
            "{name: AGE, kind: integer, minimum: 1.5, maximum: 9}",
            "column 'AGE': 'minimum' is '1.5'; it must be a whole number",
        ),
        (
            "{name: AGE, kind: integer, minimum: 0, maximum: 99999999999999999}",
            "column 'AGE': 'maximum' is '99999999999999999'; it must be at most 9007199254740992",
        ),
        (
            "{name: W, kind: number, minimum: 0, maximum: .inf, decimals: 1}",
            "column 'W': 'maximum' is '.inf'; it must be a number",
        ),
        (
            "{name: note, kind: text}",
            "column 'note': free text is refused for now: move the column to left_out",
        ),
        ("{name: AGE, kind: intger}", "Did you mean 'integer'?"),
        ("{name: AGE}", "column 'AGE': needs a kind: one of boolean, category, code"),
        ("{kind: boolean}", "column number 2: needs 'name'"),
        ("{name: S, kind: category, values: [A, null]}", "column 'S': 'values', number 2, is empty"),
        ("{name: S, kind: category, values: []}", "column 'S': 'values' needs at least 1"),
        ("{name: S, kind: category, values: A}", "column 'S': 'values' is 'A'; it must be a list"),
        (
            "{name: S, kind: boolean, missing: perhaps}",
            "'missing' is 'perhaps'; it must be true or false",
        ),
        (
            "{name: S, kind: boolean, roles: [sit]}",
            "'roles', number 1, is 'sit'; allowed: 'patient_key'",
        ),
        ("{name: S, kind: boolean, source: hearsay}", "'source' is 'hearsay'; allowed: 'public' or 'data'"),
        (
            "{name: D, kind: date, minimum: 2020, maximum: 2021-01-01}",
            "'minimum' is '2020': write a real day",
        ),
        ("5", "column number 2: is '5'; it must be names with a value each"),
        ("{name: ok, kind: boolean}", "column 'ok' is declared 2 times"),
    ],
)
def test_each_problem_is_a_plain_sentence(tmp_path, column, problem):
    found = complaints(tmp_path, with_columns("{name: ok, kind: boolean}", column))
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize("name", ["rows", "population"])
@pytest.mark.parametrize(("given", "shown", "count"), [("150", "'150'", "150"), ("[1]", "a list", "N")])
def test_a_bare_count_is_told_how_it_is_written(tmp_path, name, given, shown, count):
    (found,) = complaints(tmp_path, with_columns("{name: A, kind: boolean}", after=f"{name}: {given}\n"))
    remedy = f"{name}: {{value: {count}, source: public, citation: WHERE IT IS SAID}}"
    assert found.startswith(f"{name}: is {shown}; ")
    assert found.endswith(f"write `{remedy}`")
    if count == given:  # what it says to write is read
        text = with_columns("{name: A, kind: boolean, source: public, citation: c}", after=f"{remedy}\n")
        assert getattr(load_schema(written(tmp_path, text)), name).value == int(given)


def test_all_problems_are_told_at_once(tmp_path):
    text = with_columns(
        "{name: A, kind: integer, minimum: 9, maximum: 1}",
        "{name: B, kind: text}",
        "{name: A, kind: boolean, unit: years}",
        after="titel: x\nrows: {value: 0}\nleft_out: [{nam: y}]\n"
        "constraints:\n  - {kind: implication, then: A > 3}\n",
    )
    found = complaints(tmp_path, text)
    for expected in (
        "column 'A': minimum 9 is above maximum 1",
        "column 'B': free text is refused",
        "column 'A': unknown field 'unit'",
        "column 'A' is declared 2 times",
        "unknown field 'titel'; did you mean 'title'?",
        "rows: 'value' is '0'; it must be at least 1",
        "constraint 1 (implication): needs 'if'",
        "left_out, column number 1: needs 'name'",
        "left_out, column number 1: unknown field 'nam'; did you mean 'name'?",
    ):
        assert [problem for problem in found if problem.startswith(expected)], expected
    assert len(found) == 9


def test_rules_are_checked_by_name_and_value(tmp_path):
    text = with_columns(
        "{name: A, kind: integer, minimum: 1, maximum: 9}",
        after="constraints:\n  - {kind: implication, if: AA > 3, then: A > 'x'}\n",
    )
    found = complaints(tmp_path, text)
    assert [problem.split(":")[0] for problem in found] == ["constraint 1 (implication)"] * 2


def test_a_name_twice_in_a_block_is_refused_with_its_line(tmp_path):
    column = "name: A\n    kind: integer\n    minimum: 1\n    minimum: 2\n    maximum: 1"
    text = with_columns(column, after="name: y\n")
    assert complaints(tmp_path, text) == [
        "line 8: 'name' stands twice in one block",
        "line 6: 'minimum' stands twice in one block",
        "column 'A': minimum 2 is above maximum 1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "a: b: c",
        "x: *nothing",
        "- 1",
        "a,b\n1,2",
        "\x00",
        "? [a]\n: 3",
        "x: !!python/object:os.x {}",
        "[" * 5000,
    ],
)
def test_what_is_no_schema_is_refused(tmp_path, text):
    with pytest.raises(SchemaError):
        load_schema(written(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="cannot be read"):
        load_schema(tmp_path / "nothing.yaml")
    with pytest.raises(SchemaError, match="cannot be read"):
        load_schema(tmp_path)
    (tmp_path / "schema.yaml").write_bytes(b"name: \xff\xfe\x80")
    with pytest.raises(SchemaError, match="not a YAML file"):
        load_schema(tmp_path / "schema.yaml")


def test_a_table_given_as_a_schema_does_not_show_its_cells(tmp_path):
    with pytest.raises(SchemaError) as caught:
        load_schema(written(tmp_path, 'id,name\n1,"Mrs Miller: ""x"""\n2,Mr Smith: 4\n'))
    assert "Miller" not in str(caught.value)
    assert "Smith" not in str(caught.value)


def test_plain_values_from_json_are_checked_alike():
    assert schema_from(SCHEMA.as_json()) == SCHEMA
    with pytest.raises(SchemaError, match="YAML reads this word as true or false: put it in quotes"):
        schema_from({"name": "x", "columns": [{"name": "a", "kind": "category", "values": [True]}]})
    with pytest.raises(SchemaError, match="the schema is no schema"):
        schema_from([])
