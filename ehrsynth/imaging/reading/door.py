"""The door: what comes in is decoded, stripped, looked at for text, made one size, and put into groups.

It is gone through twice, so that large pictures need not all be in memory: once to look, once to let in.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ehrsynth.errors import DataError, NotEnoughData, Refused, RequestError
from ehrsynth.files import keyed_hash
from ehrsynth.imaging.captions.across import Looking, Marks, Zone
from ehrsynth.imaging.captions.masking import masked
from ehrsynth.imaging.image_set import (
    FEWEST_CLASSES,
    LARGEST,
    MOST_CLASSES,
    SMALLEST,
    ImageSet,
    Pixels,
    Whole,
    image_id,
)
from ehrsynth.imaging.reading.alike import join_alike
from ehrsynth.imaging.reading.archives import open_archive
from ehrsynth.imaging.reading.depth import bits_used, depth_remarks, eight_bits, refuse_mixed
from ehrsynth.imaging.reading.folders import Listing, list_folder
from ehrsynth.imaging.reading.frames import Frame, Source, Unusable, few
from ehrsynth.imaging.reading.patients import HOW
from ehrsynth.progress import Progress, part, silent

Text = Literal["refuse", "mask", "accept"]
_KEY_BYTES = 32
_NAMED = 3  # images of a place that a refusal names by ordinal
_SHOWN = 12  # examples kept for the picture of what was found


@dataclass(frozen=True, slots=True)
class Rules:
    """How images are let in.

    Parameters
    ----------
    size
        Pixels a side, 28 to 256; None: as stored, at most `most`.
    text
        What to do where text is found in the pixels: refuse the set, mask those places in every image, or
        accept it, because a person has looked and found it harmless.
    one_image_per_patient
        Declares that no patient has two images.
    patients, pattern
        A list of patients, or the part of a file's name that is the patient.
    slices
        How many slices of a volume are taken.
    unsplit
        Declares that the images are not split, so that it does not matter whose they are.
    """

    size: int | None = None
    most: int = 128
    text: Text = "refuse"
    one_image_per_patient: bool = False
    patients: Path | None = None
    pattern: str | None = None
    slices: int = 1
    unsplit: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.size is not None and not SMALLEST <= self.size <= LARGEST:
            raise RequestError(f"--size {self.size}: images have {SMALLEST} to {LARGEST} pixels a side")
        if self.patients is not None and self.pattern is not None:
            raise RequestError(
                "--patients and --patient-pattern both say whose each image is: leave one of them out"
            )
        if self.slices < 1:
            raise RequestError(f"--slices {self.slices}: at least one slice of a volume is taken")
        if self.slices > 1 and self.one_image_per_patient:
            raise RequestError(
                f"--slices {self.slices} takes several images of a volume, and --one-image-per-patient "
                "declares that no patient has two: say whose each volume is (--patients, --patient-pattern, "
                "or a folder for each patient), or take one slice"
            )


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done at the door, in words and counts: never a name, a path or a value.

    `sizes` are the smallest and the largest height and width that came in.
    """

    images: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    dropped: dict[str, int]
    remarks: tuple[str, ...]
    patients: int
    groups: int
    joined: int
    largest_group: int
    one_image_per_patient: bool
    masked_places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """Images that were let in; `external` are those that the archive itself sets aside for testing."""

    images: ImageSet
    external: ImageSet | None
    entry: Entry
    marks: Marks


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What the first passage saw: text, the bits that each image uses, sizes, kinds of metadata.

    `declaring` are the images (from 0) whose files say themselves that text is burned into their pixels.
    """

    marks: Marks
    examples: tuple[Pixels, ...]
    bits: Whole
    sizes: NDArray[np.int64]
    coloured: bool
    dropped: dict[str, int]
    remarks: tuple[str, ...]
    declaring: tuple[int, ...] = ()


def open_source(place: Path, rules: Rules) -> Source:
    """A folder of class folders, or an npz.

    Raises
    ------
    RequestError
        If there is nothing of that name, or it is neither.
    DataError
        If it cannot be read.
    """
    key = secrets.token_bytes(_KEY_BYTES)  # forgotten with this run: who was who cannot be worked out again

    def hashing(patient: str) -> bytes:
        return keyed_hash(key, patient.encode())

    if place.is_dir():
        listing = Listing(hashing, rules.patients, rules.pattern, rules.slices, masked=rules.text == "mask")
        return list_folder(place, listing)
    if place.is_file() and place.suffix.lower() == ".npz":
        if rules.patients is not None or rules.pattern is not None:
            raise RequestError("an npz names its patients itself, in an array 'patient'")
        return open_archive(place, hashing)
    raise RequestError("the data are a folder with a folder for each class, or an .npz file")


def read_images(place: Path | str, rules: Rules | None = None, progress: Progress | None = None) -> Admitted:
    """Read a set of images.

    Raises
    ------
    RequestError
        If it is not known whose images they are.
    DataError
        If files cannot be used: all are listed by ordinal.
    Refused
        If text is burned into the pixels and nothing was said about it.
    """
    rules, report = rules or Rules(), progress or silent
    source = open_source(Path(place), rules)
    looked = look(source, rules, part(report, 0.0, 0.6))
    refuse_text(looked, rules, source)
    return admit(source, looked, rules, part(report, 0.6, 1.0))


def look(source: Source, rules: Rules, progress: Progress | None = None) -> Looked:
    """Go through all pictures once."""
    report = progress or silent
    _check_classes(source)
    check_patients(source, rules)
    looking, coloured, bits = Looking(), False, list[int]()
    sizes, broken, examples = list[tuple[int, int]](), list[str](), list[Pixels]()
    dropped, remarks, declaring = Counter[str](), Counter[str](), list[int]()
    for number, frame in _frames(source, broken):
        sizes.append((frame.pixels.shape[0], frame.pixels.shape[1]))
        coloured = coloured or frame.pixels.ndim == 3  # noqa: PLR2004
        bits.append(bits_used(frame.pixels))
        dropped.update(frame.dropped)
        declaring += [number] if frame.declares_text else []
        remarks.update([frame.remark] if frame.remark else [])
        if looking.show(shown := eight_bits(frame.pixels, bits[-1])) and len(examples) < _SHOWN:
            examples.append(shown)
        report((number + 1) / len(source.labels), f"looking at image {number + 1} of {len(source.labels)}")
    if broken:
        raise DataError(f"{len(broken)} of {len(source.labels)} images cannot be used", few(broken))
    depths = np.array(bits, dtype=np.int64)
    counted = (f"{count} images: {remark}" for remark, count in remarks.items())
    said = (*source.remarks, *counted, *depth_remarks(depths, source.labels))
    return Looked(
        looking.marks(),
        tuple(examples),
        depths,
        np.array(sizes),
        coloured,
        dict(dropped),
        said,
        tuple(declaring),
    )


def _frames(source: Source, broken: list[str]) -> Iterator[tuple[int, Frame]]:
    for number in range(len(source.labels)):
        try:
            frame = source.frame(number)
        except Unusable as error:
            broken.append(f"{source.place(number)}: {error}")
            continue
        if min(frame.pixels.shape[:2]) < SMALLEST:
            tall, wide = frame.pixels.shape[:2]
            broken.append(
                f"{source.place(number)}: it has {tall} x {wide} pixels; at least {SMALLEST} are needed"
            )
            continue
        yield number, frame


def _check_classes(source: Source) -> None:
    count = len(source.classes)
    if count < FEWEST_CLASSES:
        raise NotEnoughData(
            f"{count} class was found: at least {FEWEST_CLASSES} are needed, each in a folder of its own"
        )
    if count > MOST_CLASSES:
        raise DataError(f"{count} classes were found: at most {MOST_CLASSES} are compared; merge some")


def check_patients(source: Source, rules: Rules) -> None:
    """Raise unless it is known whose images these are.

    Raises
    ------
    DataError, RequestError
        If it is not known of some, or of any.
    """
    unknown = [number for number, patient in enumerate(source.patients) if patient is None]
    if rules.one_image_per_patient:
        _check_declared(source)
    if not unknown or rules.one_image_per_patient or rules.unsplit:
        return
    if len(unknown) < len(source.patients):
        summary = f"{len(unknown)} of {len(source.patients)} images have no patient: {HOW}"
        raise DataError(summary, few([source.place(number) for number in unknown]))
    raise RequestError(f"it is not known whose images these are, so a patient could be on both sides: {HOW}")


def _check_declared(source: Source) -> None:
    known = [patient for patient in source.patients if patient is not None]
    several = len(known) - len(set(known))
    if several:
        raise DataError(
            f"{several} images are of a patient who has another, though --one-image-per-patient declares "
            "that none has: leave it out, and the patients that the data name stay together"
        )


def refuse_text(looked: Looked, rules: Rules, source: Source) -> None:
    """Raise where text was found and nothing was said about it, or declared and not found to be masked.

    Raises
    ------
    Refused
        Lists each place, how many images show it, and where the first of these are to be looked at.
    """
    marks = looked.marks
    if rules.text == "mask":
        _refuse_hidden_text(looked, source)
    if not marks.zones or rules.text != "refuse":
        return
    raise Refused(
        "text or marks seem to be burned into the pixels, which may name a patient; look, then say "
        "--text mask to cover these places in every image, or --text accept if they are harmless",
        [f"{zone.where}: {zone.sign}{_looked_at(zone, source)}" for zone in marks.zones],
    )


def _refuse_hidden_text(looked: Looked, source: Source) -> None:
    """A file that declares text in its pixels is let in masked only if some of it was found."""
    zones = looked.marks.zones
    if any(not zone.images for zone in zones):  # of all images together, this one among them
        return
    found = {number for zone in zones for number in zone.images}
    hidden = [number for number in looked.declaring if number not in found]
    if hidden:
        raise Refused(
            f"the headers of {len(hidden)} images say that text is burned into their pixels, and none was "
            "found to mask: cover it beforehand, or leave them out",
            few([source.place(number) for number in hidden]),
        )


def _looked_at(zone: Zone, source: Source) -> str:
    first = "; ".join(source.place(number) for number in zone.images[:_NAMED])
    more = len(zone.images) - _NAMED
    return (f": {first}" if first else "") + (f"; and {more} more" if more > 0 else "")


def admit(source: Source, looked: Looked, rules: Rules, progress: Progress | None = None) -> Admitted:
    """Go through all pictures again, and make them one set.

    Raises
    ------
    DataError
        If 16-bit greys use depths too far apart for one scale, or an image stands in two classes.
    """
    report = progress or silent
    refuse_mixed(looked.bits, source)
    deepest = int(looked.bits.max())
    n, size = len(source.labels), rules.size or _own_size(looked.sizes, rules.most)
    pixels = np.empty((n, size, size, 3 if looked.coloured else 1), np.uint8)
    zones = looked.marks.zones if rules.text == "mask" else ()
    stored = list[str]()
    for number in range(n):
        frame = source.frame(number).pixels
        stored.append(image_id(frame))
        shown = eight_bits(frame, deepest)
        pixels[number] = scaled(masked(shown, zones), size, coloured=looked.coloured)
        report((number + 1) / n, f"letting in image {number + 1} of {n}")
    patients = patient_numbers(source.patients, rules)
    joined = join_alike(pixels, source.labels, patients, source.place)
    entry = Entry(
        images=n,
        sizes=(_pair(looked.sizes.min(axis=0)), _pair(looked.sizes.max(axis=0))),
        dropped=looked.dropped,
        remarks=(*looked.remarks, *joined.remarks),
        patients=len(np.unique(patients)),
        groups=len(np.unique(joined.groups)),
        joined=joined.images,
        largest_group=int(np.bincount(joined.groups).max()),
        one_image_per_patient=rules.one_image_per_patient,
        masked_places=tuple(f"{zone.where}: {zone.sign}" for zone in zones),
    )
    whole = ImageSet.of(pixels, source.labels, source.classes, joined.groups, stored=stored)
    # What is nearly the same as an image that is set aside is set aside with it.
    outside = np.isin(joined.groups, joined.groups[source.external])
    return Admitted(
        whole.at(~outside), whole.at(source.external) if source.external.any() else None, entry, looked.marks
    )


def _pair(values: NDArray[np.int64]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _own_size(sizes: NDArray[np.int64], most: int) -> int:
    return int(min(most, max(SMALLEST, np.median(sizes.max(axis=1)))))


def scaled(pixels: Pixels, size: int, *, coloured: bool) -> Pixels:
    """One picture of 8 bits as size x size x 1 or 3."""
    picture = Image.fromarray(pixels).convert("RGB" if coloured else "L")
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    made = np.asarray(picture, dtype=np.uint8)
    return made if coloured else made[..., None]


def patient_numbers(patients: tuple[bytes | None, ...], rules: Rules) -> Whole:
    """The patient of each image as a number from 0."""
    if rules.one_image_per_patient or rules.unsplit:
        return np.arange(len(patients))
    # Numbered as they come, not as their hashes sort: the key is new each time, and the folds must not be.
    order: dict[bytes | None, int] = {}
    return np.array([order.setdefault(p, len(order)) for p in patients], dtype=np.int64)
