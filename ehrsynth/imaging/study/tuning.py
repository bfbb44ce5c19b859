"""Settings chosen inside a training side, by a split of it that the choice alone sees.

The inner model is fitted on the inner training side only: a synthetic image that descends from an inner
validation image would make any number of them look good.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ehrsynth.errors import NotEnoughData
from ehrsynth.imaging.folds import TrainFold
from ehrsynth.imaging.heads import TUNED, UNTUNED, fit_head
from ehrsynth.imaging.study.arms import CLASS_WEIGHTS, VAE, Arm
from ehrsynth.imaging.study.material import Material, Synthetic, seen, teach
from ehrsynth.imaging.study.plan import Mix, StudyPlan
from ehrsynth.imaging.study.scores import class_aurocs
from ehrsynth.imaging.synthetic import refuse_leaks
from ehrsynth.progress import Progress, silent

_Setting = TypeVar("_Setting")
_INNER_FOLDS = 3
_MARGIN = 0.003  # AUROC by which a mix must beat the default: an inner split is small, and its best is chance


@dataclass(frozen=True, slots=True)
class Settings:
    """What was chosen, and by what: `scores` are inner AUROCs of the minority by setting, for the report."""

    penalty: float
    mix: Mix
    scores: tuple[tuple[str, float], ...]
    chosen: bool


def choose(
    fold: TrainFold,
    plan: StudyPlan,
    *,
    seed: int,
    minority: tuple[int, ...],
    progress: Progress | None = None,
) -> Settings:
    """Choose the penalty of the head and the mix of synthetic images.

    The penalty is chosen for class weights, the arm that the study is held against, and used in every arm: no
    arm is helped by more choices than another, but for the mix, which the others do not have.
    """
    default = Settings(UNTUNED, plan.mixes[0], (), chosen=False)
    if not plan.tuned:
        return default
    try:
        inner = fold.inner(folds=_INNER_FOLDS, seed=seed)
    except NotEnoughData:
        return default
    report = progress or silent
    train, judges = inner.train, inner.test.images
    side = plan.side_for(judges.size)
    material = Material.of(train, side=side, seed=seed, copies=1, how=plan.model.augmentation)
    held_out = seen(judges.pixels, side)

    def judged(arm: Arm, penalty: float, mix: Mix, made: Synthetic | None = None) -> float:
        taught = teach(arm, material, made, mix, per_class=plan.per_class(train.images))
        head = fit_head(taught, classes=len(judges.classes), penalty=penalty)
        areas = class_aurocs(judges.labels, head.probabilities(held_out))
        return float(areas[list(minority)].mean())

    found = [(f"C {c:g}", judged(CLASS_WEIGHTS, c, plan.mixes[0]), c) for c in TUNED]
    penalty = _best(found)
    report(0.2, "settings: fitting inside the training side")
    model = plan.model.fit(train, seed=seed)
    tried = []
    for place, mix in enumerate(plan.mixes):
        how = plan.sampling(mix)
        made = material.synthetic(model, how, plan.most_of_a_class(train.images))
        refuse_leaks(made.images, judges)
        tried.append((mix.words, judged(VAE, penalty, mix, made), mix))
        report(0.6 + 0.4 * place / len(plan.mixes), "settings: trying mixes")
    scores = (*((name, score) for name, score, _ in found), *((name, score) for name, score, _ in tried))
    return Settings(penalty, _best(tried, margin=_MARGIN), scores, chosen=True)


def _best(found: Iterable[tuple[str, float, _Setting]], *, margin: float = 0.0) -> _Setting:
    """The setting with the best score, if it is better than the first by a margin; else the first."""
    listed = list(found)
    best = int(np.argmax([score for _, score, _ in listed]))
    return listed[best if listed[best][1] > listed[0][1] + margin else 0][2]
