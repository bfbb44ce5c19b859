"""PNG, JPEG, BMP and TIFF: pixels alone leave this module, whatever else the file holds."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ehrsynth.imaging.reading.frames import Frame, Raw, Unusable
from ehrsynth.imaging.synthetic import ORIGIN

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_DEEPEST = 65_535
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, MemoryError, OverflowError, TypeError, IndexError)
_TECHNICAL = {"dpi", "gamma", "srgb", "compression", "jfif", "jfif_version", "jfif_unit", "jfif_density"}
_TECHNICAL |= {
    "progressive",
    "progression",
    "interlace",
    "resolution",
    "transparency",
    "adobe",
    "adobe_transform",
}
_NAMED = {
    "exif": "EXIF",
    "xmp": "XMP",
    "icc_profile": "colour profile",
    "comment": "comment",
    "photoshop": "IPTC",
}
_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262  # the TIFF tag that says which end of the scale is white


def decode(path: Path) -> Frame:
    """Decode one file.

    Raises
    ------
    Unusable
        If it is damaged, of another format, animated, too large, or of several pages.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as picture:
                return _frame(picture)
    except UnidentifiedImageError as error:
        message = "it is no PNG, JPEG, BMP or TIFF, whatever its name says"
        raise Unusable(message) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = "it has more pixels than any medical picture: it may be made to exhaust memory"
        raise Unusable(message) from error
    except _BROKEN as error:
        message = "it is damaged and cannot be decoded"
        raise Unusable(message) from error


def _frame(picture: Image.Image) -> Frame:
    if getattr(picture, "n_frames", 1) > 1:
        message = "it holds several pages or frames: save each as a file"
        raise Unusable(message)
    if picture.info.get("Comment") == ORIGIN:
        message = "it is marked as synthetic: nothing is learnt from it, and it judges nothing"
        raise Unusable(message)
    dropped = _metadata(picture)
    inverted = _white_is_zero(picture)
    picture.load()
    # The one tag that decoding needs: which side is up.
    upright = ImageOps.exif_transpose(picture)
    pixels = _pixels(picture if upright is None else upright)
    remark = ""
    if inverted and pixels.dtype == np.uint16:
        # Pillow turns 8-bit pictures of this kind round itself, and leaves 16-bit ones as they are.
        pixels, remark = (pixels.max() - pixels).astype(np.uint16), "greys stored inverted were turned round"
    return Frame(pixels, dropped, remark)


def _metadata(picture: Image.Image) -> tuple[str, ...]:
    kinds = {
        _NAMED.get(str(key).lower(), "text") for key in picture.info if str(key).lower() not in _TECHNICAL
    }
    if len(picture.getexif()) and picture.format != "TIFF":
        kinds.add("EXIF")
    return tuple(sorted(kinds))


def _white_is_zero(picture: Image.Image) -> bool:
    tags = getattr(picture, "tag_v2", None)
    return tags is not None and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _pixels(picture: Image.Image) -> Raw:
    if picture.mode in _DEEP:
        return _deep(np.asarray(picture))
    if picture.mode == "F":
        message = "its pixels are fractions, whose scale is not known: save it with 8 or 16 bits"
        raise Unusable(message)
    grey = picture.mode in {"1", "L", "LA"}
    shown = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.uint8)
    return shown if grey else _grey_if_grey(shown)


def _deep(values: NDArray[np.generic]) -> NDArray[np.uint16]:
    whole = values.astype(np.int64)
    if whole.min() < 0 or whole.max() > _DEEPEST:
        message = "its greys are not within 16 bits"
        raise Unusable(message)
    return whole.astype(np.uint16)


def _grey_if_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture that was stored as colour."""
    same = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    return pixels[..., 0] if same.all() else pixels
