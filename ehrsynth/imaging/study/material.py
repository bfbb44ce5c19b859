"""What the arms of one split are made of: features of real, changed and synthetic images, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ehrsynth.imaging.features import features, to_pixels, to_tensor
from ehrsynth.imaging.folds import TrainFold
from ehrsynth.imaging.heads import Taught, scaled
from ehrsynth.imaging.image_set import ImageSet, Pixels, Whole
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.models.vae import FittedVAE
from ehrsynth.imaging.study.arms import Arm
from ehrsynth.imaging.study.plan import Mix
from ehrsynth.imaging.synthetic import SyntheticImages
from ehrsynth.imaging.transforms import Augmentation, augmented
from ehrsynth.randomness import numpy_generator, torch_generator

Floats = NDArray[np.float32]
_NEIGHBOURS = 5  # of SMOTE


def seen(pixels: Pixels, side: int) -> Floats:
    """Scaled frozen features of images."""
    return scaled(features(pixels, side=side))


@dataclass(frozen=True, slots=True, eq=False)
class Synthetic:
    """Synthetic images of one kind with their features; every class has the same number."""

    images: SyntheticImages
    features: Floats


@dataclass(slots=True, eq=False)
class Material:
    """One training side and what was made of it.

    Parameters
    ----------
    real
        Features of the training images, in their order.
    changed
        Features of changed copies, `copies` times the training images one after the other.
    """

    fold: TrainFold
    side: int
    seed: int
    real: Floats
    changed: Floats
    made: dict[Sampling, Synthetic] = field(default_factory=dict)

    @classmethod
    def of(cls, fold: TrainFold, *, side: int, seed: int, copies: int, how: Augmentation) -> "Material":
        """Look at a training side."""
        generator = torch_generator(seed, "changed copies", fold.name)
        images = to_tensor(fold.images.pixels) / 255
        changed = [seen(to_pixels(255 * augmented(images, how, generator)), side) for _ in range(copies)]
        return cls(fold, side, seed, seen(fold.images.pixels, side), np.concatenate(changed))

    def synthetic(self, model: FittedVAE, how: Sampling, count: int) -> Synthetic:
        """As many images of every class as are asked for, drawn and looked at once."""
        found = self.made.get(how)
        if found is None or len(found.images) < count * len(model.classes):
            counts = dict.fromkeys(range(len(model.classes)), count)
            images = model.sample(counts, how, seed=self.seed)
            found = self.made[how] = Synthetic(images, seen(images.pixels, self.side))
        return found


def of_each(made: Synthetic, labels: Mapping[int, int]) -> Whole:
    """Places of the first so many images of each class."""
    own = made.images.labels
    return np.concatenate([np.flatnonzero(own == label)[:count] for label, count in labels.items()])


def teach(arm: Arm, material: Material, made: Synthetic | None, mix: Mix, *, per_class: int) -> Taught:
    """What the linear head is taught with in one arm.

    Parameters
    ----------
    made
        Synthetic images; needed by the arms that have them.
    per_class
        How many of them every class gets, where it is even.
    """
    images = material.fold.images
    features, labels = [material.real], [images.labels]
    if arm.flips:
        copies = len(material.changed) // len(images)
        features, labels = [*features, material.changed], [*labels, np.tile(images.labels, copies)]
    if arm.smote:
        points, own = _smote(material.real, images, material.seed)
        features, labels = [*features, points], [*labels, own]
    weights = [np.ones(sum(map(len, labels)))]
    if arm.synthetic and made is not None:
        rows = of_each(made, _counts(images, mix, per_class))
        features, labels = [*features, made.features[rows]], [*labels, made.images.labels[rows]]
        own_weight = mix.share * weights[0].sum() / max(1, len(rows)) if mix.even else 1.0
        weights.append(np.full(len(rows), own_weight))
    taught = Taught(np.concatenate(features), np.concatenate(labels), np.concatenate(weights))
    return _weighted(taught, arm, material.seed, len(images.classes))


def _counts(images: ImageSet, mix: Mix, per_class: int) -> dict[int, int]:
    counts = images.counts
    if mix.even:
        return dict.fromkeys(range(len(counts)), per_class)
    return {label: int(counts.max() - count) for label, count in enumerate(counts) if count < counts.max()}


def _weighted(taught: Taught, arm: Arm, seed: int, classes: int) -> Taught:
    if arm.weighting == "none":
        return taught
    totals = np.bincount(taught.labels, taught.weights, minlength=classes)
    balanced = taught.weights / totals[taught.labels]
    if arm.weighting == "class":
        return Taught(taught.features, taught.labels, balanced)
    rng = numpy_generator(seed, "weighted sampler")
    rows = rng.choice(len(balanced), size=len(balanced), p=balanced / balanced.sum())
    return Taught(taught.features[rows], taught.labels[rows], np.ones(len(rows)))


def _smote(points: Floats, images: ImageSet, seed: int) -> tuple[Floats, Whole]:
    """Points between neighbours of one class, until all classes are as large (Chawla et al. 2002, SMOTE)."""
    rng, most = numpy_generator(seed, "latent SMOTE"), int(images.counts.max())
    made, labels = [points[:0]], [images.labels[:0]]
    for label, count in enumerate(images.counts):
        own, wanted = points[images.labels == label], most - int(count)
        if wanted <= 0 or len(own) < 2:  # noqa: PLR2004 - a point has no neighbour
            continue
        distance = torch.cdist(torch.from_numpy(own), torch.from_numpy(own)).fill_diagonal_(torch.inf)
        nearest = distance.topk(min(_NEIGHBOURS, len(own) - 1), largest=False).indices.numpy()
        first = rng.integers(len(own), size=wanted)
        second = nearest[first, rng.integers(nearest.shape[1], size=wanted)]
        between = rng.random((wanted, 1), dtype=np.float32)
        made.append(own[first] + between * (own[second] - own[first]))
        labels.append(np.full(wanted, label, dtype=np.int64))
    return np.concatenate(made), np.concatenate(labels)
