"""Synthetic patients from a hospital's own table, with an evaluation that can say no.

    schema = ehrsynth.load_schema("patients.yaml")
    table = ehrsynth.read_table("patients.csv", schema)
    model = ehrsynth.generator("autoregressive").fit(table, schema, seed=7)
    model.sample(1_000, where='age >= 80 and sex == "F"', seed=8).table

Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ehrsynth.conditions import Condition
    from ehrsynth.errors import EhrSynthError
    from ehrsynth.evaluation.suite import evaluate
    from ehrsynth.generators.recipes import recipe as generator
    from ehrsynth.generators.storage import load_model
    from ehrsynth.release.job import release as make_release
    from ehrsynth.schema import Schema
    from ehrsynth.schema.yaml_files import load_schema, save_schema
    from ehrsynth.tables import read_table, split, table_from_frame, write_table
    from ehrsynth.tables.bundled import bundled
    from ehrsynth.tables.infer import infer_schema

__all__ = [
    "Condition",
    "EhrSynthError",
    "Schema",
    "bundled",
    "evaluate",
    "generator",
    "infer_schema",
    "load_model",
    "load_schema",
    "make_release",
    "read_table",
    "save_schema",
    "split",
    "table_from_frame",
    "write_table",
]
_HOMES = {
    "Condition": "ehrsynth.conditions:Condition",
    "EhrSynthError": "ehrsynth.errors:EhrSynthError",
    "Schema": "ehrsynth.schema:Schema",
    "bundled": "ehrsynth.tables.bundled:bundled",
    "evaluate": "ehrsynth.evaluation.suite:evaluate",
    "generator": "ehrsynth.generators.recipes:recipe",
    "infer_schema": "ehrsynth.tables.infer:infer_schema",
    "load_model": "ehrsynth.generators.storage:load_model",
    "load_schema": "ehrsynth.schema.yaml_files:load_schema",
    "make_release": "ehrsynth.release.job:release",
    "read_table": "ehrsynth.tables:read_table",
    "save_schema": "ehrsynth.schema.yaml_files:save_schema",
    "split": "ehrsynth.tables:split",
    "table_from_frame": "ehrsynth.tables:table_from_frame",
    "write_table": "ehrsynth.tables:write_table",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ehrsynth' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
