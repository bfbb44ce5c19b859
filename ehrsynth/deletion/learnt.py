"""Which of the forgotten the last published table was learnt from: only they are behind it.

A table made without them differs from that one by them. Patients who were held out then change neither table,
and hide nobody: ten of them and one who was learnt would be a difference of one person.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.deletion.earlier import Earlier
from ehrsynth.deletion.finding import Found
from ehrsynth.release.census import hashed_patients
from ehrsynth.release.sealing import SHARE
from ehrsynth.schema import IdentifierColumn
from ehrsynth.tables.splitting import HOLDOUT, held_out, held_out_patients

Sides = Callable[[pd.DataFrame], NDArray[np.bool_]]


def behind_the_last_table(earlier: Earlier, found: Found, *, sides: Sides | None = None) -> tuple[bytes, ...]:
    """The keyed hashes of those named from whom the last published table was learnt; the fewest it can be.

    Where patients are split by a key, their side is known for all tables of one split key. Where they are
    split by their rows it is known for the earlier release's own table alone, if that is at hand unchanged:
    another table may have been made coarser otherwise, or have told equal rows apart in another way. Nobody
    is counted where it is not known.

    Parameters
    ----------
    sides
        True for each row of a table that was learnt from, where patients were not split by their key.
    """
    who, schema = found.named, earlier.request.schema
    if not earlier.ledger.published:
        return ()
    key = schema.patient_key
    if sides is None and key is not None and isinstance(schema.column(key), IdentifierColumn):
        out = held_out_patients(who.patients, key=earlier.split_key, holdout=HOLDOUT)
        return tuple(one for one, held in zip(who.hashes, out.tolist(), strict=True) if not held)
    if found.before is None or not (earlier.folder / SHARE).is_dir():
        return ()
    rows = who.rows & (sides or _by_row(earlier))(found.before)
    hashed = hashed_patients(found.before, schema, earlier.key)
    return tuple(sorted(one for one, own in zip(hashed, rows.tolist(), strict=True) if own))


def _by_row(earlier: Earlier) -> Sides:
    """As a release splits a table that it has made coarser."""

    def learnt(table: pd.DataFrame) -> NDArray[np.bool_]:
        coarse, schema = earlier.coarse(table)
        return ~held_out(coarse, schema, key=earlier.split_key, holdout=HOLDOUT)

    return learnt
