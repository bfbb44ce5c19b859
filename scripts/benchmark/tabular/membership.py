"""Who was learnt from? Two attacks on patients that were and patients that were not.

`nearest`: distance to the nearest reference row less that to the nearest synthetic row. `odds`: log-odds of
boosted trees that tell synthetic from reference rows. The holdout is halved: each half is the reference of
the attack on the other, so that every held-out patient counts once and never stands in its own reference.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Floats, Matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import auroc_interval, clopper_pearson
from tabular.learners import ISSUE, learnt

ATTACKS = ("nearest", "odds")
NEIGHBOURS, ISOLATED, FALSE_POSITIVES = 5, 500, 0.01
BLOCK, TINY = 1_000, 1e-6
BOOTSTRAPS = 1_000


@dataclass(frozen=True)
class Scores:
    """Each attack's score of members and of non-members (higher: a member), and who is isolated."""

    member: dict[str, Floats]
    other: dict[str, Floats]
    lone_member: NDArray[np.bool_]
    lone_other: NDArray[np.bool_]


def attacked(train: Matrix, holdout: Matrix, synthetic: Matrix, seed: int) -> Scores:
    """Score patients; at most the protocol's number of members."""
    rng = numpy_generator(seed, "membership")
    members = train.shuffled(rng, protocol().attacks.targets)
    others = holdout.shuffled(rng)
    lone = isolated(members, others)
    found = {name: (np.empty(len(members)), np.empty(len(others))) for name in ATTACKS}
    for half in (0, 1):
        mine, theirs = np.arange(len(members)) % 2 == half, np.arange(len(others)) % 2 == half
        reference = others.rows(~theirs)
        targets = members.rows(mine), others.rows(theirs)
        fresh = synthetic.shuffled(numpy_generator(seed, "fresh", str(half)))
        for name, attack in (("nearest", by_distance), ("odds", by_odds)):
            scores = attack(targets, fresh, reference, seed)
            for side, places, values in zip(found[name], (mine, theirs), scores, strict=True):
                side[places] = values
    return Scores({n: s[0] for n, s in found.items()}, {n: s[1] for n, s in found.items()}, *lone)


def by_distance(
    targets: tuple[Matrix, Matrix], synthetic: Matrix, reference: Matrix, seed: int
) -> list[Floats]:
    """Distance to the nearest reference row less that to the nearest of all synthetic rows."""
    del seed
    flags = Flags(pooled(reference, synthetic))
    return [
        nearest(space(flags, t), space(flags, reference)) - nearest(space(flags, t), space(flags, synthetic))
        for t in targets
    ]


def by_odds(targets: tuple[Matrix, Matrix], synthetic: Matrix, reference: Matrix, seed: int) -> list[Floats]:
    """Log-odds that a row is synthetic and not of the reference, learnt on as many rows of each."""
    size = min(len(synthetic), len(reference))
    both = pooled(synthetic.rows(np.arange(size)), reference.rows(np.arange(size)))
    predict = learnt(ISSUE, both, np.repeat([1, 0], size), seed)
    chances = (np.clip(predict(t), TINY, 1 - TINY) for t in targets)
    return [np.log(p / (1 - p)) for p in chances]


def pooled(one: Matrix, other: Matrix) -> Matrix:
    """Both tables as one."""
    return Matrix(one.columns, np.vstack([one.values, other.values]))


def space(flags: Flags, table: Matrix) -> NDArray[np.float32]:
    """Rows as points: standardised numbers and flags."""
    return flags(table).astype(np.float32)


def nearest(rows: NDArray[np.float32], among: NDArray[np.float32], k: int = 1) -> Floats:
    """Euclidean distance of each row to its k-th nearest."""
    squares, found = (among**2).sum(axis=1), np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        far = squares - 2 * block @ among.T
        kth = far.min(axis=1) if k == 1 else np.partition(far, k - 1, axis=1)[:, k - 1]
        found[start : start + BLOCK] = np.maximum(kth + (block**2).sum(axis=1), 0)
    return np.sqrt(np.round(found, 4))


def isolated(members: Matrix, others: Matrix) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The members farthest from their neighbours among all real patients, and others at least as far."""
    everyone = pooled(members, others)
    points = space(Flags(everyone), everyone)
    far = nearest(points, points, NEIGHBOURS + 1)
    many = min(ISOLATED, max(1, len(members) // 2))
    least = np.sort(far[: len(members)])[-many]
    return far[: len(members)] >= least, far[len(members) :] >= least


def told(member: Floats, other: Floats) -> dict[str, float]:
    """AUROC and true-positive rate at 1 % false positives, with their intervals."""
    value, low, high = auroc_interval(
        np.repeat([1, 0], [len(member), len(other)]), np.concatenate([member, other])
    )
    hits = int((member > threshold(other)).sum())
    tpr = clopper_pearson(hits, len(member))
    return {
        "auroc": value,
        "auroc_low": low,
        "auroc_high": high,
        "tpr": hits / len(member),
        "tpr_low": tpr.low,
        "tpr_high": tpr.high,
        "members": len(member),
        "others": len(other),
    }


def threshold(other: Floats) -> float:
    """A score that at most 1 % of the non-members exceed."""
    return float(np.sort(other)[::-1][int(FALSE_POSITIVES * len(other))])


def paired(ours: Scores, rival: Scores, attack: str, seed: int) -> dict[str, float]:
    """Ours less the rival's true-positive rate on the isolated, resampling the same patients for both."""
    rng = numpy_generator(seed, "paired", attack)
    member = [s.member[attack][s.lone_member] for s in (ours, rival)]
    other = [s.other[attack][s.lone_other] for s in (ours, rival)]
    if not len(other[0]):
        return {}
    differences = []
    for draw in range(BOOTSTRAPS + 1):
        m, o = np.arange(len(member[0])), np.arange(len(other[0]))
        if draw:
            m, o = rng.choice(m, len(m)), rng.choice(o, len(o))
        rates = [float((member[k][m] > threshold(other[k][o])).mean()) for k in (0, 1)]
        differences.append(rates[0] - rates[1])
    low, high = np.quantile(differences[1:], [0.025, 0.975])
    return {"difference": differences[0], "low": float(low), "high": float(high)}
