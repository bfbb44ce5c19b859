"""A set of images with their classes and patients, as one value; and an image's own id.

Pixels are whole numbers from 0 to 255, all images have one size. An id is made of two hashes, of the pixels
as they were stored and as they stand here, masked and scaled: it follows the image through folds and into
what is made of it, and whatever was done at the door the image is known again. Nothing of a file's name is in
it. It can be tested by whoever holds the image, so ids stay inside the hospital.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import DataError

Pixels = NDArray[np.uint8]
Whole = NDArray[np.int64]
ID_BYTES = 16
FEWEST_CLASSES, MOST_CLASSES = 2, 12
SMALLEST, LARGEST = 28, 256  # pixels a side
_GREY, _COLOUR = 1, 3
_BETWEEN = "-"


def image_id(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
    """Hex hash of one image's pixels and shape, the same for equal images."""
    shape = repr(pixels.shape).encode()
    return hashlib.blake2b(shape + pixels.tobytes(), digest_size=ID_BYTES).hexdigest()


def hashes_in(ids: Iterable[str]) -> frozenset[str]:
    """The hashes that ids are made of: images that share one are the same image."""
    return frozenset(one for own in ids for one in own.split(_BETWEEN) if one)


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Images of known classes and patients.

    Parameters
    ----------
    pixels
        n x height x width x channels, 0 to 255; 1 channel is grey, 3 are red, green and blue.
    labels
        n places in `classes`, from 0.
    classes
        2 to 12 names.
    patients
        n numbers: images with the same number never stand on two sides of a split. A number may stand for a
        patient, for a source such as a photograph, or for patients whose images are nearly the same.
    ids
        n ids: the `image_id` as stored and as it stands here.
    """

    pixels: Pixels
    labels: Whole
    classes: tuple[str, ...]
    patients: Whole
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a set whose parts do not fit together."""
        n = len(self.pixels)
        if self.pixels.ndim != 4 or self.pixels.shape[3] not in {_GREY, _COLOUR}:  # noqa: PLR2004
            message = f"images have shape {self.pixels.shape[1:]}: they are height x width x 1 or 3"
            raise DataError(message)
        if not n == len(self.labels) == len(self.patients) == len(self.ids):
            message = f"{n} images, {len(self.labels)} labels, {len(self.patients)} patients: one each"
            raise DataError(message)
        if n and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError("a label names no class")

    @classmethod
    def of(
        cls,
        pixels: Pixels,
        labels: Whole,
        classes: tuple[str, ...],
        patients: Whole,
        *,
        stored: Sequence[str] | None = None,
    ) -> Self:
        """A set with ids; `stored` is the `image_id` of each as it was stored, if that was otherwise."""
        here = [image_id(image) for image in pixels]
        pairs = zip(here if stored is None else stored, here, strict=True)
        return cls(pixels, labels, classes, patients, tuple(_BETWEEN.join(pair) for pair in pairs))

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def counts(self) -> Whole:
        """How many images each class has."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

    @property
    def size(self) -> int:
        """Pixels of the longer side."""
        return max(self.pixels.shape[1:3])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.pixels.shape[3])

    def at(self, rows: Whole | NDArray[np.bool_]) -> "ImageSet":
        """Some of the images, in the order of `rows`."""
        places = np.arange(len(self))[rows]
        ids = tuple(self.ids[i] for i in places)
        return ImageSet(self.pixels[places], self.labels[places], self.classes, self.patients[places], ids)

    def of_class(self, label: int) -> "ImageSet":
        """The images of one class."""
        return self.at(self.labels == label)


def minority_classes(counts: Whole | NDArray[np.float64]) -> tuple[int, ...]:
    """The classes that the study is about: the smallest, and those hardly larger (a tenth), never all.

    >>> minority_classes(np.array([40, 400, 40])), minority_classes(np.array([50, 50]))
    ((0, 2), (0,))
    """
    least = float(counts.min())
    small = [place for place, count in enumerate(counts) if count <= 1.1 * least]
    return tuple(small if len(small) < len(counts) else small[:1])
