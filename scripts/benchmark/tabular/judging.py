"""Everything that is measured of one synthetic table; the same for every system."""

import hashlib
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from ehrsynth.evaluation.fidelity.column_shapes import column_shapes
from ehrsynth.evaluation.fidelity.missingness import missingness
from ehrsynth.evaluation.fidelity.pair_trends import pair_trends
from ehrsynth.evaluation.learners import LEARNERS, Flags
from ehrsynth.evaluation.matrix import Matrix, matrix
from ehrsynth.evaluation.privacy.copied_rows import copied_rows
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.randomness import numpy_generator
from tabular.cells import Json
from tabular.learners import ISSUE, JUDGES, from_gaps_alone, predicting, telling
from tabular.membership import ATTACKS, Scores, attacked, nearest, pooled, space, told
from tabular.opening import foreign_share, judging_schema, opened
from tabular.sources import SOURCES, Split

METRICS = {
    "pair_trends": pair_trends,
    "missingness": missingness,
    "column_shapes": column_shapes,
    "copied_rows": copied_rows,
}
FILES = ("learners.py", "membership.py", "judging.py", "opening.py")


@cache
def judging_hash() -> str:
    """Twelve digits: the evaluation protocol and the code of the judges."""
    found = hashlib.sha256(protocol().hash.encode())
    for name in FILES:
        found.update((Path(__file__).parent / name).read_bytes())
    return found.hexdigest()[:12]


def judge(table: str, split: Split, synthetic: Path, seed: int) -> tuple[Json, Scores]:
    """All figures of one synthetic table, and the scores of each attack."""
    warnings.simplefilter("ignore")
    schema = judging_schema(split.schema)
    frames = [opened(path, schema) for path in (split.train, split.holdout, synthetic)]
    train, holdout, made = (matrix(frame, schema) for frame in frames)
    target = SOURCES[table].target
    found: Json = {
        "c2st": {name: telling(name, made, holdout, seed) for name in JUDGES},
        "tstr": {name: predicting(name, made, holdout, target, seed) for name in (ISSUE, *LEARNERS)},
        "gaps_alone": {
            side: from_gaps_alone(rows, target, seed)
            for side, rows in (("training", train), ("holdout", holdout), ("synthetic", made))
        },
        "dcr_share": nearer_to_training(train, holdout, made, seed),
        "foreign_words": foreign_share(frames[2], schema),
    }
    found |= {name: metric(*frames, schema, seed=seed).value for name, metric in METRICS.items()}
    scores = attacked(train, holdout, made, seed)
    found["membership"] = {
        "all": {a: told(scores.member[a], scores.other[a]) for a in ATTACKS},
        "isolated": {
            a: told(scores.member[a][scores.lone_member], scores.other[a][scores.lone_other])
            for a in ATTACKS
            if scores.lone_other.any()
        },
    }
    return found, scores


def judge_real(table: str, split: Split, seed: int) -> Json:
    """What a perfect generator would get: the training table in the place of the synthetic one."""
    schema = judging_schema(split.schema)
    train, holdout = (matrix(opened(path, schema), schema) for path in (split.train, split.holdout))
    target = SOURCES[table].target
    return {
        "c2st": {name: telling(name, train, holdout, seed) for name in JUDGES},
        "tstr": {name: predicting(name, train, holdout, target, seed) for name in (ISSUE, *LEARNERS)},
    }


def nearer_to_training(train: Matrix, holdout: Matrix, made: Matrix, seed: int) -> float:
    """The share of synthetic rows nearer to a training than to a held-out row, as many of each; ties half."""
    size, most = min(len(train), len(holdout)), protocol().attacks.targets
    sides = [t.shuffled(numpy_generator(seed, "dcr", str(k)), size) for k, t in enumerate((train, holdout))]
    flags = Flags(pooled(*sides))
    rows = space(flags, made.shuffled(numpy_generator(seed, "dcr", "made"), most))
    one, other = (nearest(rows, space(flags, side)) for side in sides)
    return float(np.mean((one < other) + (one == other) / 2))
