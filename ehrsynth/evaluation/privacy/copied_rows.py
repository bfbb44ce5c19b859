"""Are real patients standing in the synthetic table as they are?"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.matrix import Matrix, matrix, row_hashes
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.statistics import interval_of_influence, wilson

_NAME = "copied_rows"


def copied_rows(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """The share of synthetic rows that equal a training patient in every learnt column.

    `reference` is the share that equals a held-out patient, whom the generator never saw: what coincidence
    does. The larger real table is subsampled to the size of the smaller, so that the two compare.

    Range and direction: 0 to 1, lower is better; not above the reference is what matters. Wilson's interval.
    `details` has the paired difference, the same for real rows that occur once, and the share for all
    training rows.
    """
    del progress  # it takes no time
    made, real, unseen = (matrix(t, schema) for t in (synthetic, train, holdout))
    size = min(len(real), len(unseen))
    if not size or not len(made):
        reason = "not measurable here: a table has no rows"
        return Score(_NAME, None, None, None, None, "lower", {}, reason)
    drawn = real.shuffled(numpy_generator(seed, _NAME, "train"), size)
    control = unseen.shuffled(numpy_generator(seed, _NAME, "holdout"), size)
    copies, by_chance = _found_in(made, drawn), _found_in(made, control)
    excess = copies.astype(np.float64) - by_chance
    alone = _found_in(made, _alone(drawn)), _found_in(made, _alone(control))
    value = float(copies.mean())
    details = {
        "rows": len(made),
        "real_rows_of_each": size,
        "copies": int(copies.sum()),
        "excess": interval_of_influence(
            float(excess.mean()), excess - excess.mean(), bounds=(-1.0, 1.0)
        )._asdict(),
        "copies_of_single_rows": {"train": float(alone[0].mean()), "holdout": float(alone[1].mean())},
        "share_of_all_training_rows": float(_found_in(made, real).mean()),
    }
    interval = wilson(int(copies.sum()), len(made))
    return Score(_NAME, value, *interval, float(by_chance.mean()), "lower", details)


def _found_in(rows: Matrix, table: Matrix) -> NDArray[np.bool_]:
    """Whether each row occurs in the table, by 64-bit hashes: 10^5 rows against 10^5 err once in 10^9."""
    return np.isin(row_hashes(rows.values), row_hashes(table.values))


def _alone(table: Matrix) -> Matrix:
    """The rows that occur once."""
    _, first, counts = np.unique(row_hashes(table.values), return_index=True, return_counts=True)
    return table.rows(np.sort(first[counts == 1]))
