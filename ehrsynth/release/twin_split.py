"""Which patients a releasable cohort of twins is learnt from, and which nothing sees.

Where a trial is to check the cohort, a third of its patients are kept for that by whole sites, as in
`twins.trial.halves`: patients of one site are alike, and a check in new sites says more. The attacks need the
opposite: whoever was not learnt from must be like those who were, or the country of a patient gives away the
side. Their control is therefore a quarter of the patients of the sites that are learnt from. Where there are
fewer than four sites, and where no trial check was asked for, one half of the patients is both. Every cut
hangs on a secret key.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.files import keyed_hash
from ehrsynth.schema import Schema
from ehrsynth.tables import split
from ehrsynth.tables.splitting import HOLDOUT, held_out
from ehrsynth.tables.values import to_values
from ehrsynth.twins.trial import FEWEST_SITES

_PURPOSE = b"ehrsynth twins sites 1\0"
_CHECKED = 1 / 3  # of all patients, by site
_CONTROL = 1 / 4  # of the others, one by one: half of all patients are learnt from, as in any release


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """The patients learnt from, two groups whom nothing sees, and how they were cut, in words.

    `control` are patients like those learnt from, for the attacks; `checked` are those whom the trial check
    looks at, in other sites where there are enough. By patient they are the same. `rows` is True for each row
    of the table that is learnt from.
    """

    learnt: pd.DataFrame
    control: pd.DataFrame
    checked: pd.DataFrame
    how: str
    rows: NDArray[np.bool_]


def sides(table: pd.DataFrame, schema: Schema, *, sites: NDArray[np.float64] | None, key: bytes) -> Sides:
    """Cut a table.

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
        return _by_patient(table, schema, key, "by patient")
    known = np.where(np.isnan(sites), np.inf, sites)
    found = len(np.unique(known))
    if found < FEWEST_SITES:
        return _by_patient(table, schema, key, "by patient: the trial has no four sites")
    checked = _checked_sites(known, key)
    others = _part(table, ~checked)
    learnt, control = split(others, schema, key=key, holdout=_CONTROL)
    rows = ~checked
    rows[rows] = ~held_out(others, schema, key=key, holdout=_CONTROL)
    return Sides(learnt, control, _part(table, checked), f"by site ({found} sites)", rows)


def _by_patient(table: pd.DataFrame, schema: Schema, key: bytes, how: str) -> Sides:
    learnt, unseen = split(table, schema, key=key)
    return Sides(learnt, unseen, unseen, how, ~held_out(table, schema, key=key, holdout=HOLDOUT))


def sites_of(table: pd.DataFrame, schema: Schema, name: str | None) -> NDArray[np.float64]:
    """The site of each row, before small sites are merged; all one where the schema has no sites."""
    if name is None:
        return np.zeros(len(table))
    return np.asarray(to_values(table, schema.subset((name,)))[name], np.float64)


def _checked_sites(sites: NDArray[np.float64], key: bytes) -> NDArray[np.bool_]:
    """True in the sites kept for the check: in the order of keyed hashes each goes to whom more is owed."""
    names = sorted(
        np.unique(sites).tolist(), key=lambda site: keyed_hash(key, _PURPOSE + repr(site).encode())
    )
    checked, kept, learnt = np.zeros(len(sites), np.bool_), 0, 0
    for site in names:
        rows = sites == site
        size = int(rows.sum())
        if kept * (1 - _CHECKED) < learnt * _CHECKED:
            checked |= rows
            kept += size
        else:
            learnt += size
    return checked


def _part(table: pd.DataFrame, mask: NDArray[np.bool_]) -> pd.DataFrame:
    part = table.loc[mask].reset_index(drop=True)
    part.attrs = dict(table.attrs)
    return part
