"""What a set of images has burned in: seen in single images, in their mean, and in pixels that never change.

Places are kept as shares of height and width, so that images of different sizes can be looked at together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ehrsynth.imaging.captions.letters import LETTERS, Box, joined, text_lines

Floats = NDArray[np.float64]
GRID = 256  # pixels a side, at most, on which images are compared
_FEW = LETTERS - 1  # letters that count where many images have them in one place
_MANY, _MANY_SHARE = 4, 0.05  # images that make it many
_STILL = 4.0  # grey levels: standard deviation over the images of a pixel that never changes
_ENOUGH = 8  # images without which a pixel's change says nothing
_THIN = 7  # pixels of the grid: letters and logos are thinner, a black surround is not
_CLUSTER = 12  # still, thin pixels that make a mark
_OUT = 20.0  # grey levels between a mark and what is around it


@dataclass(frozen=True, slots=True)
class Zone:
    """A rectangle as shares of height and width, 0 to 1, and what was seen there.

    `images` are the places (from 0) of the images that show it; empty where only all together show it.
    """

    top: float
    left: float
    bottom: float
    right: float
    sign: str
    images: tuple[int, ...] = ()

    def box(self, shape: tuple[int, int]) -> Box:
        """The same in pixels of one image, a pixel more on each side."""
        height, width = shape
        inside = Box(
            int(self.top * height),
            int(self.left * width),
            -int(-self.bottom * height // 1),
            -int(-self.right * width // 1),
        )
        return inside.grown(1, shape)

    @property
    def where(self) -> str:
        """In words: the corner or side it lies in."""
        middle = (self.top + self.bottom) / 2, (self.left + self.right) / 2
        tall = ("top", "middle", "bottom")[min(2, int(3 * middle[0]))]
        wide = ("left", "centre", "right")[min(2, int(3 * middle[1]))]
        return f"{tall} {wide}"


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What was found, and the pictures that show it: `mean` and `spread` of all images on the grid.

    `still` is the share of pixels, 0 to 1, that never change: a black surround is among them.
    """

    zones: tuple[Zone, ...]
    images: int
    still: float
    mean: Floats
    spread: Floats


@dataclass(slots=True)
class Looking:
    """Images are shown to it one by one; `marks` tells what they have burned in."""

    shape: tuple[int, int] | None = None
    _count: int = 0
    _sum: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    _squares: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    _weak: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    _lines: list[tuple[int, Box, tuple[int, int]]] = field(default_factory=list)

    def show(self, pixels: NDArray[np.uint8]) -> bool:
        """Look at one image (height x width, or height x width x 3, 0 to 255): whether it has letters."""
        size = (pixels.shape[0], pixels.shape[1])
        if self.shape is None:
            self.shape = (min(size[0], GRID), min(size[1], GRID))
            self._sum, self._squares, self._weak = (np.zeros(self.shape) for _ in range(3))
        weak, before = np.zeros(self.shape), len(self._lines)
        for line in text_lines(pixels, letters=_FEW):
            at = _zone(line.box, size, "").box(self.shape)
            weak[at.top : at.bottom, at.left : at.right] = 1
            if line.letters >= LETTERS:
                self._lines.append((self._count, line.box, size))
        grey = _on_grid(pixels, self.shape)
        self._sum, self._squares, self._weak = self._sum + grey, self._squares + grey**2, self._weak + weak
        self._count += 1
        return len(self._lines) > before

    def marks(self) -> Marks:
        """What the images shown so far have burned in."""
        if self.shape is None:
            return Marks((), 0, 0.0, self._sum, self._squares)
        mean = self._sum / self._count
        spread = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0.0))
        enough = self._count >= _ENOUGH
        still = (spread < _STILL) & enough
        zones = _in_images(self._lines, self._count)
        if enough:
            zones += [_zone(b, self.shape, "letters that all images share") for b in _in_mean(mean)]
            zones += [_zone(b, self.shape, "a mark that never changes") for b in _thin(still, mean)]
            often = self._weak >= max(_MANY, _MANY_SHARE * self._count)
            zones += [_zone(b, self.shape, "letters in one place of many images") for b in _parts(often)]
        return Marks(tuple(zones), self._count, float(still.mean()), mean, spread)


