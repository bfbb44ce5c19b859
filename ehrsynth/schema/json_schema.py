"""The schema format as a JSON Schema: editors complete and check schema files with it."""

from typing import Any

from ehrsynth.files import canonical_json
from ehrsynth.schema.schema import Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a schema file, as plain values."""
    made = Schema.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, **made, "title": "ehrsynth schema"}


def json_schema_text() -> str:
    """What `schemas/schema.json` holds."""
    return canonical_json(json_schema()).decode()
