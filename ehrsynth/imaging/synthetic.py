"""Synthetic images, which carry where they come from: their two parents, and all that their model learnt.

The type is the guard: whoever judges calls `refuse_leaks` with the images it judges on, and gets synthetic
images back only if none of them descends from one of those.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.image_set import ImageSet, Pixels, Whole, hashes_in

ORIGIN = "synthetic: made by ehrsynth, no patient's image"  # written into every file of them
Parents = tuple[str, str]
NO_PARENTS: Parents = ("", "")


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticImages:
    """Images that a model made.

    Parameters
    ----------
    pixels, labels
        As in `ImageSet`.
    parents
        For each image the ids of the two training images that it lies between; empty where it was drawn from
        the prior.
    learnt_from
        Ids of every image that the model was fitted on.
    weights
        For each image where it lies between its parents, 0 (the first) to 1; NaN where it has none.
    """

    pixels: Pixels
    labels: Whole
    parents: tuple[Parents, ...]
    learnt_from: frozenset[str]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse images whose origin is not told."""
        if not len(self.pixels) == len(self.labels) == len(self.parents) == len(self.weights):
            raise DataError("each synthetic image has a label, two parents and a weight")
        unknown = {p for pair in self.parents for p in pair if p} - self.learnt_from
        if unknown:
            raise DataError(f"{len(unknown)} parents are no images that the model was fitted on")

    def __len__(self) -> int:
        return len(self.pixels)

    def at(self, rows: Whole | NDArray[np.bool_]) -> "SyntheticImages":
        """Some of the images."""
        places = np.arange(len(self))[rows]
        parents = tuple(self.parents[i] for i in places)
        return SyntheticImages(
            self.pixels[places], self.labels[places], parents, self.learnt_from, self.weights[places]
        )


def together(parts: Iterable[SyntheticImages]) -> SyntheticImages:
    """Several sets as one."""
    some = list(parts)
    return SyntheticImages(
        np.concatenate([s.pixels for s in some]),
        np.concatenate([s.labels for s in some]),
        tuple(pair for s in some for pair in s.parents),
        frozenset[str]().union(*(s.learnt_from for s in some)),
        np.concatenate([s.weights for s in some]),
    )


def refuse_leaks(
    synthetic: SyntheticImages, judges: ImageSet, *, remedy: str = "fit on the training side alone"
) -> SyntheticImages:
    """The same images, if none of them descends from an image that will judge.

    Parameters
    ----------
    judges
        A validation or a test side.
    remedy
        What the user can do about it.

    Raises
    ------
    RequestError
        Says how many synthetic images have a parent there, and how many images there were learnt from.
    """
    held = hashes_in(judges.ids)
    leaking = sum(1 for pair in synthetic.parents if held & hashes_in(pair))
    learnt = sum(1 for one in synthetic.learnt_from if held & hashes_in([one]))
    if leaking or learnt:
        raise RequestError(
            f"{leaking} of {len(synthetic)} synthetic images have a parent on the side that judges, and "
            f"their model was fitted on {learnt} of its images: {remedy}"
        )
    return synthetic
