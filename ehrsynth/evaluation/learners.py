"""The learners of the protocol on a `Matrix` as it is: boosted trees, logistic regression, a neural network.

Trees take categories as categories and missing as missing; nothing is rounded or filled in. The linear
learner, a second opinion from another family, takes numbers standardised with a flag for missing, and a flag
for each category that is frequent enough in what it learns from; so does the neural network, which judges
beside the two so that no generator is judged by its own kind alone.
"""

import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from ehrsynth.evaluation.matrix import Floats, Matrix
from ehrsynth.evaluation.protocol import protocol

Whole = NDArray[np.int64]
LEARNERS: tuple[Literal["boosted_trees", "logistic_regression"], ...] = (
    "boosted_trees",
    "logistic_regression",
)
LearnerName = Literal["boosted_trees", "logistic_regression"]
JudgeName = Literal["boosted_trees", "logistic_regression", "neural_network"]
JUDGES: tuple[JudgeName, ...] = (*LEARNERS, "neural_network")
_TWO = 2


class Fitted(NamedTuple):
    """What a learner learnt.

    `predict` gives n x classes probabilities (n x 1 predictions for a number) for the rows of a table; `gain`
    the share of each column in what was learnt, all 0 where the learner does not say.
    """

    predict: Callable[[Matrix], Floats]
    gain: Floats


def fit_classes(learner: JudgeName, table: Matrix, classes: Whole, count: int, *, seed: int) -> Fitted:
    """Learn to tell classes 0..count-1 apart; a class that does not occur gets probability 0.

    With fewer than two classes there is nothing to learn: the one class gets probability 1.
    """
    seen, ranks = np.unique(classes, return_inverse=True)
    if len(seen) < _TWO or not len(table.columns):
        shares = np.bincount(classes, minlength=count) / max(1, len(classes))
        return Fitted(lambda rows: np.tile(shares, (len(rows), 1)), np.zeros(len(table.columns)))
    fit = {"boosted_trees": _trees, "logistic_regression": _logistic, "neural_network": _neural}[learner]
    fitted = fit(table, ranks, len(seen), seed)

    def predict(rows: Matrix) -> Floats:
        spread = np.zeros((len(rows), count))
        spread[:, seen] = fitted.predict(rows)
        return spread

    return Fitted(predict, fitted.gain)


def fit_number(learner: LearnerName, table: Matrix, target: Floats, *, seed: int) -> Fitted:
    """Learn to predict a number."""
    if not len(table.columns):
        mean = float(target.mean())
        return Fitted(lambda rows: np.full((len(rows), 1), mean), np.zeros(0))
    if learner == "boosted_trees":
        booster = _booster(table, target, {"objective": "regression"}, seed)
        return Fitted(lambda rows: _raw(booster, rows)[:, None], _gain(booster))
    flags = Flags(table)
    centre, spread = float(target.mean()), float(target.std()) or 1.0
    ridge = Ridge(alpha=1 / protocol().logistic_regression.penalty).fit(
        flags(table), (target - centre) / spread
    )
    return Fitted(
        lambda rows: (ridge.predict(flags(rows)) * spread + centre)[:, None], np.zeros(len(table.columns))
    )


def importance(table: Matrix, target: Floats | Whole, classes: int, *, rounds: int, seed: int) -> Floats:
    """The share of each column in what boosted trees of so many rounds learn; all 0 where they learn nothing.

    Parameters
    ----------
    target
        A number, or classes 0..classes-1.
    classes
        0 for a number.
    """
    if not len(table.columns) or len(np.unique(target)) < _TWO:
        return np.zeros(len(table.columns))
    kind: dict[str, str | int] = {"objective": "binary"} if classes == _TWO else {"objective": "regression"}
    if classes > _TWO:
        kind = {"objective": "multiclass", "num_class": classes}
    return _gain(_booster(table, target, kind, seed, rounds=rounds))