def _zone(box: Box, shape: tuple[int, int], sign: str, images: Iterable[int] = ()) -> Zone:
    height, width = shape
    return Zone(
        box.top / height, box.left / width, box.bottom / height, box.right / width, sign, tuple(images)
    )


def _on_grid(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> Floats:
    grey = pixels.astype(np.float64)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey  # noqa: PLR2004
    if grey.shape == shape:
        return grey
    rows = _averaging(grey.shape[0], shape[0])
    columns = _averaging(grey.shape[1], shape[1])
    return np.asarray(rows @ grey @ columns.T)


def _averaging(old: int, new: int) -> Floats:
    """The matrix (new x old) that takes means over equal stretches of `old` pixels."""
    edges = np.linspace(0, old, new + 1)
    pixel = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    overlap = np.clip(overlap, 0, None)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))


def _in_images(lines: list[tuple[int, Box, tuple[int, int]]], count: int) -> list[Zone]:
    """Lines of single images, those of one place together."""
    boxes = [Box(*(int(x) for x in _scaled(box, size))) for _, box, size in lines]
    zones = []
    for place in joined(boxes):
        own = {
            image
            for (image, _, _), b in zip(lines, boxes, strict=True)
            if b.top >= place.top
            and b.bottom <= place.bottom
            and b.left >= place.left
            and b.right <= place.right
        }
        sign = f"letters in {len(own)} of {count} images"
        zones.append(_zone(place, (_FINE, _FINE), sign, sorted(own)))
    return zones


_FINE = 10_000  # places as whole numbers, so that boxes of images of different sizes can be joined


def _scaled(box: Box, size: tuple[int, int]) -> tuple[float, ...]:
    height, width = size
    top, left = box.top * _FINE // height, box.left * _FINE // width
    return top, left, -(-box.bottom * _FINE // height), -(-box.right * _FINE // width)


def _in_mean(mean: Floats) -> tuple[Box, ...]:
    return tuple(line.box for line in text_lines(np.clip(mean, 0, 255).astype(np.uint8)))


def _thin(still: NDArray[np.bool_], mean: Floats) -> list[Box]:
    """Clusters of still pixels that are thin and stand out from what lies beside them."""
    thick = ndimage.binary_opening(np.pad(still, _THIN, mode="edge"), np.ones((_THIN, _THIN)))
    thin = still & ~thick[_THIN:-_THIN, _THIN:-_THIN]
    # A surround's rim is still and thin, too, where the picture beside it seldom differs: a mark is not.
    beside = ndimage.binary_dilation(thick[_THIN:-_THIN, _THIN:-_THIN], iterations=_THIN)
    mark = thin & ~beside | _on_still(still, mean)
    near, _ = ndimage.label(ndimage.binary_dilation(mark, iterations=2))
    found = []
    for place, at in enumerate(ndimage.find_objects(near), start=1):
        own = mark[at] & (near[at] == place)
        if own.sum() >= _CLUSTER and _stands_out(mean[at], own):
            found.append(Box(at[0].start, at[1].start, at[0].stop, at[1].stop))
    return found


def _on_still(still: NDArray[np.bool_], mean: Floats) -> NDArray[np.bool_]:
    """A logo or letters on a surround: nothing changes there, and yet it is not even."""
    range_ = ndimage.maximum_filter(mean, 3) - ndimage.minimum_filter(mean, 3)
    inner = ndimage.binary_erosion(still, np.ones((3, 3)), iterations=3, border_value=1)
    return np.asarray(inner & (range_ > _OUT))


def _stands_out(mean: Floats, own: NDArray[np.bool_]) -> bool:
    return bool(np.ptp(mean) >= _OUT) and bool(
        own.all() or abs(float(mean[own].mean() - mean[~own].mean())) >= _OUT / 4
    )


def _parts(mask: NDArray[np.bool_]) -> list[Box]:
    labels, _ = ndimage.label(mask)
    return [Box(s[0].start, s[1].start, s[0].stop, s[1].stop) for s in ndimage.find_objects(labels)]
