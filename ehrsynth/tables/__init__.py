"""Patient tables: reading, checking, splitting, writing, and the mark of what is synthetic."""

from ehrsynth.tables.bundled import Bundled, bundled
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.identifiers import Finding, scan
from ehrsynth.tables.infer import infer_schema
from ehrsynth.tables.origin import (
    accept_synthetic,
    is_synthetic,
    mark_completed,
    mark_synthetic,
    refuse_synthetic,
)
from ehrsynth.tables.reading import read_raw, read_table, table_from_frame
from ehrsynth.tables.splitting import split
from ehrsynth.tables.validation import Violation, parse_and_check
from ehrsynth.tables.values import from_values, to_values
from ehrsynth.tables.writing import write_table

__all__ = [
    "Bundled",
    "Finding",
    "Violation",
    "accept_synthetic",
    "bundled",
    "from_values",
    "generalise",
    "infer_schema",
    "is_synthetic",
    "mark_completed",
    "mark_synthetic",
    "parse_and_check",
    "read_raw",
    "read_table",
    "refuse_synthetic",
    "scan",
    "split",
    "table_from_frame",
    "to_values",
    "write_table",
]
