"""Covering marks: the same places in every image, so that a cover tells nothing of a class.

A place is filled with the colour of what lies around it in the same image.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import Refused
from ehrsynth.imaging.captions.across import Zone
from ehrsynth.imaging.captions.letters import Box

_MOST = 0.35  # share of an image that may be covered
_RING = 3  # pixels around a place whose colour fills it


def masked(pixels: NDArray[np.uint8], zones: Sequence[Zone]) -> NDArray[np.uint8]:
    """An image with all zones covered.

    Raises
    ------
    Refused
        If the zones cover so much that little of the picture is left.
    """
    if not zones:
        return pixels
    shape = (pixels.shape[0], pixels.shape[1])
    boxes = [zone.box(shape).grown(max(1, min(shape) // 100), shape) for zone in zones]
    cover = np.zeros(shape, np.bool_)
    for box in boxes:
        cover[box.top : box.bottom, box.left : box.right] = True
    if cover.mean() > _MOST:
        raise Refused(
            f"text was found in so many places that masking would cover {cover.mean():.0%} of each image: "
            "crop the images before they come in"
        )
    made = pixels.copy()
    for box in boxes:
        made[box.top : box.bottom, box.left : box.right] = _around(pixels, box, cover)
    return made


def _around(pixels: NDArray[np.uint8], box: Box, cover: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The median colour of what is near a place and not covered itself; black where all is covered."""
    wide = box.grown(_RING, (pixels.shape[0], pixels.shape[1]))
    near = pixels[wide.top : wide.bottom, wide.left : wide.right]
    free = near[~cover[wide.top : wide.bottom, wide.left : wide.right]]
    colour = np.median(free, axis=0) if len(free) else np.zeros(pixels.shape[2:])
    return np.asarray(colour, dtype=np.uint8)
