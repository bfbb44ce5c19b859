"""The verdict: synthetic images recommended or not, by one contrast that was named before any image was seen.

The class-wise VAE is held against class weights: minority recall at the specificity that class weights
have, so that moving a threshold wins nothing, and the AUROC must not have fallen by 0.02. Intervals are
those of repeated overlapping splits (Nadeau and Bengio 2003). All other comparisons are looks, and share
one family-wise level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ehrsynth.imaging.study.arms import CONTROL, PRIMARY
from ehrsynth.statistics import Estimate, corrected_paired_interval, corrected_paired_p, holm

RECALL, AREA = "matched minority recall", "minority AUROC"
LOSS = 0.02  # AUROC that may not be lost
ROOM = 0.02  # minority recall that class weights must leave for a gain to be worth looking for
LEVEL = 0.05
_PER = 100  # synthetic images whose worth is told
_MOST_LOG = 5.0


@dataclass(frozen=True, slots=True)
class Contrast:
    """One arm against class weights on one score: means of both, the difference with its 95 % interval, p.

    `adjusted` is p held against all looks (Holm); of the primary contrast it is p itself.
    """

    arm: str
    score: str
    treated: float
    control: float
    difference: Estimate
    p: float
    adjusted: float
    splits: int


@dataclass(frozen=True, slots=True)
class Worth:
    """What 100 synthetic images of the minority were worth in real ones, with its 95 % interval.

    None where more real images did not help measurably either, so that there is no measure (`reason`).
    """

    images: Estimate | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, why, and what it rests on; `untuned` is the primary contrast of untuned classifiers."""

    recommended: bool
    sentence: str
    reasons: tuple[str, ...]
    primary: Contrast
    area: Contrast
    untuned: Contrast | None
    looks: tuple[Contrast, ...]
    worth: Worth


Splits = Sequence[Mapping[str, Any]]


def contrast(splits: Splits, key: str, arm: str, score: str) -> Contrast:
    """One arm against the control over all splits, untuned or tuned (`key`).

    Raises
    ------
    ValueError
        If there are fewer than two splits.
    """
    treated, control = (np.array([s["arms"][key][a][score] for s in splits]) for a in (arm, CONTROL.name))
    sizes = {
        "n_train": round(float(np.mean([s["pool"] for s in splits]))),
        "n_test": round(float(np.mean([s["n_test"] for s in splits]))),
    }
    found = corrected_paired_interval(treated - control, **sizes)
    p = corrected_paired_p(treated - control, **sizes)
    return Contrast(arm, score, float(treated.mean()), float(control.mean()), found, p, p, len(splits))


def decide(splits: Splits) -> Verdict:
    """The verdict over all splits of a study."""
    arms = splits[0]["arms"]
    key = "tuned" if "tuned" in arms else "untuned"
    primary = contrast(splits, key, PRIMARY.name, RECALL)
    area = contrast(splits, key, PRIMARY.name, AREA)
    looks = _looks(splits, key)
    recommended = primary.difference.low > 0 and area.difference.low > -LOSS
    untuned = contrast(splits, "untuned", PRIMARY.name, RECALL) if key == "tuned" else None
    worth = images_worth(splits)
    return Verdict(
        recommended,
        _sentence(recommended, primary),
        tuple(_reasons(primary, area, untuned, looks, worth)),
        primary,
        area,
        untuned,
        looks,
        worth,
    )


def _looks(splits: Splits, key: str) -> tuple[Contrast, ...]:
    """Every other arm against the control, on both scores, in one family."""
    names = [a for a in splits[0]["arms"][key] if a not in {CONTROL.name, PRIMARY.name}]
    return in_one_family([contrast(splits, key, name, score) for name in names for score in (RECALL, AREA)])


