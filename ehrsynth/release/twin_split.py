"""Which patients a releasable cohort of twins is learnt from, and which nothing sees.

Where a trial is to check the cohort, its sites go whole to one side, as in `twins.trial.halves`: patients of
one site are alike, and a check in new sites says more. Patients are cut one by one where there are fewer than
four sites, and where no trial check was asked for. Either way the cut hangs on a secret key.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.files import keyed_hash
from ehrsynth.schema import Schema
from ehrsynth.tables import split
from ehrsynth.tables.values import to_values
from ehrsynth.twins.trial import FEWEST_SITES

_PURPOSE = b"ehrsynth twins sites 1\0"


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """The patients learnt from, those whom nothing sees, and how they were cut, in words."""

    learnt: pd.DataFrame
    unseen: pd.DataFrame
    how: str


def sides(table: pd.DataFrame, schema: Schema, *, sites: NDArray[np.float64] | None, key: bytes) -> Sides:
    """Cut a table in two.

    Parameters
    ----------
    sites
        The site of each row, NaN where it is not known (these are one site); None to cut by patient.

    Raises
    ------
    NotEnoughData
        If one side would be empty.
    """
    if sites is None:
        return Sides(*split(table, schema, key=key), "by patient")
    known = np.where(np.isnan(sites), np.inf, sites)
    found = len(np.unique(known))
    if found < FEWEST_SITES:
        return Sides(*split(table, schema, key=key), "by patient: the trial has no four sites")
    first = _half_of_sites(known, key)
    return Sides(_part(table, first), _part(table, ~first), f"by site ({found} sites)")


def sites_of(table: pd.DataFrame, schema: Schema, name: str | None) -> NDArray[np.float64]:
    """The site of each row, before small sites are merged; all one where the schema has no sites."""
    if name is None:
        return np.zeros(len(table))
    return np.asarray(to_values(table, schema.subset((name,)))[name], np.float64)


def _half_of_sites(sites: NDArray[np.float64], key: bytes) -> NDArray[np.bool_]:
    """Sites in the order of their keyed hashes, each to the side that is smaller so far."""
    names = sorted(
        np.unique(sites).tolist(), key=lambda site: keyed_hash(key, _PURPOSE + repr(site).encode())
    )
    first, sizes = np.zeros(len(sites), np.bool_), [0, 0]
    for site in names:
        rows = sites == site
        side = int(sizes[0] > sizes[1])
        first |= rows & (side == 0)
        sizes[side] += int(rows.sum())
    return first


def _part(table: pd.DataFrame, mask: NDArray[np.bool_]) -> pd.DataFrame:
    part = table.loc[mask].reset_index(drop=True)
    part.attrs = dict(table.attrs)
    return part
