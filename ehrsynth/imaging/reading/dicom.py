"""DICOM through an allow-list: what decoding and ordering need is copied out, everything else stays behind.

A file that says that text or a face is in its pixels, or that it is a capture of a screen, is refused unless
text is masked: such captures carry the patient's name as a rule (DICOM PS3.15, Annex E, "Clean Pixel Data").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import MissingPackage
from ehrsynth.imaging.reading.frames import Frame, Hashing, Unusable

ENDINGS = (".dcm", ".dicom", ".ima")
_COLOURS = ("Red", "Green", "Blue")
_PIXELS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    *(f"{colour}PaletteColorLookupTable{what}" for colour in _COLOURS for what in ("Descriptor", "Data")),
)
_ORDERING = ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber")
_SCREEN_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
_TAILS = (0.5, 99.5)  # percentiles taken for black and white where the file names no window
_INVERTED = "MONOCHROME1"


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a file before it is decoded: which series, where in it, whose."""

    series: str
    position: float | None
    number: int
    frames: int
    patient: bytes | None


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise MissingPackage("reading DICOM", "imaging") from error
    return pydicom


def read_header(path: Path, hashing: Hashing) -> Header:
    """Where a file belongs; the patient's id leaves as a keyed hash.

    Raises
    ------
    Unusable
        If it is no DICOM file.
    """
    wanted = [*_ORDERING, "PatientID", "NumberOfFrames"]
    try:
        found = _pydicom().dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        position = _position(found)
        frames = int(found.get("NumberOfFrames") or 1)
        number = int(found.get("InstanceNumber") or 0)
        series, patient = str(found.get("SeriesInstanceUID", "")), str(found.get("PatientID") or "").strip()
    except MissingPackage:
        raise
    except Exception as error:  # a parser of a hostile format raises whatever it meets
        message = "it is no DICOM file, or a damaged one"
        raise Unusable(message) from error
    hashed = hashing(f"dicom {patient}") if patient else None
    return Header(series, position, number, frames, hashed)


def _position(found: Any) -> float | None:
    """The place of a slice along the normal of its plane, in millimetres."""
    place, plane = found.get("ImagePositionPatient"), found.get("ImageOrientationPatient")
    if not place or not plane:
        return None
    sides = np.array(plane, dtype=np.float64).reshape(2, 3)
    return float(np.cross(*sides) @ np.array(place, dtype=np.float64))


def decode(path: Path, *, fraction: float = 0.5, masked: bool = False) -> Frame:
    """Decode one file; of several frames the one at `fraction` of the way.

    Parameters
    ----------
    masked
        Whether text found in the pixels is masked, without which captures of a screen are refused.

    Raises
    ------
    Unusable
        If it is damaged, compressed in a way that no installed package reads, or may hold text or a face.
    """
    pydicom = _pydicom()
    try:
        whole = pydicom.dcmread(path)
    except Exception as error:
        message = "it is no DICOM file, or a damaged one"
        raise Unusable(message) from error
    _refuse_what_shows_a_person(whole, masked=masked)
    kept = pydicom.Dataset()
    for name in _PIXELS:
        if name in whole:
            kept[name] = whole[name]
    kept.file_meta = pydicom.dataset.FileMetaDataset()
    syntax = getattr(
        getattr(whole, "file_meta", None), "TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian
    )
    kept.file_meta.TransferSyntaxUID = syntax
    declared = _declares_text(whole)
    return Frame(_pixels(kept, fraction), _dropped(whole, kept), _remark(kept), declares_text=declared)


def _refuse_what_shows_a_person(whole: Any, *, masked: bool) -> None:
    if str(whole.get("RecognizableVisualFeatures", "")).upper() == "YES":
        message = "its header says that a face can be recognised in it"
        raise Unusable(message)
    if masked:
        return
    if _declares_text(whole):
        message = "its header says that text is burned into its pixels: mask it (--text mask)"
        raise Unusable(message)
    kind = str(whole.get("SOPClassUID", ""))
    # Not ...1.1.77 and on: these are endoscopes, microscopes and cameras.
    if kind == _SCREEN_CAPTURES or kind.startswith(_SCREEN_CAPTURES + "."):
        message = "it is a capture of a screen, which carries text as a rule: mask it (--text mask)"
        raise Unusable(message)


def _declares_text(whole: Any) -> bool:
    return str(whole.get("BurnedInAnnotation", "")).upper() == "YES"


def _dropped(whole: Any, kept: Any) -> tuple[str, ...]:
    left = [element for element in whole if element.tag not in kept]
    kinds = {"private tags"} if any(element.tag.is_private for element in left) else set()
    if any(not element.tag.is_private for element in left):
        kinds.add("DICOM tags outside the allow-list")
    return tuple(sorted(kinds))


def _remark(kept: Any) -> str:
    if kept.get("PhotometricInterpretation") == _INVERTED:
        return "greys stored inverted (MONOCHROME1) were turned round"
    bits = int(kept.get("BitsStored") or 8)
    if int(kept.get("SamplesPerPixel") or 1) > 1 and bits != 8:  # noqa: PLR2004
        return f"colours of {bits} bits, as their headers declare, were spread over 8"
    return ""


def _pixels(kept: Any, fraction: float) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut, apply_rescale, apply_voi_lut

    try:
        values = np.asarray(kept.pixel_array)
        values = _one_frame(values, kept, fraction)
        kind = str(kept.PhotometricInterpretation)
        if kind == "PALETTE COLOR":
            return _eight_bits(np.asarray(apply_color_lut(values, kept)))
        if int(kept.get("SamplesPerPixel", 1)) > 1:
            # Whatever the file stores, YBR too, is red, green and blue by now.
            return _eight_bits(values, int(kept.BitsStored))
        greys = np.asarray(apply_rescale(values, kept), dtype=np.float64)
        if kept.get("WindowWidth") is not None:
            greys = np.asarray(apply_voi_lut(greys, kept), dtype=np.float64)
            shown = _spread(greys, float(greys.min()), float(greys.max()))
        else:
            shown = _spread(greys, *np.percentile(greys, _TAILS))
    except Exception as error:
        message = (
            "its pixels cannot be decoded: damaged, or compressed in a way that no installed package reads"
        )
        raise Unusable(message) from error
    return (255 - shown).astype(np.uint8) if kind == _INVERTED else shown


def _one_frame(values: NDArray[Any], kept: Any, fraction: float) -> NDArray[Any]:
    frames = int(kept.get("NumberOfFrames") or 1)
    return values if frames == 1 else values[min(frames - 1, int(fraction * frames))]


def _eight_bits(values: NDArray[Any], bits: int | None = None) -> NDArray[np.uint8]:
    """Eight bits from as many as are declared; 12 are stored in 16, and would come out nearly black."""
    whole = 8 * values.dtype.itemsize
    bits = whole if bits is None else min(bits, whole)
    if bits == 8:  # noqa: PLR2004
        return np.asarray(values, dtype=np.uint8)
    return np.asarray(np.clip(values / (2.0**bits - 1), 0, 1) * 255, dtype=np.uint8)


def _spread(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    return np.asarray(255 * np.clip((values - low) / max(high - low, 1e-9), 0, 1), dtype=np.uint8)
