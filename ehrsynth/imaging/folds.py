"""Folds that never cross a patient, and the two sides of a fold as types.

What learns takes a `TrainFold`, what judges a `TestFold`; only this module makes them, so that nothing can be
taught with images that it will be judged on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.imaging.image_set import ImageSet, Whole
from ehrsynth.randomness import numpy_generator

_TRIES = 200


@dataclass(frozen=True, slots=True, eq=False)
class TrainFold:
    """Images that may be learnt from. `name` tells the fold and the seed it belongs to."""

    images: ImageSet
    name: str

    def inner(self, *, folds: int, seed: int) -> "Fold":
        """The same split once more inside, to choose settings by images that they were not taught with."""
        return next(iter(split_folds(self.images, folds=folds, seed=seed, name=f"{self.name}/inner")))


@dataclass(frozen=True, slots=True, eq=False)
class TestFold:
    """Images that judge and are never learnt from."""

    images: ImageSet
    name: str

    __test__ = False  # no test case, whatever its name makes pytest think


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One split: `pool` is the size of its training side before it was cut."""

    train: TrainFold
    test: TestFold
    seed: int
    number: int
    pool: int


def split_folds(
    images: ImageSet, *, folds: int, seed: int, cut: Mapping[int, int] | None = None, name: str = ""
) -> tuple[Fold, ...]:
    """Cross-validation by patients, each class spread as evenly as they allow.

    Parameters
    ----------
    folds
        How many, at least 2.
    cut
        Class to the most images of it that a training side keeps, drawn by the seed; test sides stay whole.

    Raises
    ------
    NotEnoughData
        If a class has too few patients to stand on both sides of every fold; names the class and the count.
    """
    if folds < 2:  # noqa: PLR2004
        raise RequestError(f"{folds} folds were asked for; at least 2 are needed")
    _check(images, folds)
    side = _sides(images, folds, seed, name)
    whole = tuple(_folds(images, side, folds, seed, cut or {}, name))
    for fold in whole:
        _check_both_sides(fold)
    return whole


def _folds(
    images: ImageSet, side: Whole, folds: int, seed: int, cut: Mapping[int, int], name: str
) -> Iterator[Fold]:
    for number in range(folds):
        called = f"{name}seed {seed}, fold {number + 1}"
        outside = np.flatnonzero(side != number)
        rows = _cut(images.labels, outside, cut, seed, called)
        train, test = TrainFold(images.at(rows), called), TestFold(images.at(side == number), called)
        yield Fold(train, test, seed, number, len(outside))


def _check(images: ImageSet, folds: int) -> None:
    few = []
    for label, name in enumerate(images.classes):
        patients = len(np.unique(images.patients[images.labels == label]))
        if patients < folds:
            count = int((images.labels == label).sum())
            few.append(f"class {name!r} has {count} images of {patients} patients or sources")
    if few:
        summary = f"{folds} folds need {folds} patients of each class: use fewer folds, or merge the class"
        raise NotEnoughData(summary, few)


def _sides(images: ImageSet, folds: int, seed: int, name: str) -> Whole:
    """The fold of each image: patients one by one, the largest first, to where they are missed most."""
    patients, own = np.unique(images.patients, return_inverse=True)
    held = np.zeros((len(patients), len(images.classes)))
    np.add.at(held, (own.ravel(), images.labels), 1)
    share = held / held.sum(axis=0, keepdims=True)
    rng = numpy_generator(seed, "imaging folds", name)
    order = rng.permutation(len(patients))
    # Patients with much of a class come first, while every fold still has room for them.
    order = order[np.argsort(-share[order].max(axis=1).round(6), kind="stable")]
    filled, side = np.zeros((folds, len(images.classes))), np.zeros(len(patients), np.int64)
    for patient in order:
        missed = ((filled + share[patient]) ** 2).sum(axis=1) - (filled**2).sum(axis=1)
        # Ties are broken by the seed, not by the number of the fold.
        best = rng.permutation(folds)
        side[patient] = best[np.argmin(missed[best].round(9))]
        filled[side[patient]] += share[patient]
    return np.asarray(side[own.ravel()], dtype=np.int64)


def _cut(labels: Whole, rows: Whole, cut: Mapping[int, int], seed: int, name: str) -> Whole:
    if not cut:
        return rows
    kept = []
    for label in np.unique(labels[rows]):
        own = rows[labels[rows] == label]
        most = cut.get(int(label), len(own))
        kept.append(numpy_generator(seed, "cut", name, str(label)).permutation(own)[:most])
    return np.sort(np.concatenate(kept))


def _check_both_sides(fold: Fold) -> None:
    for side, images in (("training", fold.train.images), ("test", fold.test.images)):
        missing = [images.classes[label] for label in np.flatnonzero(images.counts == 0)]
        if missing:
            summary = (
                f"the {side} side of {fold.train.name} has no image of some class, because patients hold "
                "many images each: use fewer folds, or leave the class out"
            )
            raise NotEnoughData(summary, [f"class {name!r}" for name in missing])


def check_disjoint(train: ImageSet, test: ImageSet) -> None:
    """Raise if an image or a patient stands on both sides.

    Raises
    ------
    RequestError
        Says how many.
    """
    images, patients = len(set(train.ids) & set(test.ids)), len({*train.patients} & {*test.patients})
    if images or patients:
        raise RequestError(f"{images} images and {patients} patients stand on both sides of the split")
