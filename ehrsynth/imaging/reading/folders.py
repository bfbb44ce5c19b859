"""A folder for each class, with pictures, DICOM files or series, or NIfTI volumes in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import DataError
from ehrsynth.imaging.reading import dicom, nifti, raster
from ehrsynth.imaging.reading.frames import Frame, Hashing, Unusable, few
from ehrsynth.imaging.reading.patients import from_list, from_pattern

_KINDS = "PNG, JPEG, BMP, TIFF, DICOM, NIfTI"
_CENTRAL = (0.3, 0.7)  # of a volume: where several slices are cut


@dataclass(frozen=True, slots=True)
class _Item:
    """One picture to be read: a file, and where in it or in its series."""

    path: Path
    label: int
    ordinal: int
    fraction: float
    patient: bytes | None


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The pictures of a folder; see `frames.Source`."""

    classes: tuple[str, ...]
    items: tuple[_Item, ...]
    remarks: tuple[str, ...]
    masked: bool

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each picture."""
        return np.array([item.label for item in self.items], dtype=np.int64)

    @property
    def patients(self) -> tuple[bytes | None, ...]:
        """Keyed hashes of the patients, where they are known."""
        return tuple(item.patient for item in self.items)

    @property
    def external(self) -> NDArray[np.bool_]:
        """None is set aside."""
        return np.zeros(len(self.items), np.bool_)

    @property
    def alone(self) -> bool:
        """Each file is scaled by what it holds itself; 16-bit greys are left as they are."""
        return True

    def place(self, number: int) -> str:
        """The ordinal of a file within its class, in the order of names."""
        item = self.items[number]
        return f"file {item.ordinal} of class {self.classes[item.label]!r} (in the order of names)"

    def frame(self, number: int) -> Frame:
        """Decode one picture."""
        item = self.items[number]
        name = item.path.name.lower()
        if name.endswith(nifti.ENDINGS):
            return nifti.decode(item.path, fraction=item.fraction)
        if name.endswith(raster.ENDINGS):
            return raster.decode(item.path)
        return dicom.decode(item.path, fraction=item.fraction, masked=self.masked)


@dataclass(frozen=True, slots=True)
class Listing:
    """How a folder is listed: where patients are told, and how many slices of a volume are taken."""

    hashing: Hashing
    patients: Path | None = None
    pattern: str | None = None
    slices: int = 1
    masked: bool = False


def list_folder(folder: Path, listing: Listing) -> FolderSource:
    """The pictures of a folder that has a folder for each class.

    Raises
    ------
    DataError
        If there are no class folders, one of several holds no picture, or files cannot be read; lists them by
        ordinal.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    found: list[_Item] = []
    remarks, broken = list[str](), list[str]()
    others, classes, bare = 0, list[str](), list[str]()
    for name in names:
        files, left = _files(folder / name)
        others += left
        if not files:
            bare.append(f"folder {name!r} holds {left} files of other kinds")
        else:
            classes.append(name)
            found += _of_class(folder / name, files, len(classes) - 1, listing, broken=broken)
    if broken:
        raise DataError(f"{len(broken)} files cannot be used", few(broken))
    if not classes:
        raise DataError(f"the folder has no class folders with pictures ({_KINDS}) in it")
    if bare:
        # Left out in silence, the class that the study is about could be the one that is missing.
        raise DataError(
            f"{len(bare)} of {len(names)} class folders hold no picture ({_KINDS}), and their classes would "
            "be missing: save the pictures in one of these kinds, or move the folders elsewhere",
            few(bare),
        )
    if others:
        remarks.append(f"{others} files of other kinds were left out")
    return FolderSource(tuple(classes), tuple(_told(found, folder, listing)), tuple(remarks), listing.masked)


def _files(folder: Path) -> tuple[list[Path], int]:
    known, others = list[Path](), 0
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file():
            continue
        if path.name.lower().endswith((*raster.ENDINGS, *nifti.ENDINGS, *dicom.ENDINGS)) or _is_dicom(path):
            known.append(path)
        else:
            others += 1
    return known, others


def _is_dicom(path: Path) -> bool:
    """DICOM files often have no ending; they say what they are after 128 bytes."""
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _of_class(
    folder: Path, files: list[Path], label: int, listing: Listing, *, broken: list[str]
) -> Iterator[_Item]:
    series: dict[str, list[tuple[dicom.Header, Path, int]]] = {}
    for ordinal, path in enumerate(files, start=1):
        inner = path.relative_to(folder).parts[:-1]
        own = listing.hashing("folder " + inner[0]) if inner else None
        name = path.name.lower()
        if name.endswith(raster.ENDINGS):
            yield _Item(path, label, ordinal, 0.5, own)
        elif name.endswith(nifti.ENDINGS):
            yield from (_Item(path, label, ordinal, f, own) for f in _fractions(listing.slices))
        else:
            try:
                header = dicom.read_header(path, listing.hashing)
            except Unusable as error:
                broken.append(f"file {ordinal} of class {folder.name!r} (in the order of names): {error}")
                continue
            known = header if header.patient else dicom.Header(*_fields(header), own)
            series.setdefault(header.series or str(ordinal), []).append((known, path, ordinal))
    for members in series.values():
        if _is_volume(members) and len({header.patient for header, _, _ in members}) > 1:
            broken += [
                f"file {ordinal} of class {folder.name!r} (in the order of names): its series holds slices "
                "of several patients, and would be cut as one volume: give each patient a series"
                for _, _, ordinal in members
            ]
            continue
        yield from _of_series(members, label, listing.slices)


def _fields(header: dicom.Header) -> tuple[str, float | None, int, int]:
    return header.series, header.position, header.number, header.frames


Members = list[tuple[dicom.Header, Path, int]]


def _is_volume(members: Members) -> bool:
    """Whether the files of a series are slices, each with a place of its own."""
    placed = {header.position for header, _, _ in members}
    return len(members) > 1 and None not in placed and len(placed) == len(members)


def _of_series(members: Members, label: int, slices: int) -> Iterator[_Item]:
    """Slices of one volume give `slices` pictures from its middle; pictures of one study give all of them."""
    if len(members) == 1:
        header, path, ordinal = members[0]
        cuts = _fractions(slices) if header.frames > 1 else (0.5,)
        yield from (_Item(path, label, ordinal, f, header.patient) for f in cuts)
    elif not _is_volume(members):
        yield from (_Item(path, label, ordinal, 0.5, header.patient) for header, path, ordinal in members)
    else:
        ordered = sorted(members, key=lambda member: member[0].position or 0.0)
        for f in _fractions(slices):
            header, path, ordinal = ordered[min(len(ordered) - 1, int(f * len(ordered)))]
            yield _Item(path, label, ordinal, f, header.patient)


def _fractions(slices: int) -> tuple[float, ...]:
    return (0.5,) if slices == 1 else tuple(float(f) for f in np.linspace(*_CENTRAL, slices))


def _told(items: list[_Item], folder: Path, listing: Listing) -> list[_Item]:
    """The items with their patients as the user told them, where the user did."""
    files = [item.path.relative_to(folder).as_posix() for item in items]
    if listing.patients is not None:
        told: tuple[bytes, ...] = from_list(listing.patients, files, listing.hashing)
    elif listing.pattern is not None:
        # Without the class: a patient with images of two classes is one patient.
        told = from_pattern(listing.pattern, [file.partition("/")[2] for file in files], listing.hashing)
    else:
        return items
    return [_Item(i.path, i.label, i.ordinal, i.fraction, p) for i, p in zip(items, told, strict=True)]
