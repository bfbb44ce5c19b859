"""What an attacker holds who kept every table of a data set: the earlier ones beside the new one.

Attacks on all of them need patients whom none of them saw: see `ehrsynth.release.unseen`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ehrsynth.errors import RequestError
from ehrsynth.schema import CategoryColumn, CodeColumn, LearntColumn, Schema
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables import read_table
from ehrsynth.tables.grids import Floats
from ehrsynth.tables.values import from_values, to_values


def earlier_copies(
    earlier: Sequence[Path], drawn: Sequence[pd.DataFrame], schema: Schema
) -> tuple[pd.DataFrame, ...]:
    """Earlier tables as the new schema says things; one that is equal to a new one adds nothing.

    An earlier release may have been made coarser in another way: what the new schema cannot say is missing.

    Raises
    ------
    RequestError
        If an earlier table has no schema beside it.
    """
    found = []
    for path in earlier:
        own = path.parent / "schema.yaml"
        if not own.is_file():
            raise RequestError(f"{path} has no schema.yaml beside it: put the release back as it was")
        table = _as_in(load_schema(own), path, schema)
        if not any(table.equals(new) for new in drawn):
            found.append(table)
    return tuple(found)


def _as_in(own: Schema, path: Path, schema: Schema) -> pd.DataFrame:
    table = read_table(path, own)
    values, known = to_values(table, own), {column.name: column for column in own.learnt}
    nothing = np.full(len(table), np.nan)
    return from_values(
        {
            new.name: _moved(values[new.name], known[new.name], new) if new.name in known else nothing
            for new in schema.learnt
        },
        schema,
    )


def _moved(values: Floats, old: LearntColumn, new: LearntColumn) -> Floats:
    """One column's numbers under another definition: words by their spelling, numbers as they are."""
    if type(old) is not type(new):
        return np.full(len(values), np.nan)
    if not isinstance(old, CategoryColumn | CodeColumn) or not isinstance(new, CategoryColumn | CodeColumn):
        return values
    place = {word: float(k) for k, word in enumerate(new.values)}
    moved = np.array([*(place.get(word, np.nan) for word in old.values), np.nan])
    return np.asarray(moved[np.where(np.isnan(values), len(old.values), values).astype(np.int64)], np.float64)
