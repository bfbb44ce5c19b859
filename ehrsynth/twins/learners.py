"""What learns an outcome from covariates, within one arm or across arms: one interface for all.

A learner takes a `Matrix` and numbers (or classes) and gives back a function of another `Matrix`. Trees take
categories and missing values as they are; the others take `Flags`: numbers standardised, a flag for missing
and for each frequent category.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeCV

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.twins.gaussian_process import fit_gaussian_process

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Predictor = Callable[[Matrix], Floats]
Name = Literal["linear", "boosted", "gaussian_process"]

SMALL_ARM = 2_000  # patients up to which a Gaussian process is fitted
_ALPHAS = np.logspace(-2, 4, 13)
_PENALTIES = (0.003, 0.03, 0.3, 3.0)
_FOLDS = 3
_FEWEST_EVENTS = 6
_ROUNDS = (100, 400)  # fewest and most boosting rounds
_ROUNDS_EACH = 0.15  # of a patient
_ROUNDS_FOR_ARMS = 60
_LEAF = 10
_TREES = {
    "num_leaves": 7,
    "learning_rate": 0.05,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "min_data_in_bin": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


class Task(NamedTuple):
    """What is learnt: values with a weight each (above 0), and whether they are 0 or 1 throughout."""

    rows: Matrix
    values: Floats
    weights: Floats
    seed: int

    @property
    def yes_or_no(self) -> bool:
        """Whether there are only zeros and ones."""
        return bool(np.isin(self.values, (0.0, 1.0)).all())

    @property
    def constant(self) -> bool:
        """Whether there is nothing to learn."""
        return len(self.values) == 0 or float(np.ptp(self.values)) == 0.0

    @property
    def mean(self) -> float:
        """The weighted mean."""
        return float(np.average(self.values, weights=self.weights)) if len(self.values) else 0.0


def learn(name: Name, task: Task) -> Predictor:
    """Learn to predict the mean of a number, or the probability of a 1.

    Parameters
    ----------
    name
        "linear": ridge or logistic regression, the penalty by cross-validation; "boosted": LightGBM;
        "gaussian_process": see `ehrsynth.twins.gaussian_process`.
    """
    if task.constant:
        mean = task.mean
        return lambda rows: np.full(len(rows), mean)
    return {"linear": _linear, "boosted": _boosted, "gaussian_process": _process}[name](task)


def _linear(task: Task) -> Predictor:
    flags = Flags(task.rows)
    features = flags(task.rows)
    if task.yes_or_no and _rarest(task.values) >= _FEWEST_EVENTS:
        model = _logistic(features, task.values.astype(np.int64), task.weights)
        return lambda rows: np.asarray(model.predict_proba(flags(rows))[:, 1])
    centre, spread = task.mean, float(task.values.std())
    ridge = RidgeCV(_ALPHAS).fit(features, (task.values - centre) / spread, sample_weight=task.weights)
    return lambda rows: np.asarray(ridge.predict(flags(rows)) * spread + centre)


def _rarest(values: Floats) -> int:
    return int(min(values.sum(), (1 - values).sum()))


def _logistic(features: Floats, classes: Whole, weights: Floats) -> Any:
    model = LogisticRegressionCV(
        Cs=_PENALTIES,
        cv=_FOLDS,
        scoring="neg_log_loss",
        solver="newton-cholesky",
        l1_ratios=(0.0,),
        max_iter=100,
        use_legacy_attributes=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", category=ConvergenceWarning
        )  # near separation; the penalty holds it
        return model.fit(features, classes, sample_weight=weights)


def _boosted(task: Task) -> Predictor:
    objective = "binary" if task.yes_or_no else "regression"
    rounds = int(np.clip(_ROUNDS_EACH * len(task.values), *_ROUNDS))
    booster = _train(task.rows, task.values, task.weights, {"objective": objective}, task.seed, rounds)
    return lambda rows: np.asarray(booster.predict(rows.values), np.float64)


def _train(
    rows: Matrix,
    values: Floats | Whole,
    weights: Floats | None,
    objective: dict[str, Any],
    seed: int,
    rounds: int,
) -> lightgbm.Booster:
    data = lightgbm.Dataset(
        rows.values, values, weight=weights, categorical_feature=np.flatnonzero(rows.nominal).tolist()
    )
    leaf = min(_LEAF, max(2, len(values) // 20))
    parameters = {**_TREES, "min_data_in_leaf": leaf, **objective, "seed": seed % 2**31}
    return lightgbm.train(parameters, data, num_boost_round=rounds)


def _process(task: Task) -> Predictor:
    flags = Flags(task.rows)
    rng = numpy_generator(task.seed, "gaussian process")
    predict = fit_gaussian_process(flags(task.rows), task.values, task.weights, rng)
    if task.yes_or_no:
        return lambda rows: np.clip(predict(flags(rows)), 0.0, 1.0)
    return lambda rows: predict(flags(rows))


# ---- classes ----


def learn_classes(name: Name, rows: Matrix, classes: Whole, count: int, *, seed: int) -> Predictor:
    """Learn the probability of each of `count` classes: n x count, rows sum to 1; unseen classes get 0.

    Used for arms (the propensity) and for the values of an ordinal outcome.

    Parameters
    ----------
    name
        "linear" or "boosted".
    """
    seen, ranks = np.unique(classes, return_inverse=True)

    def whole(found: Floats) -> Floats:
        spread = np.zeros((len(found), count))
        spread[:, seen] = found
        return spread

    if len(seen) == 1:
        return lambda other: whole(np.ones((len(other), 1)))
    if name == "boosted":
        many = {"objective": "multiclass", "num_class": len(seen)}
        kind = {"objective": "binary"} if len(seen) == 2 else many  # noqa: PLR2004
        booster = _train(rows, ranks, None, kind, small_seed(seed, "classes"), _ROUNDS_FOR_ARMS)
        return lambda other: whole(_both(np.asarray(booster.predict(other.values), np.float64)))
    flags = Flags(rows)
    if np.bincount(ranks).min() >= _FEWEST_EVENTS:
        model = _logistic(flags(rows), ranks, np.ones(len(ranks)))
    else:
        model = LogisticRegression(C=0.03, solver="newton-cholesky").fit(flags(rows), ranks)
    return lambda other: whole(np.asarray(model.predict_proba(flags(other)), np.float64))


def _both(found: Floats) -> Floats:
    return np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
