"""Is a synthetic image a copy of a training image? A gate with a control, that first shows that it can see.

Each image is compared with every training image in pixels (fine structure, turned and mirrored every way
that a copy may have been) and in frozen features. Held-out images of other patients, compared in the same
way, say how alike two patients' images are; what is more alike is a copy. Copies of several kinds are
planted to show which the gate finds here: where it does not find them, its answer is "not measurable", and
no pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ehrsynth.errors import NotEnoughData
from ehrsynth.imaging.features import directions, features, resized, to_pixels, to_tensor
from ehrsynth.imaging.image_set import Pixels
from ehrsynth.imaging.transforms import turned
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import Estimate, clopper_pearson

Floats = NDArray[np.float32]
FALSE_ALARMS = 0.01  # of held-out images
FOUND = 0.95  # of planted copies, without which the gate cannot see
PLANTED = 100
CLOSEST = 12  # pairs that are kept to be looked at
FEWEST = 20  # held-out images without which there is no control
_GRID = 24
_WORK = 48  # side at which images are turned before they are brought to the grid
_RADIUS = 0.46  # of the disc, in sides
_SHADING = 3.0
_DEGREES = tuple(2.5 * step for step in range(-5, 6))
_BATCH = 256
_FLAT = 1e-3


def structure(images: Tensor) -> Tensor:
    """Fine structure in the inscribed disc, which a turn leaves whole: n x 576 numbers of length 1.

    Shading is taken off and what is left is bent, as in `ehrsynth.imaging.duplicates`: light hardly matters.
    """
    grey, inside = resized(images.mean(dim=1, keepdim=True), _GRID), _disc().reshape(1, 1, _GRID, _GRID)
    # The corners, which a turn fills with black or anything else, take no part in the shading either.
    fine = (grey - _smooth(grey * inside) / _smooth(inside).clamp_min(_FLAT)).flatten(1) * _disc()
    typical = fine.abs().sum(dim=1, keepdim=True) / _disc().sum()
    bent = torch.tanh(fine / (0.7 * typical + _FLAT)) * _disc()
    return functional.normalize(bent, dim=1)


def _disc() -> Tensor:
    places = torch.arange(_GRID) - (_GRID - 1) / 2
    inside = (places[:, None] ** 2 + places[None, :] ** 2) <= (_RADIUS * _GRID) ** 2
    return inside.flatten().float()


def _smooth(grey: Tensor) -> Tensor:
    reach = 9
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    bell = torch.exp(-0.5 * (places / _SHADING) ** 2)
    bell = bell / bell.sum()
    padded = functional.pad(grey, (reach,) * 4)
    return functional.conv2d(functional.conv2d(padded, bell.reshape(1, 1, 1, -1)), bell.reshape(1, 1, -1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Originals:
    """Training images as the gate sees them."""

    structures: Tensor
    directions: Floats
    side: int

    @classmethod
    def of(cls, pixels: Pixels, *, side: int) -> "Originals":
        """From pixels; `side` is that at which features are taken."""
        return cls(structure(to_tensor(pixels)), directions(features(pixels, side=side)), side)


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """How alike each image is to the training image it is most alike to, and which that is.

    `pixels` and `features` are correlations and cosines, at most 1; `nearest` is a place among the originals.
    """

    pixels: Floats
    features: Floats
    nearest: NDArray[np.int64]


def compare(originals: Originals, pixels: Pixels) -> Alike:
    """Compare images with every original, each turned and mirrored in 44 ways."""
    best, nearest = np.full(len(pixels), -1.0, np.float32), np.zeros(len(pixels), np.int64)
    for start in range(0, len(pixels), _BATCH):
        batch = resized(to_tensor(pixels[start : start + _BATCH]), _WORK)
        part = slice(start, start + len(batch))
        for upside_down in (False, True):
            for mirrored in (False, True):
                for degrees in _DEGREES:
                    image = batch.flip(2) if upside_down else batch
                    found = structure(turned(image, degrees, mirrored=mirrored)) @ originals.structures.T
                    value, place = found.max(dim=1)
                    higher = value.numpy() > best[part]
                    nearest[part] = np.where(higher, place.numpy(), nearest[part])
                    best[part] = np.maximum(best[part], value.numpy())
    seen = directions(features(pixels, side=originals.side)) @ originals.directions.T
    return Alike(best, seen.max(axis=1), nearest)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is a copy: more alike than `pixels` or `features`, set by held-out images of other patients."""

    pixels: float
    features: float

    @classmethod
    def of(cls, control: Alike) -> "Limits":
        """So that either alone is passed by a quarter of the false alarms that are allowed.

        Half would do on average over many sets of images; a hospital has one. Of fewer than 400 held-out
        images the most alike is the limit, and false alarms are then about two in as many.
        """
        return cls(_limit(control.pixels), _limit(control.features))

    def passed(self, alike: Alike) -> NDArray[np.bool_]:
        """Which images are copies."""
        return (alike.pixels > self.pixels) | (alike.features > self.features)


