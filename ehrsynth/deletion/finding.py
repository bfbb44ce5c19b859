"""Who is forgotten and who remains, in the table that the earlier release or model was made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.deletion.earlier import Earlier
from ehrsynth.deletion.naming import Named, keys_in, keys_named, named, unknown
from ehrsynth.errors import DataError
from ehrsynth.release.census import hashed_patients, take_census
from ehrsynth.release.merkle import Tree
from ehrsynth.release.reading import read_again


@dataclass(frozen=True, slots=True)
class Found:
    """The patients, the table without them, and the table as the old release saw it, where it can be had."""

    named: Named
    remaining: pd.DataFrame = field(repr=False)
    before: pd.DataFrame | None = field(repr=False)
    tree: Tree = field(repr=False)


def find(earlier: Earlier, patients: Path | str | Sequence[str], data: Path | str) -> Found:
    """Find the patients to forget in the table that an earlier release or model was made of.

    Raises
    ------
    DataError
        If it is another table, or some of the patients are not in it.
    """
    schema, key = earlier.request.schema, earlier.key
    if isinstance(patients, str):
        patients = Path(patients)
    if schema.patient_key is not None and isinstance(patients, Path):
        patients = keys_named(patients, schema.patient_key)
    nowhere = set[str]() if isinstance(patients, Path) else {*patients}
    sampled = earlier.request.sampled
    table = read_again(
        data, schema, sampled, see=lambda piece: nowhere.difference_update(keys_in(piece, schema))
    )
    hashed, forgotten = hashed_patients(table, schema, key), {*earlier.ledger.forgotten}
    there = np.array([one.hex() not in forgotten for one in hashed], np.bool_)
    table = part_of(table, there)
    who = named(patients, table, schema, key, sampled=sampled, nowhere=nowhere)
    known = [one for one, kept in zip(hashed, there, strict=True) if kept]
    _check_same_patients(earlier, who, known)
    unchanged = not who.absent and take_census(table, schema, key).content == earlier.request.census.content
    remaining = part_of(table, ~who.rows)
    tree = Tree(one for one, gone in zip(known, who.rows, strict=True) if not gone)
    return Found(who, remaining, table if unchanged else None, tree)


def part_of(table: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.DataFrame:
    """Some rows of a table, numbered anew; a mark of origin stays."""
    part = table.loc[rows].reset_index(drop=True)
    part.attrs = dict(table.attrs)
    return part


def _check_same_patients(earlier: Earlier, who: Named, known: Sequence[bytes]) -> None:
    """The patients of the table, with those named who are no longer in it, must be those who were there."""
    root, asked = earlier.request.census.root, len(who.hashes)
    again = len({one.hex() for one in who.hashes} & {*earlier.ledger.forgotten})
    if again:
        raise DataError(f"{again} of the {asked} patients named were forgotten before: leave them out")
    if Tree([*known, *who.hashes]).root.hex() == root:
        return
    if who.absent and Tree(known).root.hex() == root:
        raise unknown(who.absent, asked)
    raise DataError(
        f"the table does not hold the patients of {earlier.folder}: it has {len(known):,} rows, and that was "
        f"made of {earlier.request.census.rows:,}. Give the table that it was made of; of its patients "
        "only those who are named, or were forgotten before, may be missing"
    )
