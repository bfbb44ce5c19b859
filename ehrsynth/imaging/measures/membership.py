"""Can it be told from synthetic images whether somebody's image taught the model?

An attacker who holds a person's image looks how near the nearest synthetic image is to it. Images that
taught and held-out images of other patients are compared; the AUROC says how well they are told apart. With
few images chance alone spreads it widely, so the smallest AUROC that would have been found is always said.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.imaging.features import directions
from ehrsynth.statistics import Estimate, auroc_interval

ENOUGH = 500  # images of each side below which nothing is passed
POWER, LEVEL = 0.9, 0.05
_FEWEST = 10


@dataclass(frozen=True, slots=True)
class Membership:
    """The result: `auroc` 0.5 (nothing is told) to 1, lower is safer, with its 95 % interval.

    `detectable` is the smallest AUROC that would have been told from 0.5 with 90 % power. `passed` is None
    where there are fewer than 500 images on a side: then only `detectable` says something.
    """

    members: int
    non_members: int
    auroc: Estimate | None
    detectable: float | None
    passed: bool | None
    reason: str


def detectable_auroc(members: int, non_members: int) -> float:
    """The smallest AUROC that a one-sided test at 5 % finds with 90 % power, 0.5 to 1.

    From the spread of the Mann-Whitney statistic where nothing is to be found.

    >>> round(detectable_auroc(500, 500), 3)
    0.553
    """
    spread = float(np.sqrt((members + non_members + 1) / (12 * members * non_members)))
    return min(1.0, 0.5 + spread * float(stats.norm.ppf(1 - LEVEL) + stats.norm.ppf(POWER)))


def membership(
    train: NDArray[np.float32], holdout: NDArray[np.float32], synthetic: NDArray[np.float32], *, limit: float
) -> Membership:
    """Attack by the nearest synthetic image in frozen features (n x 1280 each).

    Parameters
    ----------
    limit
        The highest AUROC whose interval's upper end may pass.
    """
    n, m = len(train), len(holdout)
    if min(n, m) < _FEWEST or not len(synthetic):
        return Membership(
            n, m, None, None, None, f"{min(n, m)} images on a side: at least {_FEWEST} are needed"
        )
    found = directions(synthetic)
    near = [(directions(side) @ found.T).max(axis=1) for side in (train, holdout)]
    area = auroc_interval(np.repeat([1, 0], [n, m]), np.concatenate(near))
    detectable = detectable_auroc(n, m)
    if min(n, m) < ENOUGH:
        why = (
            f"{min(n, m)} images on a side, under {ENOUGH}: an AUROC below {detectable:.3f} would have "
            "been missed, so this is no pass"
        )
        return Membership(n, m, area, detectable, None, why)
    return Membership(n, m, area, detectable, area.high <= limit, "")
