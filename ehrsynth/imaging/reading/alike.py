"""Patients of a set whose images are nearly the same become one group, which no split takes apart."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ehrsynth.errors import DataError
from ehrsynth.imaging.duplicates import NEARLY_THE_SAME, describe, grouped, similar_pairs
from ehrsynth.imaging.image_set import Pixels, Whole
from ehrsynth.imaging.reading.frames import few

_STRICTER = (
    0.96,
    0.98,
    0.99,
    0.999,
)  # correlations from which images are the same, where 0.94 joins too many
_JOINED, _FEW_JOINED = 0.2, 4  # share, and number, of images that a joined group may hold


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """The group of each image, how many images were joined across patients, and what a reader should know."""

    groups: Whole
    images: int
    remarks: tuple[str, ...]


def join_alike(pixels: Pixels, labels: Whole, patients: Whole, place: Callable[[int], str]) -> Joined:
    """Join patients where their images are nearly the same.

    In a set whose images are all alike, as frames of films or slices in one position, the measure is made
    stricter until no group that it joins holds a fifth of the images: what is joined then is still the
    likest. The remark says so.

    Parameters
    ----------
    place
        How an error names an image (from 0).

    Raises
    ------
    DataError
        If equal images stand in two classes.
    """
    pairs, least = similar_pairs(described := describe(pixels)), NEARLY_THE_SAME
    most = max(_FEW_JOINED, _JOINED * len(pixels), np.bincount(patients).max())
    for stricter in _STRICTER:
        if np.bincount(grouped(patients, pairs)).max() <= most:
            break
        pairs, least = similar_pairs(described, least=stricter), stricter
    same = [(a, b) for a, b in pairs if labels[a] != labels[b] and np.array_equal(pixels[a], pixels[b])]
    if same:
        listed = [f"{place(a)} and {place(b)}" for a, b in same]
        raise DataError(f"{len(same)} pairs of images are the same and stand in two classes", few(listed))
    across = pairs[patients[pairs[:, 0]] != patients[pairs[:, 1]]]
    return Joined(grouped(patients, pairs), len(np.unique(across)), _remarks(least))


def _remarks(least: float) -> tuple[str, ...]:
    if least == NEARLY_THE_SAME:
        return ()
    said = (
        f"so many images are alike that near-duplicates were joined from a correlation of {least:g} on, and "
        f"not from {NEARLY_THE_SAME:g}: some may stand on both sides of a split"
    )
    return (said,)
