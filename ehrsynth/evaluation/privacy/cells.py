"""A table's cells as small whole numbers: listed values as they are, numbers in equally full bins."""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.privacy.nearest import listed_columns, place
from ehrsynth.tables.grids import grid

Cells = NDArray[np.int64]
MISSING = -1


def cells(table: Matrix, synthetic: Matrix, bins: int) -> Cells:
    """N x p; `MISSING` (-1) for missing values, which are a value of their own.

    Numbers fall into `bins` bins that hold equally many synthetic rows: only what the attacker has decides,
    and neither units nor signs matter. Columns of at most so many values keep them.
    """
    placed, listed = place(table, synthetic), listed_columns(synthetic)
    binned = np.minimum((placed.ranks * bins).astype(np.int64), bins - 1)
    codes = np.where(np.isnan(table.values), MISSING, binned)
    for at, column in enumerate(table.columns):
        if listed[at] or column.size <= bins:
            codes[:, at] = grid(column).codes(table.values[:, at])
    return codes