def _limit(control: Floats) -> float:
    highest = float(np.quantile(control, 1 - FALSE_ALARMS / 4, method="higher"))
    # A few held-out images do not show how alike the most alike of many are: a third of the way to 1 is kept.
    return highest + (1 - highest) / 3 if len(control) < 1 / FALSE_ALARMS else highest


@dataclass(frozen=True, slots=True)
class Memorisation:
    """The answer of the gate.

    `copied` is the share of synthetic images that are copies with its exact 95 % interval; `false_alarms` the
    same for held-out images that did not set the limits; `planted` kind of copy to the share found, `by_kind`
    the share of copies among other synthetic images. `passed` is None where the gate cannot see (`reason`).
    `closest` are the most alike: place among the synthetic, among the training images, correlation.
    """

    images: int
    copied: Estimate
    false_alarms: Estimate
    planted: Mapping[str, float]
    by_kind: Mapping[str, Estimate]
    limits: Limits
    passed: bool | None
    reason: str
    closest: tuple[tuple[int, int, float], ...]


Copier = Callable[[Pixels], Pixels]
MUST_BE_FOUND = ("exact", "mirrored", "turned by 10 degrees", "10 % brighter")


def planted_copies(pixels: Pixels) -> dict[str, Pixels]:
    """Copies of training images as somebody might have them: kind to pixels."""
    images = to_tensor(pixels)
    return {
        "exact": pixels,
        "mirrored": to_pixels(images.flip(3)),
        "turned by 10 degrees": to_pixels(turned(images, 10.0)),
        "10 % brighter": to_pixels(images * 1.1),
    }


def memorisation(  # noqa: PLR0913 - three sides, and what is looked at besides
    train: Pixels,
    holdout: Pixels,
    synthetic: Pixels,
    *,
    side: int,
    seed: int,
    copier: Copier | None = None,
    also: Mapping[str, Pixels] | None = None,
) -> Memorisation:
    """Look for copies of training images among synthetic ones.

    Parameters
    ----------
    train, holdout
        Images that the model learnt from, and images of other patients that it did not.
    side
        Pixels a side at which features are taken.
    copier
        A model's own reconstruction, planted too and reported.
    also
        Further synthetic images by kind: the share of copies among each is told.

    Raises
    ------
    NotEnoughData
        If there are fewer than 20 held-out images.
    """
    if len(holdout) < FEWEST:
        raise NotEnoughData(
            f"the memorisation gate needs {FEWEST} held-out images as its control; {len(holdout)} are here"
        )
    rng = numpy_generator(seed, "memorisation")
    originals = Originals.of(train, side=side)
    order = rng.permutation(len(holdout))
    control = compare(originals, holdout)
    # Half of the control sets limits that the other half checks; the limits that decide are set by all of it.
    checking = Limits.of(_at(control, order[: len(order) // 2]))
    alarms, limits = checking.passed(_at(control, order[len(order) // 2 :])), Limits.of(control)
    chosen = train[rng.permutation(len(train))[:PLANTED]]
    copies = planted_copies(chosen) | ({"reconstructed": copier(chosen)} if copier else {})
    planted = {kind: _shared(limits.passed(compare(originals, made))) for kind, made in copies.items()}
    alike = compare(originals, synthetic)
    copied = _shared(limits.passed(alike))
    blind = [kind for kind in MUST_BE_FOUND if planted[kind].value < FOUND]
    closest = np.argsort(-alike.pixels, kind="stable")[:CLOSEST]
    return Memorisation(
        images=len(synthetic),
        copied=copied,
        false_alarms=_shared(alarms),
        planted={kind: found.value for kind, found in planted.items()},
        by_kind={kind: _shared(limits.passed(compare(originals, own))) for kind, own in (also or {}).items()},
        limits=limits,
        passed=None if blind else copied.low <= FALSE_ALARMS,
        reason=f"the gate finds too few planted copies here ({', '.join(blind)})" if blind else "",
        closest=tuple((int(i), int(alike.nearest[i]), float(alike.pixels[i])) for i in closest),
    )


def _shared(true: NDArray[np.bool_]) -> Estimate:
    return Estimate(float(true.mean()), *clopper_pearson(int(true.sum()), len(true)))


def _at(alike: Alike, rows: NDArray[np.int64]) -> Alike:
    return Alike(alike.pixels[rows], alike.features[rows], alike.nearest[rows])
