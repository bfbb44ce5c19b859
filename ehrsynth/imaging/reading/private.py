"""The door for images that are learnt under differential privacy: nobody's image changes another's.

The door for use inside looks at the whole set: it spreads 16-bit greys by the brightest image, takes a size
from the median, colour from whichever image has some, masks in all images what it found in some, and joins
patients whose images look alike. Each of these lets one patient change what is learnt of the others. Here
size, colours and classes are public, each image is brought to them by itself, and a patient is whom the
files name.
"""

from pathlib import Path

import numpy as np

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.image_set import Whole
from ehrsynth.imaging.patient_images import PatientImages, PublicImages
from ehrsynth.imaging.reading.door import (
    Rules,
    check_patients,
    look,
    open_source,
    patient_numbers,
    refuse_text,
    scaled,
)
from ehrsynth.imaging.reading.frames import Source, few
from ehrsynth.progress import Progress, part, silent


def check_rules(rules: Rules) -> None:
    """Raise before anything is read, where the rules would let one image change another.

    Raises
    ------
    RequestError
        If text is to be masked.
    """
    if rules.text == "mask":
        raise RequestError(
            "--text mask covers in every image what was found in some, so that one patient changes the "
            "others: under --epsilon cover the places beforehand, or say --text accept if it is harmless"
        )


def read_patients(
    place: Path | str, rules: Rules, public: PublicImages, progress: Progress | None = None
) -> PatientImages:
    """Read images one by one, as rows of patients. What an archive sets aside for testing is left out.

    Parameters
    ----------
    rules
        Its `size` does not count: the public one does.

    Raises
    ------
    RequestError
        If it is not known whose images they are, or the rules mix images.
    DataError
        If files cannot be used, greys have 16 bits, a class is not public, or a patient has several images
        where it was declared that none has.
    Refused
        If text is burned into the pixels and nothing was said about it.
    """
    check_rules(rules)
    report = progress or silent
    source = open_source(Path(place), rules)
    check_patients(source, rules)
    labels = _public_labels(source, public.classes)
    looked = look(source, rules, part(report, 0.0, 0.6))
    refuse_text(looked, rules, source)
    patients = patient_numbers(source.patients, rules)
    inside = np.flatnonzero(~source.external)
    pixels = np.empty((len(inside), public.size, public.size, public.channels), np.uint8)
    deep: list[str] = []
    for place_, number in enumerate(inside):
        found = source.frame(int(number)).pixels
        if found.dtype != np.uint8:
            deep.append(source.place(int(number)))
            continue
        pixels[place_] = scaled(np.asarray(found, dtype=np.uint8), public.size, coloured=public.channels > 1)
        report(0.6 + 0.4 * (place_ + 1) / len(inside), "letting in images")
    if deep or not source.alone:
        raise DataError(
            f"{len(deep) or len(inside)} images are not stored with 8 bits, and would be scaled by the "
            "brightest of all: under --epsilon save them with 8 bits, each by a rule that is public",
            few(deep),
        )
    return PatientImages.of(pixels, labels[inside], patients[inside])


def _public_labels(source: Source, classes: tuple[str, ...]) -> Whole:
    unknown = [name for name in source.classes if name not in classes]
    if unknown:
        raise DataError(
            f"{len(unknown)} classes of the data were not declared public: declare them with "
            "--public-class, or leave their images out",
            [f"class {name!r}" for name in unknown],
        )
    return np.array([classes.index(name) for name in source.classes], dtype=np.int64)[source.labels]
