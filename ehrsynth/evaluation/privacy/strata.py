"""The groups of attacked patients that the simultaneous bound looks at, one by one.

A group is drawn without the synthetic table and without saying who is a member: under "nothing leaks" its
members and the others then are still alike, as the permutation of their labels needs it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, row_hashes, stacked
from ehrsynth.evaluation.privacy.bounds import ALL, ISOLATED
from ehrsynth.evaluation.privacy.nearest import blocks, distances, listed_columns, place
from ehrsynth.evaluation.strata import is_listed, level_name
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.grids import grid

Kind = Literal["all", "group", "isolated"]
_NEIGHBOURS = 5
_AMONG = 4_000
_ISOLATED_SHARE, _ISOLATED_LEAST = 0.05, 500
_THIRDS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True, slots=True)
class Stratum:
    """One group of attacked patients.

    Parameters
    ----------
    name
        What it is called: words of the schema, never a patient's value.
    kind
        "all", "group" (by a protected column) or "isolated".
    members, non_members, reference
        Which rows of each table belong to it, in the tables' order.
    """

    name: str
    kind: Kind
    members: Mask
    non_members: Mask
    reference: Mask


def strata(
    members: pd.DataFrame, non_members: pd.DataFrame, reference: pd.DataFrame, schema: Schema, *, seed: int
) -> tuple[Stratum, ...]:
    """All patients; each group of each protected column; the most isolated patients.

    Numbers are cut into thirds of all three tables together. The most isolated are 5 % of the patients or
    500, whichever is more, by the distance to the fifth nearest of them all (at most 4,000 rows of
    them, drawn by the seed); Gower's distance with ranks, as `nearest` has it.

    Parameters
    ----------
    members, non_members, reference
        The tables that are attacked, rows as the attacks' evidence has them.
    """
    tables = (members, non_members, reference)
    values = np.vstack([stacked(table, schema) for table in tables])
    columns = tuple(sorted(schema.learnt, key=lambda column: column.name))
    pooled = Matrix(columns, values)
    found: list[tuple[str, Kind, Mask]] = [(ALL, "all", np.ones(len(values), np.bool_))]
    for column in columns:
        if "protected" in column.roles:
            cells = values[:, pooled.place(column.name)]
            found += [(f"{column.name}: {name}", "group", mask) for name, mask in _groups(column, cells)]
    if len(values) > _ISOLATED_LEAST:
        found.append((ISOLATED, "isolated", _isolated(pooled, seed)))
    borders = np.cumsum([len(table) for table in tables])[:-1]
    return tuple(Stratum(name, kind, *np.split(mask, borders)) for name, kind, mask in found)


def _groups(column: LearntColumn, values: Floats) -> Iterator[tuple[str, Mask]]:
    missing = np.isnan(values)
    if missing.any():
        yield "missing", missing
    if is_listed(column):
        codes = grid(column).codes(values)
        for code in np.unique(codes[codes >= 0]).tolist():
            yield level_name(column, code), codes == code
    elif not missing.all():
        low, high = np.quantile(values[~missing], (1 / 3, 2 / 3), method="lower")
        cuts = (values <= low, (values > low) & (values <= high), values > high)
        yield from ((name, cut) for name, cut in zip(_THIRDS, cuts, strict=True) if cut.any())


def _isolated(pooled: Matrix, seed: int) -> Mask:
    """The rows with the farthest fifth neighbour; a tie at the border is broken by content, not by place."""
    far, hashes = isolation(pooled, seed), row_hashes(pooled.values)
    count = min(len(pooled), max(_ISOLATED_LEAST, round(_ISOLATED_SHARE * len(pooled))))
    chosen = np.zeros(len(pooled), np.bool_)
    chosen[np.lexsort((hashes, -far))[:count]] = True
    return chosen


def isolation(pooled: Matrix, seed: int) -> Floats:
    """Each row's distance to its fifth nearest other row among at most 4,000 drawn ones; 0 and up."""
    order = np.argsort(row_hashes(pooled.values), kind="stable")
    drawn = order[numpy_generator(seed, "isolation").permutation(len(pooled))[:_AMONG]]
    among = pooled.rows(drawn)
    targets, others = place(pooled, among), place(among, among)
    listed, every = listed_columns(among), range(len(pooled.columns))
    itself = np.zeros(len(pooled), np.int64)
    itself[drawn] = 1
    far = np.empty(len(pooled))
    k = min(_NEIGHBOURS, len(among) - 1)
    for part in blocks(len(pooled), len(among)):
        found = distances(targets.rows(part), others, every, listed)
        found.partition((k - 1, k), axis=1)
        far[part] = found[np.arange(len(found)), k - 1 + itself[part]]
    return far
