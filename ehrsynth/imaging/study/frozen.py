"""One split with frozen features: all arms, untuned and tuned, on equal terms; and what else is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import RequestError
from ehrsynth.imaging.features import to_pixels, to_tensor
from ehrsynth.imaging.folds import Fold
from ehrsynth.imaging.heads import UNTUNED, LinearHead, fit_head
from ehrsynth.imaging.image_set import ImageSet, Whole
from ehrsynth.imaging.models.vae import FittedVAE
from ehrsynth.imaging.study.arms import ARMS, CONTROL, GIVEN, PRIMARY, Arm
from ehrsynth.imaging.study.attention import IMAGES, agreement, frozen_maps, head_attention
from ehrsynth.imaging.study.material import Material, Synthetic, seen, teach
from ehrsynth.imaging.study.plan import Mix, StudyPlan
from ehrsynth.imaging.study.scores import confusion, matched_recall, score_all
from ehrsynth.imaging.study.tuning import Settings, choose
from ehrsynth.imaging.synthetic import SyntheticImages, refuse_leaks
from ehrsynth.imaging.transforms import CORRUPTIONS, corrupted
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator, torch_generator

Floats = NDArray[np.float32]
TUNED_KEY, UNTUNED_KEY = "tuned", "untuned"
_CORRUPTED = 400  # most test images that are changed for the worse
_CURVE = (0.5, 0.75)  # shares of the minority on the learning curve, beside all of it


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Everything of one split: its sides, its model, what was chosen, and what is judged on."""

    fold: Fold
    plan: StudyPlan
    seed: int
    side: int
    material: Material
    model: FittedVAE
    settings: Settings
    minority: tuple[int, ...]
    test: Floats

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.fold.train.images.classes)

    @property
    def per_class(self) -> int:
        """How many synthetic images every class gets."""
        return self.plan.per_class(self.fold.train.images)

    def head(
        self, arm: Arm, *, penalty: float, mix: Mix | None = None, per_class: int | None = None
    ) -> LinearHead:
        """Teach one arm."""
        mix = mix or self.settings.mix
        made = None
        if arm.synthetic:
            images = self.fold.train.images
            count = max(per_class or 0, self.plan.most_of_a_class(images))
            made = self.material.synthetic(self.model, self.plan.sampling(mix), count)
            refuse_leaks(made.images, self.fold.test.images)
        taught = teach(arm, self.material, made, mix, per_class=per_class or self.per_class)
        return fit_head(taught, classes=self.classes, penalty=penalty)


def prepare(fold: Fold, plan: StudyPlan, *, minority: tuple[int, ...], progress: Progress) -> Split:
    """Look at a split, choose settings inside its training side, and fit the model."""
    train, judges = fold.train, fold.test.images
    seed = derived_seed(plan.seed, "study", train.name)
    side = plan.side_for(judges.size)
    inner = derived_seed(seed, "inner")
    settings = choose(train, plan, seed=inner, minority=minority, progress=part(progress, 0.0, 0.35))
    material = Material.of(train, side=side, seed=seed, copies=plan.copies, how=plan.model.augmentation)
    model = plan.model.fit(train, seed=seed, progress=part(progress, 0.4, 1.0))
    return Split(fold, plan, seed, side, material, model, settings, minority, seen(judges.pixels, side))


def run(
    split: Split, external: ImageSet | None, given: SyntheticImages | None = None, *, progress: Progress
) -> dict[str, Any]:
    """All arms of a split, as plain values."""
    judges = split.fold.test.images
    outside = None if external is None else seen(external.pixels, split.side)
    worse = _worse(split)
    rows = _looked_at(split)
    maps = frozen_maps(judges.pixels[rows])
    found: dict[str, Any] = {"arms": {}, "external": {}, "corrupted": {}, "attention": {}, "confusion": {}}
    for key, penalty in ((UNTUNED_KEY, UNTUNED), (TUNED_KEY, split.settings.penalty)):
        mix = split.settings.mix if key == TUNED_KEY else split.plan.mixes[0]
        heads = {}
        for place, arm in enumerate(ARMS):
            heads[arm.name] = split.head(arm, penalty=penalty, mix=mix)
            progress(place / len(ARMS) / 2 + 0.5 * (key == TUNED_KEY), f"arm {arm.name}, {key}")
        if given is not None:
            heads[GIVEN.name] = _of_given(split, given, penalty)
        found["arms"][key] = scores(heads, judges.labels, split.test, split.minority)
        if external is not None and outside is not None:
            found["external"][key] = scores(heads, external.labels, outside, split.minority)
        if key == TUNED_KEY:
            found["corrupted"] = {name: _under(head, worse) for name, head in heads.items()}
            found["confusion"] = {
                name: confusion(judges.labels, head.probabilities(split.test)).tolist()
                for name, head in heads.items()
            }
            looks = {n: head_attention(maps, h, judges.labels[rows]) for n, h in heads.items()}
            found["attention"] = {n: agreement(look, looks[CONTROL.name]) for n, look in looks.items()}
    return found


