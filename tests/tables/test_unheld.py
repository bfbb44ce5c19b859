"""Lists that were read off the data, when somebody left the table."""

import pandas as pd
import pytest

from ehrsynth.schema import CategoryColumn, CodeColumn, FixedCombination, Implication, IntegerColumn, Schema
from ehrsynth.tables.reading import table_from_frame
from ehrsynth.tables.unheld import without_unheld

PUBLIC = {"source": "public", "citation": "the code book"}
HELD = ["a"] * 3 + ["b"] * 2


def cut(*columns, frame=None, rules=()):
    schema = Schema(name="t", columns=columns, constraints=rules)
    given = pd.DataFrame({c.name: HELD for c in columns}) if frame is None else frame
    table, new = without_unheld(table_from_frame(given, schema), schema)
    assert table.astype("object").equals(table_from_frame(given, new).astype("object"))
    assert (table.dtypes == table_from_frame(given, new).dtypes).all()
    return new


def category(name="c", **fields):
    return CategoryColumn(name=name, values=("a", "rare", "b"), **fields)


@pytest.mark.parametrize(
    "column",
    [
        category(labels={"rare": "one patient's", "a": "many"}),
        category(ordered=True),
        CodeColumn(name="c", system="ICD-9", values=("a", "rare", "b")),
        category(citation="the code book", source="public", item_sources={"values": "data"}),
    ],
)
def test_what_nobody_holds_leaves_a_list_that_was_read_off_the_data(column):
    new = cut(column)
    assert new.column("c").values == ("a", "b")
    assert "rare" not in new.model_dump_json()


@pytest.mark.parametrize(
    "column",
    [
        category(**PUBLIC),
        CategoryColumn(name="c", values=("a", "b")),
        IntegerColumn(name="n", minimum=0, maximum=9),
    ],
)
def test_other_lists_stay(column):
    schema = Schema(name="t", columns=(column,))
    frame = pd.DataFrame({column.name: HELD if column.name == "c" else [1, 2]})
    table = table_from_frame(frame, schema)
    found, new = without_unheld(table, schema)
    assert found is table
    assert new is schema


def test_a_list_of_which_nobody_holds_anything_stays():
    frame = pd.DataFrame({"c": pd.Series([None] * 5, dtype="string")})
    assert cut(category(missing=True), frame=frame).column("c").values == ("a", "rare", "b")


def test_rules_outlive_what_leaves_a_list():
    pairs = FixedCombination(columns=("c", "d"), values=(("a", "a"), ("rare", "rare"), ("b", "b")))
    told = Implication(if_='c == "rare"', then='d == "rare"')
    new = cut(category(), category("d"), rules=(pairs, told))
    assert [rule.kind for rule in new.constraints] == ["fixed_combination"]
    assert new.constraints[0].values == (("a", "a"), ("b", "b"))


def test_what_a_public_rule_names_stays():
    known = Implication(if_='c == "rare"', then='c != "a"', **PUBLIC)
    new = cut(category(), rules=(known,))
    assert new.constraints == (known,)
    assert new.column("c").values == ("a", "rare", "b")
