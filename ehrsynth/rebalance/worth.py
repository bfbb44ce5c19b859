"""What made rows are worth in real patients: how far along a group's learning curve they would reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.randomness import numpy_generator
from ehrsynth.rebalance.methods import UNTREATED
from ehrsynth.rebalance.study import Study
from ehrsynth.statistics import Estimate, normal_quantile

Floats = NDArray[np.float64]
# The scores of a learning curve, and whether more is better. The first that can tell is told.
SCORES = {"auroc": 1.0, "log_loss": -1.0}
_SAID = {"auroc": "by AUROC", "log_loss": "by log loss, ranking and calibration together"}
_DRAWS = 20_000
_UNSURE = 0.05
_DEGENERATE = 1e-12
_FEWEST = 3


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How a group is predicted, with "none", by how many of its training patients there are.

    `sizes` are mean numbers of training patients, rising; `values` splits x sizes x `SCORES`; `per_doubling`
    is what twice as many patients add to each score.
    """

    group: str
    sizes: tuple[float, ...]
    values: Floats
    per_doubling: Mapping[str, Estimate | None]


class Worth(NamedTuple):
    """What 100 made rows were worth in real patients; None where it cannot be told, with the reason."""

    group: str
    method: str
    score: str
    made: float
    value: float | None
    low: float | None
    high: float | None
    reason: str

    @property
    def sentence(self) -> str:
        """In words."""
        rows = f"100 rows made by {self.method} for {self.group}"
        if self.value is None:
            return f"What {rows} were worth in real patients cannot be told: {self.reason}."
        ends = f"{self.low:.0f} to {self.high:.0f}"
        return f"{rows} were worth {self.value:.0f} ({ends}) more real ones, {_SAID[self.score]}."


def learning_curve(study: Study, group: str, sizes: Floats, masked: Floats) -> Curve:
    """The curve from what is left when patients are removed, and from all of them.

    Parameters
    ----------
    sizes
        Splits x sizes, the last without removal.
    masked
        Splits x sizes but the last x `SCORES`.
    """
    whole = np.stack([study.of(UNTREATED, group, score) for score in SCORES], axis=-1)
    values = np.concatenate([masked, whole[:, None]], axis=1)
    per_doubling = {
        score: study.interval(_slopes(sizes, values[:, :, place])) for place, score in enumerate(SCORES)
    }
    return Curve(group, tuple(sizes.mean(axis=0)), values, per_doubling)


def _slopes(sizes: Floats, values: Floats) -> Floats:
    """For each split, what a doubling adds: the slope of a score on the logarithm of the size."""
    found = np.full(len(values), np.nan)
    for number, (size, value) in enumerate(zip(np.log2(sizes), values, strict=True)):
        known = ~np.isnan(value)
        if known.sum() > 1 and np.ptp(size[known]) > 0:
            found[number] = np.polyfit(size[known], value[known], 1)[0]
    return found


def row_worth(study: Study, curve: Curve, method: str) -> Worth:
    """Made rows in real patients, by AUROC where its curve can tell, else by log loss.

    With D the gain and b what a doubling adds, the rows stand for ``n (2 ** (D / b) - 1)`` real patients. D
    and b are drawn together from the normal distribution that the splits' corrected covariance gives. Where b
    is not surely above 0, or the interval reaches farther than the curve was measured, nothing can be told.
    """
    each = [_by(study, curve, method, place, score) for place, score in enumerate(SCORES)]
    return next((one for one in each if one.value is not None), each[0])


def _by(study: Study, curve: Curve, method: str, place: int, score: str) -> Worth:
    made, n = study.mean(method, curve.group, "made"), curve.sizes[-1]
    gains = study.of(method, curve.group, score) - study.of(UNTREATED, curve.group, score)
    slopes = _slopes(np.tile(curve.sizes, (len(gains), 1)), curve.values[:, :, place])
    known = ~np.isnan(gains) & ~np.isnan(slopes)
    if known.sum() < _FEWEST or not made > 0:
        reason = "too few splits could be measured, or no row was made"
        return Worth(curve.group, method, score, made, None, None, None, reason)
    pairs = SCORES[score] * np.stack([gains[known], slopes[known]])
    widened = (1 / known.sum() + study.splits.test_over_train) * np.cov(pairs)
    gain, slope = (float(v) for v in pairs.mean(axis=1))
    reach = normal_quantile(1 - _UNSURE) * float(np.sqrt(widened[1, 1]))
    if slope - reach <= 0:
        reason = (
            f"its learning curve is too flat or too uncertain: twice as many real patients add {slope:.3f}"
            f" ({slope - reach:.3f} to {slope + reach:.3f}) of AUROC, and log loss cannot tell either"
        )
        return Worth(curve.group, method, score, made, None, None, None, reason)
    rng = numpy_generator(0, "worth", curve.group, method)
    drawn = rng.multivariate_normal([gain, slope], widened + _DEGENERATE * np.eye(2), size=_DRAWS)
    rising = drawn[drawn[:, 1] > 0]
    worths = 100 * n * (2 ** np.clip(rising[:, 0] / rising[:, 1], -50, 50) - 1) / made
    low, high = np.quantile(worths, (_UNSURE / 2, 1 - _UNSURE / 2))
    # As far above all patients as the curve was measured below them, and no farther.
    measured = curve.sizes[-1] / curve.sizes[0]
    if 1 + high * made / (100 * n) > measured:
        reason = (
            f"the interval reaches beyond {measured:.0f} times the group's patients, farther than its"
            " learning curve was measured"
        )
        return Worth(curve.group, method, score, made, None, None, None, reason)
    value = 100 * n * (2 ** (gain / slope) - 1) / made
    return Worth(curve.group, method, score, made, float(value), float(low), float(high), "")


def best_worth(found: Sequence[Worth], recommended: str | None) -> dict[str, str]:
    """For each group the sentence of the recommended method, else of the one whose rows were worth most."""
    sentences: dict[str, str] = {}
    for group in dict.fromkeys(one.group for one in found):
        mine = [one for one in found if one.group == group]
        known = sorted(mine, key=lambda one: -np.inf if one.value is None else one.value)
        chosen = [one for one in mine if one.method == recommended] or [known[-1]]
        sentences[group] = chosen[0].sentence
    return sentences
