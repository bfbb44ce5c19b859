"""Bounds that were read off the data, drawn in until no fewer than 11 patients stand behind each.

A guessed bound is the extreme of one patient, rounded: a maximum income of 100 million says that one of the
patients is a millionaire, in the schema that goes out and in every axis drawn from it. Bounds that the
documentation gives (``source: public``) say nothing of patients and stay.
"""

from typing import NamedTuple

import numpy as np

from ehrsynth.schema import DurationColumn, IntegerColumn, LearntColumn, NumberColumn
from ehrsynth.tables.evidence import FEW
from ehrsynth.tables.grids import Floats
from ehrsynth.tables.guess_numbers import bounds

Numeric = IntegerColumn | NumberColumn | DurationColumn


class Bounds(NamedTuple):
    """A column's bounds, in its own unit."""

    minimum: float
    maximum: float


def common_bounds(column: LearntColumn, values: Floats) -> Bounds | None:
    """Narrower bounds for a column of guessed ones; None where they may stay as they are.

    Parameters
    ----------
    values
        The column in expression space, NaN for missing.

    Returns
    -------
    Bounds or None
        Rounded outward from the values that at least 11 patients reach or pass on that side; where fewer
        than 22 have a value, from the middle one. A table of fewer than 22 patients has no such bounds.
    """
    if not isinstance(column, Numeric):
        return None
    guessed = [item for item in ("minimum", "maximum") if column.source_of(item) == "data"]
    known = np.sort(values[~np.isnan(values)])
    if not guessed or not len(known) or len(values) < 2 * FEW:
        return None
    cut = min(FEW - 1, (len(known) - 1) // 2)
    core, counts = np.unique(known[cut : len(known) - cut], return_counts=True)
    decimals = 0 if isinstance(column, IntegerColumn) else column.decimals
    # Behind the outermost of these stand the patients that were cut off as well.
    counts[[0, -1]] += cut
    low, high, _ = bounds(core, counts, decimals)
    found = Bounds(
        max(column.minimum, low) if "minimum" in guessed else column.minimum,
        min(column.maximum, high) if "maximum" in guessed else column.maximum,
    )
    return None if found == (column.minimum, column.maximum) else found
