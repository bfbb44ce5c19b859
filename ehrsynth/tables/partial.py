"""Partial patients: a file that says of each patient only what is known."""

from pathlib import Path

import pandas as pd

from ehrsynth.schema import Schema
from ehrsynth.tables.reading import read_raw, table_from_frame, without_blank_tail


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
    columns = tuple(column.model_copy(update={"missing": True}) for column in schema.columns)
    words = without_blank_tail(read_raw(path))
    for name in schema.names:
        if name not in words.columns:
            words[name] = ""
    return table_from_frame(words, schema.changed(columns=columns, constraints=()))
