"""An npz of arrays: `images`, `labels`, and where there are any `classes` and `patient`; or MedMNIST's names.

Nothing is unpickled: an archive that holds objects is refused.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import DataError
from ehrsynth.imaging.reading.frames import Frame, Hashing

_PATIENTS = ("patient", "patients", "patient_id", "source", "group", "groups")
_PARTS = ("train", "val", "test")
_EXTERNAL = "test"
_IMAGES = 3, 4  # dimensions: n x height x width, with or without channels


@dataclass(frozen=True, slots=True, eq=False)
class ArchiveSource:
    """The pictures of an npz; see `frames.Source`."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    patients: tuple[bytes | None, ...]
    external: NDArray[np.bool_]
    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    remarks: tuple[str, ...]
    alone: bool

    def place(self, number: int) -> str:
        """The ordinal of an image in the archive."""
        return f"image {number + 1} of {len(self.labels)}"

    def frame(self, number: int) -> Frame:
        """One image, already decoded."""
        picture = self.pixels[number]
        return Frame(picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture)  # noqa: PLR2004


def open_archive(path: Path, hashing: Hashing) -> ArchiveSource:
    """Read an npz.

    Raises
    ------
    DataError
        If it is damaged, holds objects, lacks an array, or its arrays do not fit together.
    """
    arrays = _arrays(path)
    if "origin" in arrays:
        raise DataError(
            "the npz is marked as synthetic: nothing is learnt from it, and it judges nothing; a study takes "
            "it with --synthetic"
        )
    parts = _parts(arrays)
    pixels = [_images(images) for images, _, _ in parts]
    if len({p.shape[1:] for p in pixels}) > 1 or len({p.dtype for p in pixels}) > 1:
        raise DataError("the parts of the npz differ in the size, the colours or the bits of their images")
    labels, classes = _labels([labels for _, labels, _ in parts], arrays.get("classes"))
    external = np.concatenate(
        [np.full(len(p), outside) for p, (_, _, outside) in zip(pixels, parts, strict=True)]
    )
    if external.all():
        external = np.zeros(len(external), np.bool_)
    stacked: Any = np.concatenate(pixels)
    if len(labels) != len(stacked):
        raise DataError(f"the npz has {len(stacked)} images and {len(labels)} labels: one each is needed")
    remarks = (
        (f"{int(external.sum())} images of the archive's own test part are in no fold",)
        if external.any()
        else ()
    )
    # Fractions and wider numbers are read by the smallest and the largest of all.
    alone = all(images.dtype == np.uint8 for images, _, _ in parts)
    patients = _patients(arrays, len(labels), hashing)
    return ArchiveSource(classes, labels, patients, external, stacked, remarks, alone)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError, AttributeError) as error:
        message = "the npz is damaged, no npz, or holds objects, which are not read"
        raise DataError(message) from error


Part = tuple[NDArray[Any], NDArray[Any], bool]


def _parts(arrays: dict[str, NDArray[Any]]) -> list[Part]:
    if {"images", "labels"} <= set(arrays):
        return [(arrays["images"], arrays["labels"], False)]
    found = [
        (arrays[f"{part}_images"], arrays[f"{part}_labels"], part == _EXTERNAL)
        for part in _PARTS
        if {f"{part}_images", f"{part}_labels"} <= set(arrays)
    ]
    if not found:
        raise DataError(
            "the npz needs the arrays 'images' and 'labels', or, as in MedMNIST, 'train_images' and so on"
        )
    return found


def _images(images: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if images.ndim not in _IMAGES or (images.ndim == _IMAGES[1] and images.shape[3] not in {1, 3}):
        raise DataError(f"the images have the shape {images.shape}: n x height x width (x 1 or 3) is read")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "uif":
        raise DataError("the images are no numbers")
    broken = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
    if len(broken):
        raise DataError(
            f"{len(broken)} images hold what is no number", [f"image {i + 1}" for i in broken[:20]]
        )
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.asarray(np.rint(images * 255), dtype=np.uint8)
    if (
        low < 0
        or high > np.iinfo(np.uint16).max
        or (images.dtype.kind == "f" and (images != np.rint(images)).any())
    ):
        raise DataError("the images are neither whole numbers from 0 to 65,535 nor fractions from 0 to 1")
    deep = high > np.iinfo(np.uint8).max
    return images.astype(np.uint16) if deep else images.astype(np.uint8)


def _labels(
    parts: list[NDArray[Any]], named: NDArray[Any] | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    flat = []
    for labels in parts:
        if labels.ndim > 2 or (labels.ndim == 2 and labels.shape[1] != 1):  # noqa: PLR2004
            raise DataError("the labels have several columns: one class for each image is read")
        flat.append(labels.ravel())
    joined = np.concatenate(flat)
    if joined.dtype.kind not in "iubUS":
        raise DataError("the labels are neither whole numbers nor words")
    values, places = np.unique(joined, return_inverse=True)
    names = [str(v.decode() if isinstance(v, bytes) else v) for v in values.tolist()]
    if named is not None and joined.dtype.kind in "iu":
        if values.min() < 0 or values.max() >= len(named):
            raise DataError("the array 'classes' does not name every label")
        names = [str(named[v]) for v in values]
    return places.astype(np.int64).ravel(), tuple(names)


def _patients(arrays: dict[str, NDArray[Any]], n: int, hashing: Hashing) -> tuple[bytes | None, ...]:
    for name in _PATIENTS:
        one = name in arrays
        several = [arrays[f"{part}_{name}"].ravel() for part in _PARTS if f"{part}_{name}" in arrays]
        if not one and not several:
            continue
        told = arrays[name].ravel() if one else np.concatenate(several)
        if len(told) != n:
            raise DataError(f"the npz has {n} images and {len(told)} patients: one each is needed")
        return tuple(hashing(f"array {value}") for value in told.tolist())
    return (None,) * n