def _trees(table: Matrix, classes: Whole, count: int, seed: int) -> Fitted:
    if count == _TWO:
        booster = _booster(table, classes, {"objective": "binary"}, seed)

        def predict(rows: Matrix) -> Floats:
            p = _raw(booster, rows)
            return np.stack([1 - p, p], axis=1)

        return Fitted(predict, _gain(booster))
    booster = _booster(table, classes, {"objective": "multiclass", "num_class": count}, seed)
    return Fitted(lambda rows: _raw(booster, rows), _gain(booster))


def _booster(
    table: Matrix,
    target: Floats | Whole,
    objective: dict[str, str | int],
    seed: int,
    *,
    rounds: int | None = None,
) -> lightgbm.Booster:
    settings = protocol().boosted_trees
    categories = np.flatnonzero(table.nominal).tolist()
    data = lightgbm.Dataset(table.values, target, categorical_feature=categories, free_raw_data=True)
    parameters = {**settings.parameters, **objective, "seed": seed}
    return lightgbm.train(parameters, data, num_boost_round=rounds or settings.rounds)


def _raw(booster: lightgbm.Booster, rows: Matrix) -> Floats:
    return np.asarray(booster.predict(rows.values), dtype=np.float64)


def _gain(booster: lightgbm.Booster) -> Floats:
    gain = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
    return gain / (gain.sum() or 1.0)


def _logistic(table: Matrix, classes: Whole, count: int, seed: int) -> Fitted:
    del seed, count  # the optimum is one and does not depend on a draw
    settings, flags = protocol().logistic_regression, Flags(table)
    model = LogisticRegression(C=settings.penalty, max_iter=settings.iterations, tol=1e-3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the protocol fixes the iterations
        model.fit(flags(table), classes)
    return Fitted(lambda rows: np.asarray(model.predict_proba(flags(rows))), np.zeros(len(table.columns)))


def _neural(table: Matrix, classes: Whole, count: int, seed: int) -> Fitted:
    del count
    settings, flags = protocol().neural_network, Flags(table)
    model = MLPClassifier(
        (settings.hidden,),
        alpha=settings.penalty,
        batch_size=min(settings.batch, len(table)),
        learning_rate_init=settings.learning_rate,
        max_iter=settings.epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the protocol fixes the epochs
        model.fit(flags(table), classes)
    return Fitted(lambda rows: np.asarray(model.predict_proba(flags(rows))), np.zeros(len(table.columns)))


class Flags:
    """A table as the linear learner wants it; centres, spreads and categories are those of one table.

    Calling it with a table gives n x features: numbers standardised and cut at the protocol's `clip`
    (0 where missing), a flag for missing, and a flag for each frequent category.
    """

    def __init__(self, table: Matrix) -> None:
        settings = protocol().logistic_regression
        self._clip = settings.clip
        self._numbers = [p for p in range(len(table.columns)) if not table.nominal[p]]
        numbers = table.values[:, self._numbers]
        known = ~np.isnan(numbers)
        count = np.maximum(known.sum(axis=0), 1)
        self._centre = np.where(known, numbers, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, numbers - self._centre, 0.0) ** 2).sum(axis=0) / count)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._gappy = ~known.all(axis=0)
        self._levels = [
            (place, _frequent(table.values[:, place], settings.category_minimum))
            for place in np.flatnonzero(table.nominal)
        ]

    def __call__(self, table: Matrix) -> Floats:
        """The features of a table, n x features."""
        numbers = table.values[:, self._numbers]
        missing = np.isnan(numbers)
        scaled = np.where(missing, 0.0, (numbers - self._centre) / self._spread)
        flags = [np.clip(scaled, -self._clip, self._clip), missing[:, self._gappy].astype(np.float64)]
        flags += [(table.values[:, [place]] == levels).astype(np.float64) for place, levels in self._levels]
        return np.hstack(flags)


def _frequent(values: Floats, minimum: int) -> Floats:
    levels, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return np.asarray(levels[counts >= minimum])
