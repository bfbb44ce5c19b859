"""NIfTI: voxels and their grid alone; free-text fields and extensions stay behind.

Slices are cut across the long axis of the body, so that no face can be rebuilt from what is kept.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import MissingPackage
from ehrsynth.imaging.reading.frames import Frame, Unusable

ENDINGS = (".nii", ".nii.gz")
_FREE_TEXT = ("descrip", "aux_file", "db_name", "intent_name")
_TAILS = (0.5, 99.5)  # percentiles of the volume taken for black and white
_DIMENSIONS = 3


def decode(path: Path, *, fraction: float = 0.5) -> Frame:
    """One axial slice, `fraction` of the way from the feet to the head.

    Raises
    ------
    Unusable
        If the file is damaged, has no greys, or is no picture or volume.
    """
    try:
        import nibabel
    except ImportError as error:
        raise MissingPackage("reading NIfTI", "imaging") from error
    upright: Any = nibabel.as_closest_canonical
    try:
        image: Any = nibabel.load(path)
        dropped = _dropped(image.header)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            volume = np.asarray(upright(image).dataobj, dtype=np.float64)
    except Exception as error:  # a parser of a foreign format raises whatever it meets
        message = "it is no NIfTI file, or a damaged one"
        raise Unusable(message) from error
    return Frame(_slice(volume, fraction), dropped)


def _dropped(header: Any) -> tuple[str, ...]:
    texts = [
        bytes(np.asarray(header[name]).tobytes()).strip(b"\x00 ") for name in _FREE_TEXT if name in header
    ]
    kinds = {"NIfTI free text"} if any(texts) else set()
    if len(getattr(header, "extensions", ())):
        kinds.add("NIfTI extensions")
    return tuple(sorted(kinds))


def _slice(volume: NDArray[np.float64], fraction: float) -> NDArray[np.uint8]:
    while volume.ndim > _DIMENSIONS:  # of a series in time the first volume
        volume = volume[..., 0]
    if volume.ndim < 2 or not np.isfinite(volume).any():  # noqa: PLR2004
        message = "it holds no picture"
        raise Unusable(message)
    low, high = np.nanpercentile(volume, _TAILS)
    if not high > low:
        message = "all its voxels are alike"
        raise Unusable(message)
    if volume.ndim == _DIMENSIONS:
        depth = volume.shape[2]
        volume = volume[:, :, min(depth - 1, int(fraction * depth))]
    shown = 255 * np.clip((np.nan_to_num(volume, nan=low) - low) / (high - low), 0, 1)
    # First axis runs to the right, second to the front: turned so that the front is up.
    return np.asarray(np.rot90(shown), dtype=np.uint8)
