"""Draws of outcomes: what might have been seen in this patient in this arm.

Each arm is drawn by itself. Nothing ties the draws of two arms together, because nothing in any data does: a
difference of two draws of one patient is no individual effect, and no table here has a column with one.
"""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.conformal import Scores, shares_of
from ehrsynth.twins.model import Prediction, TwinModel

Floats = NDArray[np.float64]

_AT_ONCE = 2_000
_STEPS = 200


def draw(model: TwinModel, said: Prediction, draws: int, *, seed: int) -> Floats:
    """Outcomes of n patients in every arm: n x arms x draws; numbers on the schema's grid, or codes.

    A number is a fold's mean and one of the residuals of patients whom that fold's models did not see, drawn
    by the weights of the predictive intervals; a listed value comes by its chance.
    """
    arms = said.means.shape[1]
    found = np.empty((len(said), arms, draws))
    for arm in range(arms):
        # A stream for each arm: asking for one arm more or less changes no other's draws.
        rng = numpy_generator(seed, "draw", model.outcome.name, str(arm))
        for start in range(0, len(said), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            if said.shares is None:
                found[rows, arm] = _numbers(model, said, arm, rows, draws=draws, rng=rng)
            else:
                found[rows, arm] = _listed(said.shares[rows, arm], draws, rng)
    return found


def _numbers(
    model: TwinModel, said: Prediction, arm: int, rows: slice, *, draws: int, rng: np.random.Generator
) -> Floats:
    scores, means = model.scores[arm], said.by_fold[:, rows, arm]
    place = rng.choice(len(scores.weights), size=(means.shape[1], draws), p=scores.weights)
    fold, patient = scores.fold[place], np.arange(means.shape[1])[:, None]
    drawn = means[fold, patient] + said.spread[:, rows, arm][fold, patient] * scores.residuals[place]
    steps = model.outcome.steps
    return drawn if steps is None else np.clip(steps.snap(drawn), steps.low, steps.high)


def _listed(shares: Floats, draws: int, rng: np.random.Generator) -> Floats:
    steps = np.cumsum(shares, axis=1)[:, None, :-1]
    return np.asarray((rng.random((len(shares), draws, 1)) > steps).sum(axis=2), np.float64)


def quantiles(model: TwinModel, rows: Matrix) -> Floats:
    """Folds x n x arms x 200: each fold's distribution of the outcome at even steps, rising."""
    by_fold = model.fitted.by_fold(rows)
    steps = (np.arange(_STEPS) + 0.5) / _STEPS
    found = []
    for number, said in enumerate(by_fold):
        means = model.levelled(said.means)
        if model.outcome.discrete:
            up_to = np.cumsum(shares_of(means, said.shapes, model.outcome), axis=2)[..., None, :-1]
            found.append((steps[:, None] > up_to).sum(axis=-1).astype(np.float64))
            continue
        columns = []
        for arm, scores in enumerate(model.scores):
            spread = scores.spread(rows, len(by_fold))[number]
            columns.append(means[:, arm, None] + spread[:, None] * _residual_quantiles(scores, steps))
        found.append(np.stack(columns, axis=1))
    return np.stack(found)


def _residual_quantiles(scores: Scores, steps: Floats) -> Floats:
    order = np.argsort(scores.residuals, kind="stable")
    up_to = np.cumsum(scores.weights[order])
    place = np.minimum(np.searchsorted(up_to, steps), len(order) - 1)
    return np.asarray(scores.residuals[order][place])
