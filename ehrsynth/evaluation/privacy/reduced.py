"""Attacked, reference and synthetic patients as plain numbers, for attacks that need a vector space."""

import numpy as np

from ehrsynth.evaluation.matrix import Floats, Matrix
from ehrsynth.evaluation.privacy.nearest import listed_columns, place
from ehrsynth.evaluation.privacy.targets import Scene

_SHARE = 0.01  # of reference and synthetic rows together: a rarer level or gap gets no flag of its own


def numeric(there: Scene) -> tuple[Floats, Floats, Floats]:
    """Synthetic rows, reference rows and attacked patients, each n x features.

    Numbers stand by their rank in the synthetic table, standardised; gaps are filled with the middle and get
    a flag; so do the levels of listed columns. What is constant is left out.
    """
    tables = (there.synthetic, there.reference, there.both)
    known = [_features(table, there) for table in tables]
    pooled = np.vstack(known[:2])
    spread = pooled.std(axis=0)
    kept = spread > 0
    centre, scale = pooled.mean(axis=0)[kept], spread[kept]
    made, real, both = ((table[:, kept] - centre) / scale for table in known)
    return made, real, both


def reduced(there: Scene, most: int) -> tuple[Floats, Floats, Floats]:
    """The same along at most `most` principal components of synthetic and reference rows together."""
    made, real, both = numeric(there)
    pooled = np.vstack([made, real])
    weights, axes = np.linalg.eigh(pooled.T @ pooled / len(pooled))
    axes = axes[:, np.argsort(weights)[::-1][:most]]
    return made @ axes, real @ axes, both @ axes


def _features(table: Matrix, there: Scene) -> Floats:
    listed = listed_columns(there.synthetic)
    placed = place(table, there.synthetic)
    pooled = np.vstack([there.synthetic.values, there.reference.values])
    least = max(1.0, _SHARE * len(pooled))
    parts = [placed.ranks[:, ~listed]]
    for column in range(pooled.shape[1]):
        values, gaps = table.values[:, column], np.isnan(pooled[:, column])
        if gaps.sum() >= least:
            parts.append(np.isnan(values)[:, None].astype(np.float64))
        if listed[column]:
            levels, counts = np.unique(pooled[~gaps, column], return_counts=True)
            parts.append((values[:, None] == levels[counts >= least]).astype(np.float64))
    return np.hstack(parts)
