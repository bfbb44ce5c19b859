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
from ehrsynth.imaging.duplicates import describe, grouped, similar_pairs
from ehrsynth.imaging.image_set import (
    FEWEST_CLASSES,
    LARGEST,
    MOST_CLASSES,
    SMALLEST,
    ImageSet,
    Pixels,
    Whole,
)
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
_STRICTER = (
    0.96,
    0.98,
    0.99,
    0.999,
)  # correlations from which images are the same, where 0.94 joins too many
_JOINED, _FEW_JOINED = 0.2, 4  # share, and number, of images that a joined group may hold


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
    """

    size: int | None = None
    most: int = 128
    text: Text = "refuse"
    one_image_per_patient: bool = False
    patients: Path | None = None
    pattern: str | None = None
    slices: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.size is not None and not SMALLEST <= self.size <= LARGEST:
            raise RequestError(f"--size {self.size}: images have {SMALLEST} to {LARGEST} pixels a side")
        if self.slices < 1:
            raise RequestError(f"--slices {self.slices}: at least one slice of a volume is taken")


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
    """What the first passage saw: text, the bits that each image uses, sizes, kinds of metadata."""

    marks: Marks
    examples: tuple[Pixels, ...]
    bits: Whole
    sizes: NDArray[np.int64]
    coloured: bool
    dropped: dict[str, int]
    remarks: tuple[str, ...]


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
    refuse_text(looked.marks, rules, source)
    return admit(source, looked, rules, part(report, 0.6, 1.0))


def look(source: Source, rules: Rules, progress: Progress | None = None) -> Looked:
    """Go through all pictures once."""
    report = progress or silent
    _check_classes(source)
    check_patients(source, rules)
    looking, coloured, bits = Looking(), False, list[int]()
    sizes, broken, examples = list[tuple[int, int]](), list[str](), list[Pixels]()
    dropped, remarks = Counter[str](), Counter[str]()
    for number, frame in _frames(source, broken):
        sizes.append((frame.pixels.shape[0], frame.pixels.shape[1]))
        coloured = coloured or frame.pixels.ndim == 3  # noqa: PLR2004
        bits.append(bits_used(frame.pixels))
        dropped.update(frame.dropped)
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
    if not unknown or rules.one_image_per_patient:
        return
    if len(unknown) < len(source.patients):
        summary = f"{len(unknown)} of {len(source.patients)} images have no patient: {HOW}"
        raise DataError(summary, few([source.place(number) for number in unknown]))
    raise RequestError(f"it is not known whose images these are, so a patient could be on both sides: {HOW}")


def refuse_text(marks: Marks, rules: Rules, source: Source) -> None:
    """Raise where text was found and nothing was said about it.

    Raises
    ------
    Refused
        Lists each place, how many images show it, and where the first of these are to be looked at.
    """
    if not marks.zones or rules.text != "refuse":
        return
    raise Refused(
        "text or marks seem to be burned into the pixels, which may name a patient; look, then say "
        "--text mask to cover these places in every image, or --text accept if they are harmless",
        [f"{zone.where}: {zone.sign}{_looked_at(zone, source)}" for zone in marks.zones],
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
    for number in range(n):
        shown = eight_bits(source.frame(number).pixels, deepest)
        pixels[number] = scaled(masked(shown, zones), size, coloured=looked.coloured)
        report((number + 1) / n, f"letting in image {number + 1} of {n}")
    patients = patient_numbers(source.patients, rules)
    groups, joined = _groups(pixels, source.labels, patients, source)
    entry = Entry(
        images=n,
        sizes=(_pair(looked.sizes.min(axis=0)), _pair(looked.sizes.max(axis=0))),
        dropped=looked.dropped,
        remarks=looked.remarks,
        patients=len(np.unique(patients)),
        groups=len(np.unique(groups)),
        joined=joined,
        largest_group=int(np.bincount(groups).max()),
        one_image_per_patient=rules.one_image_per_patient,
        masked_places=tuple(f"{zone.where}: {zone.sign}" for zone in zones),
    )
    whole = ImageSet.of(pixels, source.labels, source.classes, groups)
    # What is nearly the same as an image that is set aside is set aside with it.
    outside = np.isin(groups, groups[source.external])
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
    if rules.one_image_per_patient:
        return np.arange(len(patients))
    # Numbered as they come, not as their hashes sort: the key is new each time, and the folds must not be.
    order: dict[bytes | None, int] = {}
    return np.array([order.setdefault(p, len(order)) for p in patients], dtype=np.int64)


def _groups(pixels: Pixels, labels: Whole, patients: Whole, source: Source) -> tuple[Whole, int]:
    """Patients joined where their images are nearly the same, and how many images that concerns.

    In a set whose images are all alike, as frames of films or slices in one position, the measure is made
    stricter until no group that it joins holds a fifth of the images: what is joined then is still the
    likest.
    """
    pairs = similar_pairs(described := describe(pixels))
    for least in _STRICTER:
        groups = grouped(patients, pairs)
        most = max(_FEW_JOINED, _JOINED * len(pixels), np.bincount(patients).max())
        if np.bincount(groups).max() <= most:
            break
        pairs = similar_pairs(described, least=least)
    same = [(a, b) for a, b in pairs if labels[a] != labels[b] and np.array_equal(pixels[a], pixels[b])]
    if same:
        listed = [f"{source.place(a)} and {source.place(b)}" for a, b in same]
        raise DataError(f"{len(same)} pairs of images are the same and stand in two classes", few(listed))
    across = pairs[patients[pairs[:, 0]] != patients[pairs[:, 1]]]
    return grouped(patients, pairs), len(np.unique(across))
