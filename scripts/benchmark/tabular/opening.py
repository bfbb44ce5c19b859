"""A vendor's CSV as a judge sees it: nothing is rounded, cut to bounds or refused."""

from pathlib import Path

import numpy as np
import pandas as pd

from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    LearntColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.schema.yaml_files import load_schema

ELSE = "(a word that the schema does not have)"
_WIDE = 1e9


def judging_schema(path: Path) -> Schema:
    """A schema under which any number stands as it is, and a foreign word is one more value.

    Rules between columns are left out: not what is judged here.
    """
    schema = load_schema(path)
    columns = tuple(_open(column) for column in schema.learnt)
    return Schema(name=schema.name, columns=columns)


def _open(column: LearntColumn) -> LearntColumn:
    if isinstance(column, BooleanColumn):
        return CategoryColumn(
            name=column.name, values=(column.false, column.true, ELSE), ordered=False, missing=True
        )
    if isinstance(column, CategoryColumn | CodeColumn):
        return CategoryColumn(name=column.name, values=(*column.values, ELSE), ordered=False, missing=True)
    return NumberColumn(name=column.name, minimum=-_WIDE, maximum=_WIDE, decimals=0, missing=True)


def opened(path: Path, schema: Schema) -> pd.DataFrame:
    """A CSV as a table in memory for `judging_schema`."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    columns = {}
    for column in schema.learnt:
        cells = raw[column.name]
        if isinstance(column, CategoryColumn):
            columns[column.name] = _words(cells, column)
        else:
            columns[column.name] = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    return pd.DataFrame(columns)


def _words(cells: pd.Series, column: CategoryColumn) -> pd.Series:
    known = set(column.values)
    spelt = {_number(word): word for word in column.values if _number(word) is not None}
    # "1.0" is "1" to a system that read the column as numbers.
    words = [None if pd.isna(c) else c if c in known else spelt.get(_number(c), ELSE) for c in cells.tolist()]
    return pd.Series(pd.Categorical(words, categories=list(column.values)))


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def foreign_share(table: pd.DataFrame, schema: Schema) -> float:
    """The share of words that the schema does not have."""
    words = [c.name for c in schema.learnt if isinstance(c, CategoryColumn)]
    cells = [table[name].to_numpy() == ELSE for name in words]
    return float(np.mean(cells)) if cells else 0.0
