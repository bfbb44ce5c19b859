"""Do single columns have the right distribution?"""

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.fidelity.likeness import likeness, likeness_by_group
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.progress import Progress, silent
from ehrsynth.schema import Schema


def column_shapes(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How alike single columns are, on average: the Column Shapes of sdmetrics.

    Numbers, dates and durations: 1 less the Kolmogorov-Smirnov distance (KSComplement). Categories, codes and
    booleans: 1 less the total variation distance (TVComplement). Missing values are left out; see
    `missingness`. A column with no value in one of the tables has no score and does not count.

    Range and direction: 0 to 1, higher is closer. The interval is a jackknife over groups of patients;
    `reference` is the training table against the holdout. `details` has each column's score and reference,
    and the mean within each protected group, intersection and site.
    """
    report = progress or silent
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    found = _shapes(real, other, seed)
    report(0.3, "column shapes: reference")
    reference = _shapes(real, fresh, seed)
    report(0.6, "column shapes: groups")
    measure = np.where(real.discrete, "total variation", "Kolmogorov-Smirnov")
    columns = [
        {"column": name, "measure": str(kind), "score": score, "reference": ref}
        for name, kind, score, ref in zip(
            real.names, measure, one_by_one(found[0]), one_by_one(reference[0]), strict=True
        )
    ]
    return score_of(
        "column_shapes",
        mean_of_known(found),
        mean_of_known(reference),
        better="higher",
        details={
            "columns": columns,
            "groups": likeness_by_group(
                schema, (real, other, fresh), lambda one, two: _shapes(one, two, seed)
            ),
        },
        unknown="no column has values in both tables",
    )


def _shapes(real: Matrix, other: Matrix, seed: int) -> Floats:
    """(1 + groups) x columns: the scores of all rows, then with each group left out."""
    groups = random_groups(len(real), seed, "real"), random_groups(len(other), seed, "other")
    scores = [
        likeness((left, right), groups, discrete=bool(is_discrete))
        for left, right, is_discrete in zip(real.values.T, other.values.T, real.discrete, strict=True)
    ]
    return np.column_stack(scores)
