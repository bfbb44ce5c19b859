"""Lines of letters in one image: thin strokes of one brightness, alike in height, side by side on one line.

No letter is read. A component of thin strokes that stands out from its surroundings may be a letter; some
of them in a row, with tops and bottoms on two straight lines, are taken for text. Tissue has thin bright and
dark structures too, but rarely several of one height on one line.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_CONTRASTS = (25.0, 45.0, 75.0)  # grey levels by which a stroke stands out: each is tried
_STROKE = 7  # pixels: a stroke is thinner, at one of the scales looked at
_LOWEST, _TALLEST = 5, 26  # height of a letter in pixels, at one of the scales
_WIDEST = 1.8  # of a letter, in heights; what is wider may be letters that touch
_WIDEST_WORD = 7.0
_LETTER = 0.75  # width of a letter that touches others, in heights
_ALIKE = 25.0  # grey levels by which the strokes of two letters of one line may differ
LETTERS = 4  # that a line needs
_FURTHEST = 1.1  # heights between two letters of one line; a space between words is wider and parts it
_STRAIGHT = 0.16  # heights by which a top or a bottom may miss the line
_MARGIN = 0.25  # heights above and below a line that are looked at
_FREE = 0.3  # share of strokes there, as a part of the share within the line
_HIGHEST = 0.4  # of the image's height
_EIGHT = np.ones((3, 3))  # neighbours of a pixel
_SCALES = (1, 2, 4)
_TINY = 48  # pixels of a side, below which a faint line may be four specks of noise: the least is not tried
_SMALLEST_SIDE = 24  # pixels of an image, below which no line of letters fits


class Box(NamedTuple):
    """A rectangle in pixels; `bottom` and `right` lie just outside it."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, by: int, shape: tuple[int, int]) -> "Box":
        """The same with `by` pixels more on each side, within an image of `shape`."""
        top, left = max(0, self.top - by), max(0, self.left - by)
        return Box(top, left, min(shape[0], self.bottom + by), min(shape[1], self.right + by))


class Line(NamedTuple):
    """Letters in a row, and how many there are."""

    box: Box
    letters: int


def text_lines(pixels: NDArray[np.uint8], *, letters: int = LETTERS) -> tuple[Line, ...]:
    """The lines of letters in one image, none of which touch.

    Parameters
    ----------
    pixels
        height x width, or height x width x 3; 0 to 255.
    letters
        How many a line needs at least.
    """
    found = list[Line]()
    for plane in _planes(pixels):
        for scale in _SCALES:
            small = _shrunk(plane, scale)
            if min(small.shape) < _SMALLEST_SIDE:
                break
            for outstanding in _outstanding(small):
                for contrast in _CONTRASTS[min(small.shape) < _TINY :]:
                    strokes = outstanding > contrast
                    lines = _lines(_letters(small, strokes), letters)
                    free = [line for line in lines if _stands_free(line.box, strokes)]
                    found += [Line(Box(*(scale * edge for edge in b)), n) for b, n in free]
    shape = (pixels.shape[0], pixels.shape[1])
    boxes = joined([line.box for line in found])
    most = [max(n for b, n in found if _within(b, box)) for box in boxes]
    return tuple(Line(box.grown(1, shape), n) for box, n in zip(boxes, most, strict=True))


def _within(a: Box, b: Box) -> bool:
    return a.top >= b.top and a.left >= b.left and a.bottom <= b.bottom and a.right <= b.right


def _planes(pixels: NDArray[np.uint8]) -> list[Floats]:
    """Brightness; of colour images also the weakest and the strongest colour, for yellow letters on white."""
    if pixels.ndim == 2:  # noqa: PLR2004
        return [pixels.astype(np.float32)]
    colours = pixels.astype(np.float32)
    return [colours.mean(axis=2), colours.min(axis=2), colours.max(axis=2)]


def _shrunk(plane: Floats, scale: int) -> Floats:
    if scale == 1:
        return plane
    height, width = (side // scale * scale for side in plane.shape)
    parts = plane[:height, :width].reshape(height // scale, scale, width // scale, scale)
    return np.asarray(parts.mean(axis=(1, 3)), dtype=np.float32)


def _outstanding(plane: Floats) -> tuple[Floats, Floats]:
    """By how much bright, and dark, structures thinner than `_STROKE` stand out."""
    bright = plane - ndimage.grey_opening(plane, size=_STROKE, mode="nearest")
    return bright, ndimage.grey_closing(plane, size=_STROKE, mode="nearest") - plane


class _Letters(NamedTuple):
    """Components that may be letters: rows of top, left, bottom, right; the grey of each; letters in each."""

    boxes: NDArray[np.int64]
    tone: Floats
    worth: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64] | Mask) -> "_Letters":
        return _Letters(self.boxes[rows], self.tone[rows], self.worth[rows])


