"""Whether patients held out are patients who were learnt from: then the control of every attack is void."""

import numpy as np
import pandas as pd

from ehrsynth.errors import DataError
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.schema import Schema

_FEWEST, _MOST = 20, 0.5  # rows of the holdout that are in the training table: by chance are fewer
_REPEATED = 0.1  # share of the rows of one table: where more repeat, equal rows may be other patients


def refuse_overlap(train: pd.DataFrame, holdout: pd.DataFrame, schema: Schema) -> None:
    """Raise before anything is measured, where the holdout is not one.

    With a patient key one patient in both tables is enough. Without one it goes by whole rows: more than half
    of the holdout's, and at least 20, stand in the training table too, though rows seldom repeat within
    either.

    Raises
    ------
    DataError
        With how many, and what to do.
    """
    key = schema.patient_key
    if key is None:
        both = _by_rows(train, holdout, schema)
    else:
        both = int(holdout[key].dropna().isin(train[key]).sum())
    if not both:
        return
    what = "rows" if key is None else "patients"
    remedy = "take them out of the holdout, or give patients whom the generator never saw"
    if key is not None:
        remedy += f"; where {key!r} only numbers the rows of each file, leave it out (left_out in the schema)"
    raise DataError(
        f"the holdout is no holdout: {both:,} of its {len(holdout):,} {what} are in the training table too, "
        "and no attack could tell what the generator remembers",
        [remedy],
    )


def _by_rows(train: pd.DataFrame, holdout: pd.DataFrame, schema: Schema) -> int:
    """How many rows of the holdout are in the training table, if too many for coincidence; else 0."""
    sides = [row_hashes(stacked(table, schema)) for table in (train, holdout)]
    if any(not len(side) or 1 - len(np.unique(side)) / len(side) >= _REPEATED for side in sides):
        return 0
    both = int(np.isin(sides[1], sides[0]).sum())
    return both if both >= _FEWEST and both > _MOST * len(holdout) else 0
