"""Small tables made of the schema alone, to try a guarantee on: neighbours, strange patients, canaries."""

import numpy as np
import pandas as pd

from ehrsynth.errors import RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables.constraints import repair, satisfied
from ehrsynth.tables.grids import Floats, grid
from ehrsynth.tables.values import from_values

_TRIES = 200
_ABSENT = 0.15  # of values that may be missing


def random_patients(schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """N patients drawn from the schema's grids, every value as likely as any other, all rules kept.

    Raises
    ------
    RequestError
        If the schema's rules leave too few such patients to be found by chance.
    """
    found: list[dict[str, Floats]] = []
    held = 0
    for _ in range(_TRIES):
        values = {}
        for column in schema.learnt:
            drawn = grid(column).values(rng.integers(0, column.size, 2 * n))
            drawn[column.missing & (rng.random(2 * n) < _ABSENT)] = np.nan
            values[column.name] = drawn
        values = repair(values, schema)
        good = satisfied(values, schema)
        found.append({name: array[good] for name, array in values.items()})
        held += int(good.sum())
        if held >= n:
            together = {name: np.concatenate([f[name] for f in found])[:n] for name in found[0]}
            return from_values(together, schema)
    raise RequestError(
        f"the rules of schema {schema.name!r} are kept by too few random patients: audit with fewer rules"
    )


def strange_patient(schema: Schema) -> pd.DataFrame:
    """One patient at the far end of every column: the last category, the largest number.

    Rules are kept by drawing again what they forbid.
    """
    values = {c.name: grid(c).values(np.array([c.size - 1])) for c in schema.learnt}
    values = repair(values, schema)
    if satisfied(values, schema).all():
        return from_values(values, schema)
    return random_patients(schema, 1, np.random.default_rng(0))


def ordinary_patients(schema: Schema, n: int) -> pd.DataFrame:
    """N equal patients at the near end of every column, as unlike the strange one as can be."""
    values = {c.name: grid(c).values(np.zeros(n, np.int64)) for c in schema.learnt}
    values = repair(values, schema)
    if satisfied(values, schema).all():
        return from_values(values, schema)
    one = random_patients(schema, 1, np.random.default_rng(1))
    return pd.concat([one] * n, ignore_index=True)


def joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Both tables as one, with the first one's column types and keys of their own."""
    both = pd.concat([table, more], ignore_index=True)
    for name, kind in table.dtypes.items():
        if isinstance(kind, pd.StringDtype):
            both[name] = pd.Series([f"{k}" for k in range(len(both))], dtype=kind)
    return both.astype(dict(table.dtypes))