def _of_given(split: Split, given: SyntheticImages, penalty: float) -> LinearHead:
    """A head taught with images that somebody else drew, as many for every class."""
    refuse_leaks(given, split.fold.test.images)
    made = Synthetic(given, seen(given.pixels, split.side))
    fewest = int(np.bincount(given.labels, minlength=split.classes).min())
    if not fewest:
        raise RequestError("the synthetic images that were given have none of some class")
    mix = split.plan.mixes[0]
    taught = teach(GIVEN, split.material, made, mix, per_class=min(fewest, split.per_class))
    return fit_head(taught, classes=split.classes, penalty=penalty)


def scores(
    heads: Mapping[str, LinearHead], labels: Whole, features: Floats, minority: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Arm to its scores, with its minority recall where the control's specificity is matched."""
    told = {name: head.probabilities(features) for name, head in heads.items()}
    return with_matched(told, labels, minority)


def with_matched(
    told: Mapping[str, NDArray[np.float64]], labels: Whole, minority: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Arm to its scores from its probabilities, matched to the control's specificity."""
    found = {}
    for name, probabilities in told.items():
        matched = matched_recall(labels, probabilities, told[CONTROL.name], minority)[0]
        found[name] = score_all(labels, probabilities, minority) | {"matched minority recall": matched}
    return found


def _worse(split: Split) -> dict[str, tuple[Floats, Whole]]:
    judges = split.fold.test.images
    rng = numpy_generator(split.seed, "corrupted")
    rows = np.sort(rng.permutation(len(judges))[:_CORRUPTED])
    images = to_tensor(judges.pixels[rows]) / 255
    found = {}
    for how in CORRUPTIONS:
        changed = corrupted(images, how, torch_generator(split.seed, "corrupted", how))
        found[how] = seen(to_pixels(255 * changed), split.side), judges.labels[rows]
    return found


def _under(head: LinearHead, worse: Mapping[str, tuple[Floats, Whole]]) -> dict[str, float]:
    """Balanced accuracy under each corruption, over the classes that are there."""
    found = {}
    for how, (features, labels) in worse.items():
        called = head.probabilities(features).argmax(axis=1)
        found[how] = float(np.mean([(called[labels == k] == k).mean() for k in np.unique(labels)]))
    return found


def _looked_at(split: Split) -> Whole:
    """Test images whose maps are compared: the minority first."""
    labels = split.fold.test.images.labels
    order = numpy_generator(split.seed, "attention").permutation(len(labels))
    few = np.isin(labels[order], split.minority)
    return np.concatenate([order[few][: IMAGES // 2], order[~few][: IMAGES - IMAGES // 2]])


def learning_curve(split: Split) -> dict[str, Any]:
    """Minority AUROC of class weights with fewer real images of the minority, and what the VAE adds to all.

    From it follows how many real images a synthetic one was worth.
    """
    judges, images = split.fold.test.images, split.fold.train.images
    penalty = split.settings.penalty

    def judged(head: LinearHead) -> float:
        own = score_all(judges.labels, head.probabilities(split.test), split.minority)
        return own["minority AUROC"]

    count = int(images.counts[list(split.minority)].mean())
    curve = [(count, judged(split.head(CONTROL, penalty=penalty)))]
    for share in _CURVE:
        rows = _fewer(images, split.minority, share, split.seed)
        own = Material(split.fold.train, split.side, split.seed, split.material.real, split.material.real[:0])
        taught = teach(CONTROL, own, None, split.settings.mix, per_class=1)
        kept = type(taught)(taught.features[rows], taught.labels[rows], _balanced(taught.labels[rows]))
        curve.append((round(share * count), judged(fit_head(kept, classes=split.classes, penalty=penalty))))
    treated = judged(split.head(PRIMARY, penalty=penalty))
    mix = split.settings.mix
    added = split.per_class if mix.even else int(images.counts.max()) - count
    return {"curve": curve, "treated": treated, "synthetic": added}


def _fewer(images: ImageSet, minority: tuple[int, ...], share: float, seed: int) -> Whole:
    rng = numpy_generator(seed, "learning curve", f"{share:g}")
    kept = []
    for label in range(len(images.classes)):
        own = rng.permutation(np.flatnonzero(images.labels == label))
        kept.append(own[: max(1, round(share * len(own)))] if label in minority else own)
    return np.sort(np.concatenate(kept))


def _balanced(labels: Whole) -> NDArray[np.float64]:
    return np.asarray((1 / np.bincount(labels))[labels])
