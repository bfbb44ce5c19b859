"""One split with a classifier that is taught whole, from random or given weights.

Every arm takes the same number of steps with batches of the same size, so that more images are not more
teaching.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ehrsynth.imaging.features import as_colour, to_tensor
from ehrsynth.imaging.folds import Fold
from ehrsynth.imaging.image_set import ImageSet, Pixels, Whole
from ehrsynth.imaging.networks.classifiers import classifier
from ehrsynth.imaging.study.arms import CONTROL, FLIPS, FULL_ARMS, Arm
from ehrsynth.imaging.study.attention import IMAGES, agreement, network_attention
from ehrsynth.imaging.study.frozen import with_matched
from ehrsynth.imaging.study.parts import Parts
from ehrsynth.imaging.study.plan import Mix, StudyPlan
from ehrsynth.imaging.study.scores import confusion
from ehrsynth.imaging.synthetic import SyntheticImages, refuse_leaks
from ehrsynth.imaging.transforms import CORRUPTIONS, augmented, corrupted
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator, torch_generator

_CENTRE, _SCALE = 0.5, 0.5
_BATCH = 128
_DECAY = 1e-4
_WORSE = 300  # test images that are changed for the worse
ARMS = (*FULL_ARMS[:2], FLIPS, *FULL_ARMS[2:])  # flips and rotations too, for the source paper's ablation


def run_whole(
    fold: Fold,
    plan: StudyPlan,
    external: ImageSet | None,
    *,
    minority: tuple[int, ...],
    progress: Progress,
    parts: Parts | None = None,
) -> dict[str, Any]:
    """All arms of a split, as plain values; each arm is one of its `parts`, for it may take an hour.

    Raises
    ------
    TimeOver
        If the deadline of the parts is over before all arms are done.
    """
    parts = parts or Parts()
    seed = derived_seed(plan.seed, "study", fold.train.name)
    train, judges, mix = fold.train.images, fold.test.images, plan.mixes[0]
    side = plan.side_for(judges.size)
    model = plan.model.fit(fold.train, seed=seed, progress=part(progress, 0.0, 0.1))
    counts = dict.fromkeys(range(len(train.classes)), plan.most_of_a_class(train))
    made = refuse_leaks(model.sample(counts, plan.sampling(mix), seed=seed), judges)
    told: dict[str, NDArray[np.float64]] = {}
    outside: dict[str, NDArray[np.float64]] = {}
    worse: dict[str, dict[str, float]] = {}
    looks: dict[str, NDArray[np.float64]] = {}
    rows = _looked_at(judges, minority, seed)
    for place, arm in enumerate(ARMS):
        start = 0.1 + 0.9 * place / len(ARMS)
        report = part(progress, start, start + 0.9 / len(ARMS))

        def judged(arm: Arm = arm, report: Progress = report) -> dict[str, Any]:
            network = teach_whole(fold, arm, made, mix, plan=plan, seed=seed, progress=report)
            return {
                "told": probabilities(network, judges.pixels, side),
                "outside": None if external is None else probabilities(network, external.pixels, side),
                "worse": _under(network, judges, side, seed),
                "look": _attention(network, plan, judges.at(rows), side),
            }

        own = parts.once(place, judged)
        told[arm.name], looks[arm.name] = np.array(own["told"]), np.array(own["look"])
        worse[arm.name] = own["worse"]
        if external is not None:
            outside[arm.name] = np.array(own["outside"])
    return {
        "arms": {"untuned": with_matched(told, judges.labels, minority)},
        "external": {"untuned": with_matched(outside, external.labels, minority)} if external else {},
        "corrupted": worse,
        "attention": {name: agreement(look, looks[CONTROL.name]) for name, look in looks.items()},
        "confusion": {name: confusion(judges.labels, p).tolist() for name, p in told.items()},
        "settings": {"mix": mix.words, "chosen": False},
    }


def teach_whole(  # noqa: PLR0913 - a split, an arm, what is mixed in, and how
    fold: Fold,
    arm: Arm,
    made: SyntheticImages,
    mix: Mix,
    *,
    plan: StudyPlan,
    seed: int,
    progress: Progress,
) -> nn.Module:
    """Teach a network in one arm.

    Weights in the loss would make single batches jump; a weight is the chance to be drawn instead, which
    has the same mean, and so "class weights" are drawn as such here.
    """
    pixels, labels, chances = _mixed(fold.train.images, arm, made, mix, plan)
    network = classifier(
        plan.classifier, classes=len(fold.train.images.classes), seed=seed, weights=plan.weights
    )
    side, images = plan.side_for(pixels.shape[1]), to_tensor(pixels) / 255
    own, shares = torch.from_numpy(labels), torch.from_numpy(chances)
    generator = torch_generator(seed, "classifier", arm.name)
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=_DECAY)
    network.train()
    started = 0.0
    for step in range(plan.steps):
        if step == 1:
            started = time.monotonic()
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * (0.5 + 0.5 * math.cos(math.pi * step / plan.steps))
        rows = torch.multinomial(shares, plan.batch, replacement=True, generator=generator)
        batch = images[rows]
        if arm.flips:
            batch = augmented(batch, plan.model.augmentation, generator)
        loss = functional.cross_entropy(network(_shown(batch, side)), own[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 10 == 0:
            # The first step pays for warming up.
            minutes = (time.monotonic() - started) / max(step, 1) * plan.steps * len(ARMS) / 60
            takes = f"; all arms of a split take about {max(minutes, 1):.0f} min" if step else ""
            progress(step / plan.steps, f"{arm.name}: step {step + 1} of {plan.steps}{takes}")
    return network.eval()


def _mixed(
    images: ImageSet, arm: Arm, made: SyntheticImages, mix: Mix, plan: StudyPlan
) -> tuple[Pixels, Whole, NDArray[np.float64]]:
    """Images with their labels and the chance of each to be drawn."""
    pixels, labels, chances = [images.pixels], [images.labels], [np.ones(len(images))]
    if arm.synthetic:
        counts, wanted = images.counts, plan.per_class(images)
        chosen = np.concatenate(
            [
                np.flatnonzero(made.labels == label)[: wanted if mix.even else int(counts.max() - count)]
                for label, count in enumerate(counts)
            ]
        )
        share = mix.share * len(images) / max(1, len(chosen)) if mix.even else 1.0
        pixels, labels = [*pixels, made.pixels[chosen]], [*labels, made.labels[chosen]]
        chances.append(np.full(len(chosen), share))
    own, weight = np.concatenate(labels), np.concatenate(chances)
    if arm.weighting != "none":
        weight = weight / np.bincount(own, weight)[own]
    return np.concatenate(pixels), own, weight


def _shown(images: Tensor, side: int) -> Tensor:
    return (as_colour(images, side) - _CENTRE) / _SCALE


def probabilities(network: nn.Module, pixels: Pixels, side: int) -> NDArray[np.float64]:
    """N x classes, each row sums to 1."""
    images = to_tensor(pixels) / 255
    with torch.inference_mode():
        found = [network(_shown(batch, side)).softmax(dim=1) for batch in torch.split(images, _BATCH)]
    return np.asarray(torch.cat(found).numpy(), dtype=np.float64)


def _under(network: nn.Module, judges: ImageSet, side: int, seed: int) -> dict[str, float]:
    rows = np.sort(numpy_generator(seed, "corrupted").permutation(len(judges))[:_WORSE])
    images, labels = to_tensor(judges.pixels[rows]) / 255, judges.labels[rows]
    found = {}
    for how in CORRUPTIONS:
        changed = corrupted(images, how, torch_generator(seed, "corrupted", how))
        with torch.inference_mode():
            called = torch.cat([network(_shown(b, side)).argmax(dim=1) for b in torch.split(changed, _BATCH)])
        found[how] = float(np.mean([(called.numpy()[labels == k] == k).mean() for k in np.unique(labels)]))
    return found


def _looked_at(judges: ImageSet, minority: tuple[int, ...], seed: int) -> Whole:
    order = numpy_generator(seed, "attention").permutation(len(judges))
    few = np.isin(judges.labels[order], minority)
    return np.concatenate([order[few][: IMAGES // 2], order[~few][: IMAGES - IMAGES // 2]])


def _attention(network: nn.Module, plan: StudyPlan, images: ImageSet, side: int) -> NDArray[np.float64]:
    layers: Mapping[str, nn.Module] = dict(network.named_children())
    last = layers["features"] if plan.classifier == "efficientnet_v2_s" else layers["layer4"]
    shown = _shown(to_tensor(images.pixels) / 255, side)
    return network_attention(network, last, shown, images.labels)
