"""Does the synthetic table's covariance bend towards its members?"""

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy.graded import graded
from ehrsynth.evaluation.privacy.reduced import numeric
from ehrsynth.evaluation.privacy.success import worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

_NAME = "mahalanobis"
_RIDGE = 1e-6


def mahalanobis(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How many members stand out as near to the synthetic patients, measured in their own covariance.

    The score is the Mahalanobis distance to the synthetic table's mean, negated; its covariance gets a ridge
    of 1e-6 (a pseudo-inverse understates the leak of a table with more columns than patients). Each synthetic
    patient stretches that covariance towards itself, the more the wider the table is for its length. On
    narrow tables it sees little, and the attacks on single patients see more. Numbers are standardised,
    listed values and gaps are flags. Control: non-members.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded`.
    """
    there = scene(
        (members, non_members, reference, synthetic), schema, seed=seed, most=protocol().attacks.targets
    )
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    if progress is not None:
        progress(0.0, "Mahalanobis distance")
    made, _, both = numeric(there)
    return graded(_NAME, there, {"distance": -_distance(both, made)})


def _distance(rows: Floats, table: Floats) -> Floats:
    centre = table.mean(axis=0)
    covariance = (table - centre).T @ (table - centre) / max(1, len(table) - 1)
    factor = np.linalg.cholesky(covariance + _RIDGE * np.eye(len(centre)))
    return np.asarray(np.linalg.norm(np.linalg.solve(factor, (rows - centre).T), axis=0))
