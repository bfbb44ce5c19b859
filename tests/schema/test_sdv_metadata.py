"""SDV's metadata, out and in."""

import json

import pytest
from hypothesis import given

import strategies
from ehrsynth.errors import SchemaError
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.schema.complaints import schema_from
from ehrsynth.schema.sdv_metadata import from_sdv, to_sdv

SCHEMA = Schema(
    name="trial",
    columns=(
        IdentifierColumn(name="id", pattern="P.####", roles=("patient_key",)),
        IntegerColumn(name="age", minimum=16, maximum=99),
        NumberColumn(name="hb", minimum=3, maximum=20, decimals=1, missing=True),
        CategoryColumn(name="sex", values=("F", "M")),
        CategoryColumn(name="grade", values=("1", "2"), ordered=True),
        CodeColumn(name="icd", values=("I61", "I63")),
        BooleanColumn(name="smoker"),
        DateColumn(name="start", minimum="2000-01-01", maximum="2001-12-31", format="%d.%m.%Y"),
        DatetimeColumn(name="seen", minimum="2000-01-01", maximum="2001-12-31"),
        DurationColumn(name="stay", minimum=0, maximum=10, decimals=1, unit="days"),
    ),
)


def test_known_answer():
    table = to_sdv(SCHEMA)["tables"]["trial"]
    assert table["primary_key"] == "id"
    assert table["columns"]["id"] == {"sdtype": "id", "regex_format": r"P\.[0-9]{4}"}
    assert table["columns"]["age"] == {
        "sdtype": "numerical",
        "decimal_places": 0,
        "range_min": 16,
        "range_max": 99,
        "range_is_nullable": False,
    }
    assert table["columns"]["grade"]["sdtype"] == "ordinal"
    assert table["columns"]["start"]["range_max"] == "31.12.2001"


def test_what_sdv_can_hold_comes_back():
    known = from_sdv(json.loads(json.dumps(to_sdv(SCHEMA))), name="trial")
    assert known.left_out == ()
    made = schema_from({"name": known.name, "columns": list(known.columns)})
    assert made.patient_key == "id"
    assert made.column("id").pattern == "P.####"
    for name in ("age", "hb", "sex", "grade", "start", "seen", "smoker"):
        assert made.column(name) == SCHEMA.column(name)
    assert made.column("icd").kind == "category"
    assert made.column("stay").kind == "number"


@given(strategies.schemas())
def test_every_schema_goes_out_and_in_as_json(schema):
    known = from_sdv(json.loads(json.dumps(to_sdv(schema))), name=schema.name)
    assert tuple(column["name"] for column in known.columns) == schema.names
    made = schema_from({"name": known.name, "columns": list(known.columns)})
    for old, new in zip(schema.columns, made.columns, strict=True):
        assert old.missing == new.missing
        assert getattr(old, "size", None) == getattr(new, "size", None)


def test_sdv_itself_takes_it():
    metadata = pytest.importorskip("sdv.metadata")
    metadata.Metadata.load_from_dict(to_sdv(SCHEMA)).validate()


def test_version_one_is_read():
    said = {
        "METADATA_SPEC_VERSION": "SINGLE_TABLE_V1",
        "primary_key": "id",
        "columns": {
            "id": {"sdtype": "id", "regex_format": "[A-Z]{3}"},
            "age": {"sdtype": "numerical", "computer_representation": "Int64"},
            "hb": {"sdtype": "numerical"},
            "grade": {"sdtype": "categorical", "order": [1, 2]},
            "when": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
            "at": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d %H:%M"},
            "mail": {"sdtype": "email", "pii": True},
        },
    }
    known = from_sdv(said, name="x")
    assert known.left_out == ("mail",)
    assert known.columns == (
        {"name": "id", "kind": "identifier", "roles": ["patient_key"]},
        {"name": "age", "kind": "integer"},
        {"name": "hb", "kind": "number"},
        {"name": "grade", "kind": "category", "values": ["1", "2"], "ordered": True},
        {"name": "when", "kind": "date", "format": "%Y-%m-%d"},
        {"name": "at", "kind": "datetime", "format": "%Y-%m-%d %H:%M"},
    )


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "METADATA_SPEC_VERSION is None"),
        ({"METADATA_SPEC_VERSION": "V9", "columns": {}}, "known: V1, V2"),
        ({"METADATA_SPEC_VERSION": "V2"}, "expected `columns`"),
        ({"METADATA_SPEC_VERSION": "V2", "tables": {}}, "expected `tables`"),
        ({"METADATA_SPEC_VERSION": "V2", "tables": {"a": {}, "b": {}}}, "name one of them: a, b"),
        ({"METADATA_SPEC_VERSION": "V2", "columns": {"a": "numerical"}}, "expected `columns`"),
    ],
)
def test_what_is_not_its_metadata_is_refused(metadata, said):
    with pytest.raises(SchemaError, match=said):
        from_sdv(metadata, name="x")
