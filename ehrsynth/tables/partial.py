"""Partial patients: a file that says of each patient only what is known."""

from pathlib import Path

import pandas as pd

from ehrsynth.errors import DataError
from ehrsynth.schema import Schema
from ehrsynth.tables.databases import located
from ehrsynth.tables.reading import read_raw, without_blank_tail
from ehrsynth.tables.validation import parse_and_check


def read_partial(path: Path | str, schema: Schema) -> pd.DataFrame:
    """Read patients of whom some cells are unknown, to be completed by a model.

    An empty cell is unknown, and so is a column that the file does not have. What is there is checked as
    `read_table` does, rules between columns aside.

    Returns
    -------
    DataFrame
        The schema's columns in order, typed as in `ehrsynth.schema.columns`; missing where unknown.

    Raises
    ------
    DataError
        If the file is unreadable, has other columns, or cells that do not fit the schema.
    RequestError
        If there is no such file.
    """
    words, columns = without_blank_tail(read_raw(path)), []
    for column in schema.columns:
        unknown: dict[str, object] = {"missing": True}
        if column.name not in words.columns:
            words[column.name] = ""
            unknown["roles"] = ()  # a key that nobody has need not be told apart
        columns.append(column.model_copy(update=unknown))
    table, violations = parse_and_check(words, schema.changed(columns=tuple(columns), constraints=()))
    if violations:
        summary = (
            f"{located(path).name} does not fit the schema {schema.name!r}: {len(violations):,} problem(s)"
        )
        raise DataError(summary, map(str, violations))
    return table
