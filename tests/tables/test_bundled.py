"""The bundled tables fit the schemas that were written for them, rule by rule."""

import pytest

from ehrsynth.errors import RequestError
from ehrsynth.schema import FixedCombination, Implication
from ehrsynth.tables.bundled import bundled, names
from ehrsynth.tables.constraints import satisfied, violations
from ehrsynth.tables.reading import read_raw, read_table
from ehrsynth.tables.values import to_values

SHAPES = {"ist": (19_435, 106), "support2": (9_105, 47)}


@pytest.fixture(scope="module", params=names())
def table_and_schema(request):
    found = bundled(request.param)
    return found, read_table(found.path, found.schema)


def test_all_rows_read_and_keep_every_rule(table_and_schema):
    found, table = table_and_schema
    assert table.shape == SHAPES[found.name]
    assert found.schema.rows is not None
    assert found.schema.rows.value == len(table)
    values = to_values(table, found.schema)
    assert violations(values, found.schema) == []
    assert satisfied(values, found.schema).all()


def test_every_column_of_the_file_is_declared_or_left_out_with_a_reason(table_and_schema):
    found, _ = table_and_schema
    raw = read_raw(found.path)
    left_out = {c.name for c in found.schema.left_out}
    assert [n for n in raw.columns if n not in left_out] == list(found.schema.names)
    assert all(c.reason for c in found.schema.left_out)


def test_rules_say_something(table_and_schema):
    """A rule whose premise never holds would hold for nothing: each implication meets some patients."""
    from ehrsynth.expressions import truth
    from ehrsynth.schema.binding import bind

    found, table = table_and_schema
    values = to_values(table, found.schema)
    for rule in found.schema.constraints:
        if isinstance(rule, Implication):
            premise = truth(bind(rule.if_, found.schema, expects="truth"), values)
            assert (premise == 1).any(), rule.if_


def test_the_demonstration_keeps_its_rules(table_and_schema):
    found, table = table_and_schema
    schema = found.demo_schema
    assert len(schema.names) == 30
    assert schema.with_role("time")
    assert schema.with_role("event")
    assert len(schema.constraints) >= 9
    part = to_values(table[list(found.demo_columns)], schema)
    assert satisfied(part, schema).all()


def test_roles_and_sources_are_declared():
    schema = bundled("ist").schema
    assert schema.with_role("site") == ("COUNTRY",)
    assert schema.with_role("treatment") == ("RXASP", "RXHEP")
    assert schema.with_role("time") == ("TD",)
    assert schema.with_role("event") == ("DIED",)
    assert "OCCODE" in schema.with_role("outcome")
    assert schema.column("RDELAY").maximum == 48
    assert all(c.source == "public" for c in schema.columns)
    pairs = next(c for c in schema.constraints if isinstance(c, FixedCombination) and "COUNTRY" in c.columns)
    assert len(pairs.values) == 36


def test_the_demonstration_drops_patients_without_outcome():
    from ehrsynth.conditions import Condition
    from ehrsynth.encoding import encode

    found = bundled("ist")
    table = read_table(found.path, found.schema)[list(found.demo_columns)]
    schema = found.demo_schema
    kept = Condition.parse(found.demo_where, schema).mask(encode(table, schema))
    assert kept.sum() == 19_285


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(RequestError, match="ist, support2"):
        bundled("istt")
