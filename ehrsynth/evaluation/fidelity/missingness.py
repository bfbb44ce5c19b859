"""Are values missing where, and together where, they are missing in real patients?"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.fidelity.telling_gaps import telling_gaps
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.progress import Progress, silent
from ehrsynth.schema import Schema


def missingness(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How far the shares of missing values are off: of single columns, and of pairs missing together.

    The mean of two errors: over the columns with a missing value in either table, the mean absolute
    difference of the share missing; and the same of the share missing together over all pairs of these.

    Range and direction: 0 to 1, lower is closer, 0 when nothing is missing in either table. The interval is a
    jackknife over groups of patients; `reference` is the training table against the holdout. `details` has
    both errors, each column's shares, under `dependence` how well gaps alone predict an outcome in each table
    (see `ehrsynth.evaluation.fidelity.telling_gaps`), and the score within each protected group,
    intersection and site.
    """
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    single, together, found = _errors(real, other, seed)
    reference = _errors(real, fresh, seed)[2]
    report = progress or silent
    report(0.2, "missingness: what gaps tell")
    dependence = telling_gaps(schema, (real, other, fresh), seed=seed)

    def within(one: Stratum) -> dict[str, float | None]:
        known, *others = (t.rows(mask) for t, mask in zip((real, other, fresh), one.masks, strict=True))
        values = [_errors(known, table, seed)[2][0] for table in others]
        return dict(zip(("value", "reference"), one_by_one(values), strict=True))

    shares = [np.isnan(t.values).sum(axis=0) / max(1, len(t)) for t in (real, other)]
    columns = [
        {"column": name, "real": float(a), "synthetic": float(b)}
        for name, a, b in zip(real.names, *shares, strict=True)
    ]
    return score_of(
        "missingness",
        found,
        reference,
        better="lower",
        details={
            "single": one_by_one([single])[0],
            "together": one_by_one([together])[0],
            "columns": columns,
            "dependence": dependence,
            "groups": by_group(strata(schema, (real, other, fresh)), within),
        },
        unknown="a table has no rows",
    )


def _errors(real: Matrix, other: Matrix, seed: int) -> tuple[float, float, Floats]:
    if not min(len(real), len(other)):
        return float("nan"), float("nan"), np.full(1 + protocol().groups, np.nan)
    gaps = np.isnan(real.values), np.isnan(other.values)
    touched = gaps[0].any(axis=0) | gaps[1].any(axis=0)
    if not touched.any():
        return 0.0, 0.0, np.zeros(1 + protocol().groups)
    p, q = (
        _joint_shares(gap[:, touched].astype(np.float64), random_groups(len(gap), seed, side))
        for gap, side in zip(gaps, ("real", "other"), strict=True)
    )
    upper, below = np.triu_indices(int(touched.sum()), k=1)
    difference = np.abs(p - q)
    single = mean_of_known(difference.diagonal(axis1=1, axis2=2))
    together = mean_of_known(difference[:, upper, below]) if len(upper) else single
    return float(single[0]), float(together[0]), (single + together) / 2


def _joint_shares(gaps: Floats, group: NDArray[np.int64]) -> Floats:
    """(1 + groups) x columns x columns: the share of rows where both are missing."""
    parts = [gaps[group == g] for g in range(protocol().groups)]
    counts = np.stack([part.T @ part for part in parts])
    sizes = np.array([len(part) for part in parts], np.float64)
    total, rows = counts.sum(axis=0), sizes.sum()
    kept = np.concatenate([total[None], total - counts])
    left = np.concatenate([[rows], rows - sizes])
    return np.asarray(kept / np.maximum(left, 1.0)[:, None, None])
