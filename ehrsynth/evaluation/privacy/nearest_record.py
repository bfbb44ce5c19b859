"""Is a patient closer to the synthetic patients than to other real ones?"""

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Matrix
from ehrsynth.evaluation.privacy.graded import graded
from ehrsynth.evaluation.privacy.nearest import TIE, affordable, blocks, distances, listed_columns, place
from ehrsynth.evaluation.privacy.success import worst
from ehrsynth.evaluation.privacy.targets import Scene, scene
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

_NAME = "nearest_record"


def nearest_record(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How many members stand out as closer to a synthetic patient than to any reference patient.

    The score is the distance to the nearest reference row less that to the nearest synthetic row, as a share
    of their sum (Gower's, as in `nearest`): a patient of a common kind is close to both, a copied one only to
    the synthetic table.
    The uncalibrated distance alone passes tables that leak (Yao et al. 2025, arXiv 2505.01524) and is not
    reported. Control: non-members; the reference is what the attacker calibrates by.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded`.
    """
    there = scene(
        (members, non_members, reference, synthetic), schema, seed=seed, most=affordable(len(synthetic))
    )
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    if progress is not None:
        progress(0.0, "nearest record")
    real, made = _closest(there, there.reference), _closest(there, there.synthetic)
    score = (real - made) / np.maximum(real + made, TIE)
    return graded(_NAME, there, {"calibrated distance": score})


def _closest(there: Scene, among: Matrix) -> Floats:
    placed, space = place(there.both, there.synthetic), place(among, there.synthetic)
    listed, columns = listed_columns(among), range(len(among.columns))
    found = np.empty(len(placed))
    for rows in blocks(len(placed), len(space)):
        found[rows] = distances(placed.rows(rows), space, columns, listed).min(axis=1)
    return found
