"""Pictures for the report as PNG in text: real, reconstructed and drawn images, and a rater's page."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ehrsynth.imaging.captions.across import Marks
from ehrsynth.imaging.image_set import Pixels
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.study.frozen import Split
from ehrsynth.imaging.turing.answers import answers_needed
from ehrsynth.imaging.turing.page import FEWEST, turing_page
from ehrsynth.randomness import numpy_generator

_SHOWN = 8
_RATED = 40  # images of each kind that a rater sees
_GAP = 2
_SHORTEST = 96  # pixels a side that a single image is shown at, at least


def png(picture: NDArray[np.uint8]) -> str:
    """A picture (height x width, or x 3) as base64 of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def grid(rows: list[Pixels]) -> NDArray[np.uint8]:
    """Rows of images on white, as one colour picture."""
    side = max(rows[0].shape[1], _SHORTEST)
    lines = []
    for row in rows:
        blank = [np.full((side, side, 3), 255, np.uint8)] * (_SHOWN - len(row))
        images = [*(_enlarged(image, side) for image in row[:_SHOWN]), *blank]
        spaced = [np.pad(i, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for i in images]
        lines.append(np.hstack(spaced))
    return np.vstack(lines)


def _enlarged(image: Pixels, side: int) -> NDArray[np.uint8]:
    plain = image[..., 0] if image.shape[2] == 1 else image
    picture = Image.fromarray(plain).convert("RGB")
    if picture.size[0] < side:
        picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture)


ROWS = ("real", "reconstructed", "interpolated, no detail", "interpolated as in the study", "from the prior")


def pictures(split: Split) -> dict[str, str]:
    """Class to a grid with the rows of `ROWS`."""
    images, found = split.fold.train.images, dict[str, str]()
    for label, name in enumerate(images.classes):
        own = images.of_class(label).pixels[:_SHOWN]
        rows = [own, split.model.reconstruct(own, label)]
        ways = (Sampling(detail=0.0), split.plan.sampling(split.settings.mix), Sampling(way="prior"))
        rows += [split.model.sample({label: len(own)}, how, seed=split.seed).pixels for how in ways]
        found[name] = png(grid(rows))
    return found


def closest_pairs(split: Split, pairs: Sequence[Sequence[float]]) -> str:
    """Synthetic images over the training images that they are most alike to."""
    made = split.material.synthetic(
        split.model, split.plan.sampling(split.settings.mix), split.per_class
    ).images.pixels
    first, second = [int(p[0]) for p in pairs[:_SHOWN]], [int(p[1]) for p in pairs[:_SHOWN]]
    return png(grid([made[first], split.fold.train.images.pixels[second]]))


def turing(split: Split) -> dict[str, Any] | None:
    """A page for raters with held-out real and synthetic images of the minority, and its key."""
    judges, rng = split.fold.test.images, numpy_generator(split.seed, "turing", "chosen")
    made = split.material.synthetic(
        split.model, split.plan.sampling(split.settings.mix), split.per_class
    ).images
    own = np.flatnonzero(np.isin(judges.labels, split.minority))
    drawn = np.flatnonzero(np.isin(made.labels, split.minority))
    count = min(_RATED, len(own), len(drawn))
    if count < FEWEST:
        return None
    page, key = turing_page(
        judges.pixels[rng.permutation(own)[:count]],
        made.pixels[rng.permutation(drawn)[:count]],
        title=", ".join(judges.classes[label] for label in split.minority),
        needed=answers_needed(),
        seed=split.seed,
    )
    return {"page": page, "key": key.as_json()}


def marks_picture(marks: Marks, examples: tuple[Pixels, ...]) -> NDArray[np.uint8]:
    """What the door found, framed in red: the mean of all images, how each pixel changes, and examples."""
    spread = np.clip(4 * marks.spread, 0, 255).astype(np.uint8)
    shown = [np.clip(marks.mean, 0, 255).astype(np.uint8), spread, *examples[:6]]
    framed = [_framed(picture, marks) for picture in shown]
    side = 320
    tiles = [np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.BICUBIC)) for p in framed]
    while len(tiles) % 4:
        tiles.append(np.full((side, side, 3), 255, np.uint8))
    return np.vstack([np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)])


def _framed(picture: NDArray[np.uint8], marks: Marks) -> NDArray[np.uint8]:
    made = np.array(Image.fromarray(picture).convert("RGB"))
    for zone in marks.zones:
        box = zone.box((made.shape[0], made.shape[1])).grown(1, (made.shape[0], made.shape[1]))
        made[[box.top, box.bottom - 1], box.left : box.right] = (230, 40, 20)
        made[box.top : box.bottom, [box.left, box.right - 1]] = (230, 40, 20)
    return made
