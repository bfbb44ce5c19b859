"""Images that are nearly the same, so that they are never told apart by a split.

An image is described by its fine structure on a small grid: shading is taken off, and what is left is bent so
that a bright spot weighs no more than tissue. A black surround takes no part: endoscopes and scanners give
every patient the same. Two images are nearly the same when these descriptions correlate strongly.
Re-encoding, resizing and another brightness change little; another patient's image of the same kind, taken in
the same position, correlates less.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, sparse

from ehrsynth.imaging.image_set import Pixels, Whole

Floats = NDArray[np.float32]
GRID = 24
NEARLY_THE_SAME = 0.94  # correlation, measured: see reports/imaging
_SHADING = 3.0  # standard deviation of the blur that is taken off, in pixels of the grid
_BLACK = 20  # grey level below which what is joined with the edge is a surround
_FLAT = 1e-3  # grey levels of structure below which an image has none
_WHOLE = 0.999  # share of a cell of the grid that shows the picture
_BLOCK = 1_000


def describe(pixels: Pixels) -> Floats:
    """Fine structure: images (n x height x width x channels) to n x 576 of length 1.

    The product of two is the correlation of two images, -1 to 1. An image without structure is all 0.
    """
    made = np.zeros((len(pixels), GRID * GRID), np.float32)
    for place, image in enumerate(pixels):
        made[place] = _structure(image.astype(np.float32).mean(axis=2))
    return made


def _structure(grey: NDArray[np.float32]) -> Floats:
    small, inside = _small(grey), _inside(grey)
    # The surround takes no part in the shading either, or its edge would be structure.
    shading = _smooth(small * inside) / np.maximum(_smooth(inside), _FLAT)
    fine = (small - shading) * inside
    typical = float(np.median(np.abs(fine[inside > 0])))
    if float(np.abs(fine).max()) < _FLAT:
        return np.zeros(GRID * GRID, np.float32)
    bent = np.tanh(fine / (typical + _FLAT))
    bent = ((bent - bent[inside > 0].mean()) * inside).ravel()
    return np.asarray(bent / max(float(np.linalg.norm(bent)), 1e-6), dtype=np.float32)


def _small(grey: Floats) -> Floats:
    shrinks = min(grey.shape) >= 2 * GRID
    way = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(grey).resize((GRID, GRID), way), dtype=np.float32)


def _smooth(small: Floats) -> Floats:
    return np.asarray(ndimage.gaussian_filter(small, _SHADING, mode="nearest"), dtype=np.float32)


def _inside(grey: Floats) -> Floats:
    """1 where the grid shows the picture, 0 in its black surround and right beside it."""
    dark = np.pad(grey < _BLACK, 1, constant_values=True)
    parts, _ = ndimage.label(dark)
    shown = (parts != parts[0, 0])[1:-1, 1:-1].astype(np.float32)
    if shown.all():
        return np.ones((GRID, GRID), np.float32)
    whole = ndimage.binary_erosion(_small(shown) > _WHOLE, border_value=1)
    # Of a picture that is nearly all black there is nothing else to go by.
    return np.asarray(whole if whole.sum() >= GRID else np.ones_like(whole), dtype=np.float32)


def similar_pairs(described: Floats, *, least: float = NEARLY_THE_SAME) -> Whole:
    """Pairs of images (m x 2, the first before the second) that correlate by `least` or more."""
    found = []
    for start in range(0, len(described), _BLOCK):
        alike = described[start : start + _BLOCK] @ described.T >= least
        first, second = np.nonzero(alike)
        found.append(np.stack([first + start, second], axis=1)[first + start < second])
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def grouped(patients: Sequence[int] | Whole, pairs: Whole) -> Whole:
    """Patients whose images are nearly the same, made one: n group numbers from 0."""
    own = np.unique(np.asarray(patients), return_inverse=True)[1].ravel()
    count = int(own.max(initial=-1)) + 1
    links = sparse.coo_matrix(
        (np.ones(len(pairs)), (own[pairs[:, 0]], own[pairs[:, 1]])), shape=(count, count)
    )
    groups = sparse.csgraph.connected_components(links, directed=False)[1]
    return np.asarray(groups[own], dtype=np.int64)
