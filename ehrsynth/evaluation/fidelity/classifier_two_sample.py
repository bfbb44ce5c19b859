"""Can a good classifier tell synthetic patients from real ones?"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.learners import JUDGES, JudgeName, fit_classes
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Strata, by_group, strata
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema
from ehrsynth.statistics import (
    Estimate,
    auroc_influence,
    auroc_interval,
    clopper_pearson,
    interval_of_influence,
)


class _Told(NamedTuple):
    """How well one judge told two tables apart, by which columns (their shares of the gain), and its scores.

    `sides` are the rows used of both tables; `scores` those of the first, then of the second, each by a
    judge that had not seen it.
    """

    auroc: Estimate
    gain: Floats
    sides: tuple[Matrix, Matrix]
    scores: Floats


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
    same for training against held-out patients. `details["learners"]` has logistic regression and a small
    neural network beside the trees, so that a generator made of trees is not judged by trees alone;
    `details["telling_columns"]` the columns that gave most away, with their share of the trees' gain;
    `details["groups"]` the AUROC of the trees' scores within each protected group, intersection and site.
    """
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    folds, name = protocol().folds, "classifier_two_sample"
    sizes = {"real": len(real), "synthetic": len(other), "train": len(fresh)}
    if min(len(real), len(other)) < 2 * folds:
        reason = f"not measurable here: {folds} folds need {2 * folds} rows of each table"
        return Score(name, None, None, None, None, "half", {"rows": sizes}, reason)
    found = {n: _tell_apart(n, other, real, seed, part(progress, *_span(n, 0))) for n in JUDGES}
    reference = {
        n: _tell_apart(n, fresh, real, seed, part(progress, *_span(n, 1)))
        for n in JUDGES
        if len(fresh) >= 2 * folds
    }
    expected = {n: told.auroc.value for n, told in reference.items()}
    details = {
        "rows": sizes,
        "rows_used_of_each": min(len(real), len(other), protocol().rows),
        "learners": {n: found[n].auroc._asdict() | {"reference": expected.get(n)} for n in JUDGES},
        "telling_columns": _telling(real, found["boosted_trees"].gain),
        "groups": _groups(schema, found["boosted_trees"], reference.get("boosted_trees")),
        "protocol": protocol().hash,
    }
    value, low, high = found["boosted_trees"].auroc
    return Score(name, value, low, high, expected.get("boosted_trees"), "half", details)


def _groups(schema: Schema, found: _Told, reference: _Told | None) -> dict[str, Any]:
    expected = {} if reference is None else _within(schema, reference)[1]
    groups, values = _within(schema, found)
    return by_group(groups, lambda one: values[one.name] | _reference(expected.get(one.name)))


def _reference(found: dict[str, float] | None) -> dict[str, float | None]:
    return {"reference": found["value"] if found else None}


def _within(schema: Schema, told: _Told) -> tuple[Strata, dict[str, dict[str, float]]]:
    """The AUROC of the scores inside each group, the judges being those of all patients."""
    groups = strata(schema, told.sides[::-1])  # thirds are those of the second table, the real one
    size = len(told.sides[0])
    values = {}
    for one in groups.measured:
        second, first = one.masks
        scores = np.concatenate([told.scores[:size][first], told.scores[size:][second]])
        label = np.repeat([1, 0], [first.sum(), second.sum()])
        values[one.name] = auroc_interval(label, scores)._asdict()
    return groups, values


def _span(judge: JudgeName, pass_: int) -> tuple[float, float]:
    shares = {"boosted_trees": (0.0, 0.35), "logistic_regression": (0.35, 0.4), "neural_network": (0.4, 0.5)}
    start, stop = shares[judge]
    return pass_ * 0.5 + start, pass_ * 0.5 + stop


def _telling(real: Matrix, gain: Floats) -> list[dict[str, Any]]:
    order = np.argsort(-gain, kind="stable")[: protocol().telling_columns]
    return [{"column": real.names[place], "share": float(gain[place])} for place in order if gain[place] > 0]


def _tell_apart(judge: JudgeName, first: Matrix, second: Matrix, seed: int, report: Any) -> _Told:
    size, folds = min(len(first), len(second), protocol().rows), protocol().folds
    one, other = (
        table.shuffled(numpy_generator(seed, "two samples", side), size)
        for table, side in ((first, "first"), (second, "second"))
    )
    both = Matrix(first.columns, np.vstack([one.values, other.values]))
    label = np.repeat([1, 0], size)
    fold = np.tile(np.arange(size) % folds, 2)
    influence, values, gain = np.zeros(2 * size), [], np.zeros(len(both.columns))
    scores = np.empty(2 * size)
    for k in range(folds):
        report(k / folds, f"classifier two-sample test: {judge.replace('_', ' ')}")
        test = fold == k
        small = small_seed(seed, "two samples", judge, str(k))
        fitted = fit_classes(judge, both.rows(~test), label[~test], 2, seed=small)
        scores[test] = fitted.predict(both.rows(test))[:, 1]
        value, influence[test] = auroc_influence(label[test], scores[test])
        values.append(value)
        gain += fitted.gain / folds
    return _Told(_mean_auroc(values, influence, size), gain, (one, other), scores)


def _mean_auroc(values: list[float], influence: Floats, size: int) -> Estimate:
    mean = float(np.mean(values))
    if mean in {0.0, 1.0}:  # told apart without a fault: the influences are 0 and say nothing
        return Estimate(mean, *clopper_pearson(round(mean * size), size))
    return interval_of_influence(mean, influence, bounds=(0.0, 1.0))
