"""The JSON Schema that editors use is the one in the repository."""

from pathlib import Path

from ehrsynth.schema.json_schema import json_schema, json_schema_text

SCHEMAS = Path(__file__).parents[2] / "schemas"


def test_the_exported_file_is_current():
    exported = (SCHEMAS / "schema.json").read_text(encoding="utf-8")
    assert exported == json_schema_text(), "run scripts/export_schema"


def test_it_refuses_unknown_fields_and_knows_every_kind():
    made = json_schema()
    assert made["additionalProperties"] is False
    assert all(part.get("additionalProperties") is False for part in made["$defs"].values())
    kinds = made["properties"]["columns"]["items"]["discriminator"]["mapping"]
    assert {
        "integer",
        "number",
        "category",
        "code",
        "boolean",
        "date",
        "datetime",
        "duration",
        "identifier",
    } == set(kinds)