def _letters(plane: Floats, strokes: Mask) -> _Letters:
    labels, count = ndimage.label(strokes, structure=_EIGHT) if strokes.sum() > _LOWEST else (strokes, 0)
    if not count:
        return _Letters(np.empty((0, 4), np.int64), np.empty(0, np.float32), np.empty(0, np.int64))
    places = ndimage.find_objects(labels)
    boxes = np.array([[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in places], dtype=np.int64)
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    tone = np.asarray(ndimage.mean(plane, labels, np.arange(1, count + 1)), dtype=np.float32)
    sized = (height >= _LOWEST) & (height <= _TALLEST) & (width <= _WIDEST_WORD * height)
    worth = np.ones(count, np.int64)
    for place in np.flatnonzero(sized & (width > _WIDEST * height)):
        worth[place] = _touching(labels[places[place]] == place + 1)
    return _Letters(boxes, tone, worth).at(sized & (worth > 0))


def _touching(shape: Mask) -> int:
    """How many letters a wide component may be: none unless strokes and gaps alternate along its rows."""
    height, width = shape.shape
    letters = round(width / (_LETTER * height))
    middle = shape[height // 5 : height - height // 5]
    strokes = (np.diff(middle.astype(np.int8), axis=1, prepend=0) > 0).sum(axis=1).mean()
    return letters if strokes >= letters else 0


def _lines(letters: _Letters, least: int) -> list[Line]:
    found = list[Line]()
    free = letters.at(np.argsort(letters.boxes[:, 1], kind="stable"))
    while len(free.boxes):
        taken = _row(free)
        row = free.at(np.array(taken))
        if row.worth.sum() >= least:
            box = Box(*(int(x) for x in (*row.boxes[:, :2].min(0), *row.boxes[:, 2:].max(0))))
            found.append(Line(box, int(row.worth.sum())))
        else:
            taken = [0]
        free = free.at(np.setdiff1d(np.arange(len(free.boxes)), taken))
    return found


def _row(letters: _Letters) -> list[int]:
    """The letters that stand on one line with the first, from left to right."""
    top, _, bottom, end = letters.boxes[0]
    height = bottom - top
    slack = max(1.0, _STRAIGHT * height)
    row = [0]
    for place in range(1, len(letters.boxes)):
        t, left, b, right = letters.boxes[place]
        if left - end > _FURTHEST * height:
            break
        on_line = abs(b - bottom) <= slack and left >= end - 1
        as_tall = abs(t - top) <= slack or _is_low_letter(b - t, height)
        if on_line and as_tall and abs(letters.tone[place] - letters.tone[0]) <= _ALIKE:
            row.append(place)
            end = right
    return row


def _stands_free(line: Box, strokes: Mask) -> bool:
    """Whether a line is low, with few strokes right above and below it: in noise and tissue they go on."""
    if line.bottom - line.top > _HIGHEST * len(strokes):
        return False
    margin = max(1, round(_MARGIN * (line.bottom - line.top)))
    inside = strokes[line.top : line.bottom, line.left : line.right].mean()
    above = strokes[max(0, line.top - margin) : line.top, line.left : line.right]
    below = strokes[line.bottom : line.bottom + margin, line.left : line.right]
    return all(side.mean() < _FREE * inside for side in (above, below) if side.size)


def _is_low_letter(height: int, first: int) -> bool:
    """A letter such as x beside one such as X, or the other way round."""
    low, tall = sorted((height, first))
    return 0.6 * tall <= low <= 0.8 * tall


def joined(boxes: list[Box]) -> list[Box]:
    """Boxes that touch or overlap, made one."""
    merged = list[Box]()
    for box in boxes:
        one = box
        apart = True
        while apart:
            touching = [m for m in merged if _touch(m, one)]
            merged = [m for m in merged if not _touch(m, one)]
            for m in touching:
                one = Box(
                    min(one.top, m.top),
                    min(one.left, m.left),
                    max(one.bottom, m.bottom),
                    max(one.right, m.right),
                )
            apart = bool(touching)
        merged.append(one)
    return merged


def _touch(a: Box, b: Box) -> bool:
    return a.top <= b.bottom and b.top <= a.bottom and a.left <= b.right and b.left <= a.right