def in_one_family(found: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """Contrasts that share one family-wise level: `adjusted` is p held against all of them (Holm)."""
    adjusted = holm([one.p for one in found]) if found else np.empty(0)
    return tuple(
        Contrast(c.arm, c.score, c.treated, c.control, c.difference, c.p, float(a), c.splits)
        for c, a in zip(found, adjusted, strict=True)
    )


def _sentence(recommended: bool, primary: Contrast) -> str:  # noqa: FBT001 - the verdict itself
    d = primary.difference
    gain = f"{100 * d.value:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f})"
    if recommended:
        return f"Recommended: synthetic images raised minority recall by {gain} over class weights."
    return f"Not recommended: against class weights, synthetic images changed minority recall by {gain}."


def _reasons(
    primary: Contrast, area: Contrast, untuned: Contrast | None, looks: Sequence[Contrast], worth: Worth
) -> list[str]:
    low = primary.difference.low
    where = "lies above 0" if low > 0 else "includes 0"
    where = "lies below 0" if primary.difference.high < 0 else where
    lost = "ruled out" if area.difference.low > -LOSS else "not ruled out"
    reasons = [
        f"At the specificity of class weights the interval of the gain in minority recall {where}.",
        f"The minority AUROC changed by {_points(area)}; a loss of {LOSS:g} is {lost}.",
    ]
    if primary.control > 1 - ROOM:
        reasons.append(
            f"Class weights alone already find {primary.control:.1%} of the minority: hardly anything is "
            "left to be gained on these images."
        )
    if untuned is not None:
        reasons.append(
            f"With an untuned classifier the same gain would have been {_points(untuned)}: what tuning takes "
            "away was not the images' doing."
        )
    better = [c for c in looks if c.score == RECALL and c.difference.value > primary.difference.value]
    if better:
        best = max(better, key=lambda c: c.difference.value)
        clear = "also held against all looks" if best.adjusted <= LEVEL else "not told from chance"
        reasons.append(f"{best.arm[0].upper()}{best.arm[1:]} changed it by {_points(best)}, {clear}.")
    reasons.append(_worth_in_words(worth))
    return reasons


def _points(c: Contrast) -> str:
    d = c.difference
    return f"{100 * d.value:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def _worth_in_words(worth: Worth) -> str:
    if worth.images is None:
        return f"What synthetic images were worth in real ones is not measurable here: {worth.reason}."
    w = worth.images
    span = f"{w.value:.0f} ({w.low:.0f} to {w.high:.0f})"
    return f"100 synthetic images of the minority were worth {span} real ones."


def images_worth(splits: Splits) -> Worth:
    """From learning curves: the AUROC that synthetic images add, over what each further real image adds.

    The AUROC of class weights goes up with the logarithm of the number of real minority images; the slope is
    that within splits. What n images and a gain of g are worth is n (exp(g / slope) - 1) more.
    """
    curves = [s["curve"] for s in splits if "curve" in s]
    if len(curves) < 2:  # noqa: PLR2004
        return Worth(None, "it needs learning curves of at least two splits")
    logs, areas = [], []
    for curve in curves:
        points = np.array(curve["curve"], dtype=np.float64)
        logs.append(np.log(points[:, 0]) - np.log(points[:, 0]).mean())
        areas.append(points[:, 1] - points[:, 1].mean())
    slopes = np.array([float(x @ y / (x @ x)) for x, y in zip(logs, areas, strict=True)])
    sizes = {
        "n_train": round(float(np.mean([s["pool"] for s in splits]))),
        "n_test": round(float(np.mean([s["n_test"] for s in splits]))),
    }
    slope = corrected_paired_interval(slopes, **sizes)
    if slope.low <= 0:
        return Worth(None, "more real images of the minority did not help measurably either")
    gains = np.array([c["treated"] - c["curve"][0][1] for c in curves])
    gain = corrected_paired_interval(gains, **sizes)
    real = float(np.mean([c["curve"][0][0] for c in curves]))
    made = float(np.mean([c["synthetic"] for c in curves]))
    ends = [
        _PER / made * real * float(np.expm1(np.clip(g / slope.value, -_MOST_LOG, _MOST_LOG))) for g in gain
    ]
    return Worth(Estimate(*ends), "")
