"""Does interpolation keep the class, and does it fill gaps? Both are asked of images that it never saw."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.neighbourhoods import reach, squared_distances
from ehrsynth.imaging.heads import Taught, fit_head
from ehrsynth.imaging.image_set import ImageSet, Whole
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import Estimate, clopper_pearson

Floats = NDArray[np.float32]
NEIGHBOURS = 5
SAME = "real, same classes"


@dataclass(frozen=True, slots=True)
class Kept:
    """The share of images that a classifier gives to their class, with its exact 95 % interval."""

    images: int
    share: Estimate


def class_kept(
    judges: ImageSet,
    seen: Floats,
    synthetic: Mapping[str, tuple[Floats, Whole]],
    *,
    penalty: float,
    seed: int,
) -> dict[str, Kept]:
    """The share of synthetic images of each kind that keep their class, and of real ones for comparison.

    The classifier is taught on one half of the held-out side (by patients) and judges the other half's real
    images and all synthetic ones; then the halves change places. 0 to 1, higher is better. "real" is of all
    classes; "real, same classes" of those of the synthetic images, and the most that can be expected.

    Parameters
    ----------
    seen
        Scaled features of `judges`.
    synthetic
        Kind to scaled features and classes.
    """
    patients = np.unique(judges.patients)
    first = numpy_generator(seed, "class kept").permutation(patients)[: len(patients) // 2]
    half = np.isin(judges.patients, first)
    # A common class is told more often than a rare one, so rare images are held against rare real ones.
    drawn = np.unique(np.concatenate([np.empty(0, np.int64), *(labels for _, labels in synthetic.values())]))
    right = dict.fromkeys(("real", SAME, *synthetic), 0)
    asked = dict(right)
    for teaches in (half, ~half):
        counts = np.bincount(judges.labels[teaches], minlength=len(judges.classes))
        if (counts == 0).any():
            continue
        weights = (1 / counts)[judges.labels[teaches]]
        taught = Taught(seen[teaches], judges.labels[teaches], weights)
        head = fit_head(taught, classes=len(judges.classes), penalty=penalty)
        same = ~teaches & np.isin(judges.labels, drawn)
        asked_of = {
            "real": (seen[~teaches], judges.labels[~teaches]),
            SAME: (seen[same], judges.labels[same]),
            **synthetic,
        }
        for name, (features, labels) in asked_of.items():
            called = head.probabilities(features).argmax(axis=1)
            right[name] += int((called == labels).sum())
            asked[name] += len(labels)
    return {name: Kept(asked[name], _share(right[name], asked[name])) for name in right if asked[name]}


def _share(right: int, asked: int) -> Estimate:
    return Estimate(right / asked, *clopper_pearson(right, asked))


def covered(holdout: Floats, points: Floats) -> float:
    """The share of held-out images with a point as near as their 5th neighbour among themselves.

    0 to 1, higher is better.
    """
    k = min(NEIGHBOURS, len(holdout) - 1)
    if k < 1 or not len(points):
        return float("nan")
    own = holdout.astype(np.float64)
    near = squared_distances(own, points.astype(np.float64)).min(axis=1) <= reach(own, k)
    return float(near.mean())
