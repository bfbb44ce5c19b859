"""Predictive intervals of an outcome that was not seen: conformal, one an arm, weighted by the propensity.

Scores are residuals of patients of the arm, by models that did not see them; each counts as much as patients
like it are commoner in the population than in the arm (Lei and Candes 2021, doi 10.1111/rssb.12445). The ends
are those of CV+ (Barber et al. 2021, doi 10.1214/20-AOS1965) with these weights, each fold's scores around
the same fold's model. Listed outcomes get a set of values (Romano, Sesia and Candes 2020, arXiv 2006.02544).

What is promised: coverage on average over patients, at least 1 - 2 alpha and in practice about 1 - alpha,
where arms were randomised; "approximate" where the propensity was estimated. Nothing is promised for one
patient or one group: groups are shown. It is an interval of an outcome and never of an effect.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.learners import Predictor
from ehrsynth.twins.outcomes import Outcome
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.spread import fit_spread

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MOST = 5_000  # scores of an arm; of more a random part is kept
_HALVINGS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The scores of one arm.

    Parameters
    ----------
    fold
        Which fold's models did not see the patient.
    residuals
        Outcome less what was said of it, over the patient's spread.
    misfits
        |residuals|; for listed outcomes 1 less the chance given to the value that came.
    weights
        How much commoner patients like this are in the population than in the arm; sums to 1.
    total
        What the weights summed to before.
    spreads
        One for each fold; None: 1 for all patients.
    """

    fold: Whole
    residuals: Floats
    misfits: Floats
    weights: Floats
    total: float
    spreads: tuple[Predictor, ...] | None

    def of(self, kept: Mask) -> "Scores":
        """Some of the scores."""
        weights = self.weights[kept]
        whole = float(weights.sum()) or 1.0
        return Scores(
            self.fold[kept],
            self.residuals[kept],
            self.misfits[kept],
            weights / whole,
            self.total * whole,
            self.spreads,
        )

    def spread(self, rows: Matrix, folds: int) -> Floats:
        """Folds x n: the spread of any patients."""
        if self.spreads is None:
            return np.ones((folds, len(rows)))
        return np.stack([spread(rows) for spread in self.spreads])


def scores_of(
    fitted: Crosswise, patients: Patients, arm: int, *, means: Floats, ratio: Floats, seed: int
) -> Scores:
    """The scores of an arm's patients.

    Parameters
    ----------
    means
        n x arms: what is said of each patient by models that did not see the patient.
    ratio
        n: how much commoner patients like each are in the population than in the study.
    """
    target, said = fitted.target, fitted.said
    rows = np.flatnonzero((patients.arm == arm) & (target.weights > 0) & (ratio > 0))
    rows = np.sort(numpy_generator(seed, "scores", str(arm)).permutation(rows)[:_MOST])
    weights = ratio[rows] * target.weights[rows] / np.maximum(said.chances[rows, arm], 1e-12)
    residuals = target.values[rows] - means[rows, arm]
    fold, spreads = fitted.unseen.fold[rows], None
    if fitted.outcome.discrete:
        shapes = None if said.shapes is None else said.shapes[rows]
        shares = shares_of(means[rows], shapes, fitted.outcome)[:, arm]
        level = np.clip(np.rint(target.values[rows]), 0, shares.shape[1] - 1).astype(np.int64)
        misfits = 1 - shares[np.arange(len(rows)), level]
    else:
        covariates = patients.covariates.rows(rows)
        spreads = fit_spread(covariates, residuals, fold, len(fitted.models), seed=seed)
        if spreads is not None:
            each = np.stack([spread(covariates) for spread in spreads])
            residuals = residuals / each[fold, np.arange(len(rows))]
        misfits = np.abs(residuals)
    total = float(weights.sum()) or 1.0
    return Scores(fold, residuals, misfits, weights / total, total, spreads)


def number_interval(
    scores: Scores, means: Floats, spread: Floats, own: Floats, *, level: float
) -> tuple[Floats, Floats]:
    """CV+ ends for numbers.

    Parameters
    ----------
    means, spread
        folds x n: what each fold's model says, and the spread around it.
    own
        n: each patient's own weight on the scale of the scores', which counts as an endless residual.
    """
    upper = _cross_quantile(scores, means, spread, level * (1 + own))
    return -_cross_quantile(scores, -means, spread, level * (1 + own)), upper


def _by_fold(scores: Scores, folds: int) -> list[tuple[Floats, Floats]]:
    """For each fold its misfits, rising, and the weight up to each of them."""
    found = []
    for fold in range(folds):
        mine = scores.fold == fold
        order = np.argsort(scores.misfits[mine], kind="stable")
        heights = np.concatenate([[0.0], np.cumsum(scores.weights[mine][order])])
        found.append((scores.misfits[mine][order], heights))
    return found


def _cross_quantile(scores: Scores, means: Floats, spread: Floats, needed: Floats) -> Floats:
    """The smallest t with enough of the weight where mean + spread x misfit is at most t; endless if none."""
    folds = _by_fold(scores, len(means))
    largest = float(scores.misfits.max(initial=0.0))
    low, high = means.min(axis=0) - 1e-9, (means + spread * largest).max(axis=0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = np.zeros(len(middle))
        for mean, width, (misfits, heights) in zip(means, spread, folds, strict=True):
            reached += heights[np.searchsorted(misfits, (middle - mean) / width, side="right")]
        enough = reached >= needed - 1e-12
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(needed > 1, np.inf, high)


def value_set(scores: Scores, shares: Floats, own: Floats, level: float) -> Mask:
    """Which values belong to the set, n x levels; the likeliest always does.

    Parameters
    ----------
    shares
        folds x n x levels: the chance that each fold's models give to each value.
    """
    above = np.zeros(shares.shape[1:])
    for misfit, (misfits, heights) in zip(1 - shares, _by_fold(scores, len(shares)), strict=True):
        above += heights[-1] - heights[np.searchsorted(misfits, misfit - 1e-12, side="left")]
    chance = (above + own[:, None]) / (1 + own[:, None])
    found = np.asarray(chance > 1 - level)
    found[np.arange(len(found)), shares.mean(axis=0).argmax(axis=1)] = True
    return found


def shares_of(means: Floats, shapes: Floats | None, outcome: Outcome) -> Floats:
    """The chance of each value, n x arms x levels, that agrees with the means.

    Two values: the mean itself. More: the shares learnt, tilted exponentially until their mean is right.
    """
    if shapes is None or outcome.event:
        p = np.clip(means, 0.0, 1.0)
        return np.stack([1 - p, p], axis=2)
    steps = np.arange(shapes.shape[2], dtype=np.float64)
    logs = np.log(np.maximum(shapes, 1e-6))
    low, high = np.full(means.shape, -30.0), np.full(means.shape, 30.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        over = _tilted(logs, middle, steps) @ steps > means
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return _tilted(logs, (low + high) / 2, steps)


def _tilted(logs: Floats, by: Floats, steps: Floats) -> Floats:
    moved = logs + by[..., None] * steps
    moved = np.exp(moved - moved.max(axis=-1, keepdims=True))
    return np.asarray(moved / moved.sum(axis=-1, keepdims=True))
