"""The holdout, split once: patients to attack as a control, and patients for the attacker to learn from."""

import pandas as pd

from ehrsynth.errors import NotEnoughData
from ehrsynth.files import keyed_hash
from ehrsynth.schema import Schema
from ehrsynth.tables.splitting import split

MINIMUM = 20


def controls(holdout: pd.DataFrame, schema: Schema, *, key: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the holdout into halves by a keyed hash: removing one patient moves no other.

    Parameters
    ----------
    holdout
        Patients whom the generator never saw, at least `MINIMUM` (20).
    key
        The key of the split; another key is derived from it, so that the one that split training from
        holdout can be given again.

    Returns
    -------
    tuple
        Non-members, whom attacks are tried on as a control, and the reference, which an attacker may
        learn from.

    Raises
    ------
    NotEnoughData
        If the holdout has fewer than `MINIMUM` rows.
    """
    if len(holdout) < MINIMUM:
        summary = f"the holdout has {len(holdout)} patients; a control for the attacks needs {MINIMUM}"
        raise NotEnoughData(summary, [f"hold out at least {MINIMUM} patients"])
    non_members, reference = split(holdout, schema, key=keyed_hash(key, b"controls"), holdout=0.5)
    return non_members, reference
