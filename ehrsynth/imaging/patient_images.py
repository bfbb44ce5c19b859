"""Images as rows of patients, for learning under differential privacy; and what is public."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.image_set import FEWEST_CLASSES, LARGEST, MOST_CLASSES, SMALLEST, Pixels, Whole


@dataclass(frozen=True, slots=True)
class PublicImages:
    """What is known of the images without a look at them.

    Parameters
    ----------
    patients
        How many patients there are, as far as everybody knows: the true number is a secret.
    size
        Pixels a side that every image is brought to, 28 to 256.
    classes
        2 to 12 names; one may turn out to have no image.
    channels
        1 for grey, 3 for colour.
    """

    patients: int
    size: int
    classes: tuple[str, ...]
    channels: int

    def __post_init__(self) -> None:
        """Refuse what cannot be so."""
        if self.patients < 1 or not SMALLEST <= self.size <= LARGEST or self.channels not in {1, 3}:
            raise RequestError(
                f"{self.patients} patients, {self.size} pixels a side, {self.channels} channels: at least 1, "
                f"{SMALLEST} to {LARGEST}, 1 or 3"
            )
        if not FEWEST_CLASSES <= len(set(self.classes)) == len(self.classes) <= MOST_CLASSES:
            raise RequestError(
                f"{len(self.classes)} classes are declared public: {FEWEST_CLASSES} to {MOST_CLASSES} "
                "different names"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PatientImages:
    """Raw images, those of a patient side by side: a patient is one row, however many images they have.

    Parameters
    ----------
    pixels, labels
        As in `ImageSet`, m images.
    first, count
        For each of n patients where their images begin, and how many they are, at least 1.
    """

    pixels: Pixels
    labels: Whole
    first: Whole
    count: Whole

    @classmethod
    def of(cls, pixels: Pixels, labels: Whole, patients: Whole) -> Self:
        """Rows from images (m), their classes, and a number for each one's patient.

        Raises
        ------
        DataError
            If they are not equally many.
        """
        if not len(pixels) == len(labels) == len(patients):
            message = f"{len(pixels)} images, {len(labels)} labels, {len(patients)} patients: one each"
            raise DataError(message)
        order = np.argsort(patients, kind="stable")
        _, first, count = np.unique(patients[order], return_index=True, return_counts=True)
        return cls(pixels[order], labels[order], first.astype(np.int64), count.astype(np.int64))

    def __len__(self) -> int:
        return len(self.first)
