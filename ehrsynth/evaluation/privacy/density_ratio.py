"""Are there more synthetic patients around a patient than the population explains?"""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy.graded import graded
from ehrsynth.evaluation.privacy.reduced import reduced
from ehrsynth.evaluation.privacy.success import worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

_NAME = "density_ratio"
_COMPONENTS = 10
_NEAR = 50  # rows that the kernel looks at
_FLOOR = 1e-12


def density_ratio(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How many members stand out by more synthetic patients around them than reference patients.

    The score is the log-ratio of the two densities at the patient (DOMIAS, van Breugel et al. 2023, arXiv
    2302.12580), by Gaussian kernels on at most ten principal components, as wide at each patient as the
    distance to the nearest reference row. Control: non-members; the reference stands for the
    population.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded`.
    """
    there = scene(
        (members, non_members, reference, synthetic), schema, seed=seed, most=protocol().attacks.targets
    )
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    if progress is not None:
        progress(0.0, "density ratio")
    made, real, both = reduced(there, _COMPONENTS)
    if not made.shape[1]:
        return worst(_NAME, [], if_none="no column varies")
    width = np.maximum(cKDTree(real).query(both)[0], _FLOOR)
    score = np.log(_density(both, made, width)) - np.log(_density(both, real, width))
    return graded(_NAME, there, {"kernel densities": score})


def _density(rows: Floats, table: Floats, width: Floats) -> Floats:
    found, _ = cKDTree(table).query(rows, min(_NEAR, len(table)))
    found = found.reshape(len(rows), -1)
    return np.asarray(np.exp(-0.5 * (2 * found / width[:, None]) ** 2).sum(axis=1) / len(table) + _FLOOR)
