"""Can a learner that tells synthetic from real patients tell who was a member?"""

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.learners import fit_classes
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.privacy.graded import graded
from ehrsynth.evaluation.privacy.success import worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema

_NAME = "classifier_odds"
_EDGE = 1e-9  # keeps the odds finite


def classifier_odds(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How many members stand out as synthetic to boosted trees that learnt synthetic from reference patients.

    The score is the log-odds of being synthetic. What the generator repeats of its members the trees take
    for a mark of the synthetic table (after Hayes et al. 2019, doi 10.2478/popets-2019-0008, with trees in
    the place of the discriminator). Control: non-members, of whom the trees saw none.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded`.
    """
    there = scene(
        (members, non_members, reference, synthetic), schema, seed=seed, most=protocol().attacks.targets
    )
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    if progress is not None:
        progress(0.0, "classifier odds")
    made = there.synthetic.shuffled(numpy_generator(seed, _NAME, "synthetic"), protocol().rows)
    real = there.reference.shuffled(numpy_generator(seed, _NAME, "reference"), protocol().rows)
    table = Matrix(made.columns, np.vstack([made.values, real.values]))
    classes = np.repeat(np.array([1, 0], np.int64), [len(made), len(real)])
    fitted = fit_classes("boosted_trees", table, classes, 2, seed=small_seed(seed, _NAME))
    chance = np.clip(fitted.predict(there.both)[:, 1], _EDGE, 1 - _EDGE)
    return graded(_NAME, there, {"log-odds": np.log(chance / (1 - chance))})
