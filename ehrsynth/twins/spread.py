"""How far outcomes scatter around what was said, where that depends on the patient."""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.twins.learners import Predictor, Task, learn

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_FEWEST = 100  # residuals below which one spread is assumed for all
_FLOOR = 0.05  # of the typical residual: no patient is taken to be nearly certain


def fit_spread(
    rows: Matrix, residuals: Floats, fold: Whole, folds: int, *, seed: int
) -> tuple[Predictor, ...] | None:
    """The spread as a function of covariates, one for each fold, learnt from the others' residuals.

    None where residuals that were not seen are told no better by it than by one spread for all (the
    likelihood of Laplace's distribution).
    """
    if len(residuals) < _FEWEST or len(np.unique(fold)) < folds:
        return None
    typical = float(np.abs(residuals).mean())
    if typical == 0:
        return None
    logs = np.log(np.maximum(np.abs(residuals), _FLOOR * typical))
    found, own, plain = [], np.empty(len(residuals)), np.empty(len(residuals))
    for number in range(folds):
        rest = fold != number
        task = Task(rows.rows(rest), logs[rest], np.ones(int(rest.sum())), seed)
        model = learn("linear", task)
        # On the scale of the mean size, so that residuals over spreads are about 1.
        size = float(np.mean(np.abs(residuals[rest]) / np.exp(model(rows.rows(rest)))))
        found.append(_spread(model, size, _FLOOR * typical))
        own[~rest] = found[-1](rows.rows(~rest))
        plain[~rest] = np.abs(residuals[rest]).mean()
    better = _surprise(residuals, own) < _surprise(residuals, plain)
    return tuple(found) if better else None


def _spread(model: Predictor, size: float, floor: float) -> Predictor:
    return lambda rows: np.maximum(size * np.exp(model(rows)), floor)


def _surprise(residuals: Floats, spread: Floats) -> float:
    return float(np.mean(np.log(spread) + np.abs(residuals) / spread))
