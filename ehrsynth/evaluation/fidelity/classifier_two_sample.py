"""Can a good classifier tell synthetic patients from real ones?"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.learners import LEARNERS, LearnerName, fit_classes
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema
from ehrsynth.statistics import Estimate, auroc_influence, clopper_pearson, interval_of_influence


class _Told(NamedTuple):
    """How well one learner told two tables apart, and by which columns (their shares of the gain)."""

    auroc: Estimate
    gain: Floats


def classifier_two_sample(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How well boosted trees tell synthetic from held-out patients: the cross-validated AUROC.

    Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545), as frozen in protocol.yaml: equal
    sizes, categories and missing values as they are, nothing rounded. The value is the mean of the folds'
    AUROCs, with the interval of LeDell et al. (2015, doi 10.1214/15-EJS1035).

    Range and direction: 0 to 1, 0.5 is perfect (they cannot be told apart), 1 is worst. `reference` is the
    same for training against held-out patients. `details` has logistic regression beside the trees, and the
    columns that gave most away, with their share of the trees' gain.
    """
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    folds, name = protocol().folds, "classifier_two_sample"
    sizes = {"real": len(real), "synthetic": len(other), "train": len(fresh)}
    if min(len(real), len(other)) < 2 * folds:
        reason = f"not measurable here: {folds} folds need {2 * folds} rows of each table"
        return Score(name, None, None, None, None, "half", {"rows": sizes}, reason)
    found = {n: _tell_apart(n, other, real, seed, part(progress, *_span(n, 0))) for n in LEARNERS}
    has_reference = len(fresh) >= 2 * folds
    reference = {
        n: _tell_apart(n, fresh, real, seed, part(progress, *_span(n, 1))).auroc.value
        if has_reference
        else None
        for n in LEARNERS
    }
    details = {
        "rows": sizes,
        "rows_used_of_each": min(len(real), len(other), protocol().rows),
        "learners": {n: found[n].auroc._asdict() | {"reference": reference[n]} for n in LEARNERS},
        "telling_columns": _telling(real, found["boosted_trees"].gain),
        "protocol": protocol().hash,
    }
    value, low, high = found["boosted_trees"].auroc
    return Score(name, value, low, high, reference["boosted_trees"], "half", details)


def _span(learner: LearnerName, pass_: int) -> tuple[float, float]:
    start = pass_ * 0.5 + (0.4 if learner == "logistic_regression" else 0.0)
    return start, start + (0.1 if learner == "logistic_regression" else 0.4)


def _telling(real: Matrix, gain: Floats) -> list[dict[str, Any]]:
    order = np.argsort(-gain, kind="stable")[: protocol().telling_columns]
    return [{"column": real.names[place], "share": float(gain[place])} for place in order if gain[place] > 0]


def _tell_apart(learner: LearnerName, first: Matrix, second: Matrix, seed: int, report: Any) -> _Told:
    size, folds = min(len(first), len(second), protocol().rows), protocol().folds
    sides = [
        table.shuffled(numpy_generator(seed, "two samples", side), size)
        for table, side in ((first, "first"), (second, "second"))
    ]
    both = Matrix(first.columns, np.vstack([side.values for side in sides]))
    label = np.repeat([1, 0], size)
    fold = np.tile(np.arange(size) % folds, 2)
    influence, values, gain = np.zeros(2 * size), [], np.zeros(len(both.columns))
    for k in range(folds):
        report(k / folds, f"classifier two-sample test: {learner.replace('_', ' ')}")
        test = fold == k
        small = small_seed(seed, "two samples", learner, str(k))
        fitted = fit_classes(learner, both.rows(~test), label[~test], 2, seed=small)
        scores = fitted.predict(both.rows(test))[:, 1]
        value, influence[test] = auroc_influence(label[test], scores)
        values.append(value)
        gain += fitted.gain / folds
    return _Told(_mean_auroc(values, influence, size), gain)


def _mean_auroc(values: list[float], influence: Floats, size: int) -> Estimate:
    mean = float(np.mean(values))
    if mean in {0.0, 1.0}:  # told apart without a fault: the influences are 0 and say nothing
        return Estimate(mean, *clopper_pearson(round(mean * size), size))
    return interval_of_influence(mean, influence, bounds=(0.0, 1.0))
