"""How like real images synthetic ones are, by frozen features: KID, precision and its kin, seldom FID.

Every number stands beside its floor, real against other real images: at hundreds of images most of a distance
is chance and bias, and only the ratio to the floor says something.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ehrsynth.evaluation.neighbourhoods import Mask, neighbourhoods
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import Estimate, Floats, clopper_pearson, interval_of_influence

NEIGHBOURS = 5
ENOUGH_FOR_FID = 5  # images for each number of a feature vector
_RESAMPLES = 200
_DEGREE = 3


def kernel(first: Floats, second: Floats) -> Floats:
    """The cubic kernel (x y / d + 1)^3 of Binkowski et al. (2018, arXiv 1801.01401)."""
    return np.asarray((first @ second.T / first.shape[1] + 1) ** _DEGREE)


def kernel_distance(real: Floats, other: Floats) -> float:
    """KID: the unbiased squared maximum mean discrepancy of two sets of features.

    0 where both come from one distribution, and by chance a little below or above; lower is closer.

    >>> rows = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> round(kernel_distance(rows, rows + 1.0), 4)
    32.6944
    """
    return _mmd(kernel(real, real), kernel(other, other), kernel(real, other))


def _mmd(own: Floats, their: Floats, cross: Floats) -> float:
    n, m = len(own), len(their)
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (their.sum() - np.trace(their)) / (m * (m - 1))
    return float(within - 2 * cross.mean())


def kernel_distance_interval(real: Floats, other: Floats, *, seed: int) -> Estimate:
    """KID with its 95 % bootstrap interval: both sets resampled 200 times, an image never against itself."""
    own, their, cross = kernel(real, real), kernel(other, other), kernel(real, other)
    rng = numpy_generator(seed, "kernel distance")
    n, m = len(real), len(other)
    np.fill_diagonal(own, 0.0)
    np.fill_diagonal(their, 0.0)
    drawn = []
    for _ in range(_RESAMPLES):
        a = rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64)
        b = rng.multinomial(m, np.full(m, 1 / m)).astype(np.float64)
        # Pairs of one image with itself are left out, and so are their weights.
        within = a @ own @ a / (n * n - a @ a) + b @ their @ b / (m * m - b @ b)
        drawn.append(within - 2 * (a @ cross @ b) / (n * m))
    value = kernel_distance(real, other)
    spread = np.asarray(drawn) - np.mean(drawn)
    low, high = np.quantile(spread, [0.025, 0.975])
    return Estimate(value, value + float(low), value + float(high))


def frechet_distance(real: Floats, other: Floats) -> float:
    """FID (Heusel et al. 2017, arXiv 1706.08500): the Frechet distance of two normal distributions.

    At least 0, lower is closer; strongly biased upwards where images are few.
    """
    shift = real.mean(axis=0) - other.mean(axis=0)
    first, second = np.cov(real, rowvar=False), np.cov(other, rowvar=False)
    # The trace of the root of a product of covariances, from eigenvalues that are at least 0.
    values = linalg.eigvals(first @ second).real
    root = float(np.sqrt(np.clip(values, 0, None)).sum())
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2 * root)


def enough_for_fid(real: int, other: int, dimensions: int) -> bool:
    """Whether FID says anything: fewer images leave covariances singular, and the distance mostly bias."""
    return min(real, other) >= ENOUGH_FOR_FID * dimensions


def shares(real: Floats, other: Floats) -> dict[str, Estimate]:
    """Precision, recall, density and coverage of `other`, with neighbourhoods of the 5 nearest.

    0 to 1, higher is better; density may pass 1. Both sets are cut to the size of the smaller, since the
    shares depend on it. Intervals take the neighbourhoods as they are.
    """
    size = min(len(real), len(other))
    near = neighbourhoods(real[:size], other[:size], NEIGHBOURS)
    dense = near.dense
    return {
        "precision": _share(near.precise),
        "recall": _share(near.recalled),
        "density": interval_of_influence(float(dense.mean()), dense - dense.mean(), bounds=(0.0, np.inf)),
        "coverage": _share(near.covered),
    }


def _share(true: Mask) -> Estimate:
    return Estimate(float(true.mean()), *clopper_pearson(int(true.sum()), len(true)))


@dataclass(frozen=True, slots=True)
class Likeness:
    """Scores of synthetic images against held-out real ones, each with its floor.

    `floor` holds the same scores of training images against held-out ones. `reason` says why there is no
    value: `kid` is None under twelve images a side, `fid` where there are too few for it.
    """

    images: int
    kid: Estimate | None
    kid_floor: float | None
    shares: dict[str, Estimate]
    floor: dict[str, float]
    fid: float | None
    fid_floor: float | None
    reason: str


FEWEST = 2 * NEIGHBOURS + 2


def likeness(train: Floats, holdout: Floats, synthetic: Floats, *, seed: int) -> Likeness:
    """Compare synthetic with held-out images of one class, by features that none of them taught."""
    size = min(len(train), len(holdout), len(synthetic))
    if size < FEWEST:
        return Likeness(size, None, None, {}, {}, None, None, f"{size} images: at least {FEWEST} are needed")
    rng = numpy_generator(seed, "likeness")
    train, holdout, synthetic = (
        rows[rng.permutation(len(rows))[:size]].astype(np.float64) for rows in (train, holdout, synthetic)
    )
    dimensions = train.shape[1]
    enough = enough_for_fid(size, size, dimensions)
    return Likeness(
        size,
        kernel_distance_interval(holdout, synthetic, seed=seed),
        kernel_distance(holdout, train),
        shares(holdout, synthetic),
        {name: found.value for name, found in shares(holdout, train).items()},
        frechet_distance(holdout, synthetic) if enough else None,
        frechet_distance(holdout, train) if enough else None,
        "" if enough else f"FID needs {ENOUGH_FOR_FID * dimensions:,} images a side; {size:,} are here",
    )
