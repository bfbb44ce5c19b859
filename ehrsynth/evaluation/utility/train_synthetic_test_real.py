"""Does a model that learnt from synthetic patients work on real ones?"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.learners import LEARNERS, LearnerName, fit_classes, fit_number
from ehrsynth.evaluation.matrix import Floats, Matrix, is_discrete, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, IntegerColumn, LearntColumn, Schema
from ehrsynth.statistics import Estimate, auroc_influence, interval_of_influence
from ehrsynth.tables.grids import grid

_NAME = "train_synthetic_test_real"
_LEAST = 10  # rows with an outcome that a learner needs


class _Result(NamedTuple):
    """A model's score on held-out patients, each patient's influence on it, and the scores of the classes."""

    value: float
    influence: Floats
    classes: dict[str, float]


class _Task(NamedTuple):
    """The outcome, and the tables with a known outcome, equally long where they are learnt from."""

    outcome: LearntColumn
    synthetic: Matrix
    train: Matrix
    holdout: Matrix

    @property
    def is_class(self) -> bool:
        return _is_class(self.outcome)


def train_synthetic_test_real(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How well boosted trees that learnt from synthetic patients predict the outcome of held-out real ones.

    The outcome is the first column with the role outcome that is a class (boolean, or at most `few_values`
    values), else the first that is a number; every other column predicts it (Esteban et al. 2017, arXiv
    1706.02633). A class is scored by the mean over classes of the AUROC, one against the rest; a number by
    R2.
    Learners and equal sizes are frozen in protocol.yaml. Rows without an outcome are dropped and counted.

    Range and direction: AUROC 0 to 1, 0.5 is chance; R2 at most 1, 0 is the mean; higher is better. The
    interval is over held-out patients; `reference` is the same model trained on the training table.
    `details` has the paired difference to it, each class, and logistic (or ridge) regression.
    """
    outcome = _outcome(schema)
    if outcome is None:
        return _not_measured("no column with the role outcome is a number or has few enough values", {})
    tables = [matrix(t, schema) for t in (synthetic, train, holdout)]
    known = [t.rows(~np.isnan(t.values[:, t.place(outcome.name)])) for t in tables]
    dropped = {
        n: len(t) - len(k) for n, t, k in zip(("synthetic", "train", "holdout"), tables, known, strict=True)
    }
    details: dict[str, Any] = {"outcome": outcome.name, "rows_without_outcome": dropped}
    if min(map(len, known)) < _LEAST:
        return _not_measured(f"{_LEAST} rows of each table need a known outcome", details)
    task = _task(outcome, known, seed)
    if task.is_class and len(_scored_classes(task)) < 2:  # noqa: PLR2004
        return _not_measured("fewer than two classes occur often enough among held-out patients", details)
    if not task.is_class and not np.ptp(_target(task.holdout, outcome)):
        return _not_measured("the outcome is the same for all held-out patients", details)
    return _score(task, details, seed, progress)


def _not_measured(why: str, details: dict[str, Any]) -> Score:
    return Score(_NAME, None, None, None, None, "higher", details, f"not measurable here: {why}")


def _score(task: _Task, details: dict[str, Any], seed: int, progress: Progress | None) -> Score:
    results: dict[LearnerName, tuple[_Result, _Result]] = {}
    for place, learner in enumerate(LEARNERS):
        report = part(progress, place / 2, (place + 1) / 2)
        report(0.0, f"train on synthetic, test on real: {learner.replace('_', ' ')}")
        on_synthetic = _learn_and_test(task, task.synthetic, learner, seed)
        report(0.5, f"train on real, test on real: {learner.replace('_', ' ')}")
        results[learner] = on_synthetic, _learn_and_test(task, task.train, learner, seed)
    bounds = (0.0, 1.0) if task.is_class else (-np.inf, 1.0)
    ours, real = results["boosted_trees"]
    value, low, high = interval_of_influence(ours.value, ours.influence, bounds=bounds)
    details |= {
        "measure": "AUROC" if task.is_class else "R2",
        "rows_used_to_learn": len(task.synthetic),
        "rows_tested": len(task.holdout),
        "difference": _difference(ours, real)._asdict(),
        "classes": {
            name: {"value": score, "reference": real.classes[name]} for name, score in ours.classes.items()
        },
        "learners": {
            name: interval_of_influence(a.value, a.influence, bounds=bounds)._asdict()
            | {"reference": b.value}
            for name, (a, b) in results.items()
        },
        "protocol": protocol().hash,
    }
    return Score(_NAME, value, low, high, real.value, "higher", details)


def _difference(ours: _Result, real: _Result) -> Estimate:
    return interval_of_influence(
        ours.value - real.value, ours.influence - real.influence, bounds=(-np.inf, np.inf)
    )


def _is_class(column: LearntColumn) -> bool:
    return (is_discrete(column) or isinstance(column, IntegerColumn)) and column.size <= protocol().few_values


def _outcome(schema: Schema) -> LearntColumn | None:
    outcomes = [c for c in schema.learnt if "outcome" in c.roles]
    numbers = (c for c in outcomes if not is_discrete(c))
    return next(filter(_is_class, outcomes), None) or next(numbers, None)


def _task(outcome: LearntColumn, known: list[Matrix], seed: int) -> _Task:
    synthetic, train, holdout = known
    size = min(len(synthetic), len(train), protocol().rows)
    return _Task(
        outcome,
        synthetic.shuffled(numpy_generator(seed, "utility", "synthetic"), size),
        train.shuffled(numpy_generator(seed, "utility", "train"), size),
        holdout.shuffled(numpy_generator(seed, "utility", "holdout"), protocol().rows),
    )


def _target(table: Matrix, outcome: LearntColumn) -> Floats:
    return np.asarray(table.values[:, table.place(outcome.name)])


def _codes(table: Matrix, outcome: LearntColumn) -> NDArray[np.int64]:
    return grid(outcome).codes(_target(table, outcome))


def _scored_classes(task: _Task) -> list[int]:
    """The classes with enough held-out patients in them and outside them."""
    counts = np.bincount(_codes(task.holdout, task.outcome), minlength=task.outcome.size)
    least = min(protocol().class_minimum, len(task.holdout) // 4)
    return [int(c) for c in np.flatnonzero((counts >= max(1, least)) & (counts < len(task.holdout)))]


def _learn_and_test(task: _Task, learnt_from: Matrix, learner: LearnerName, seed: int) -> _Result:
    small, outcome = small_seed(seed, "utility", learner), task.outcome
    known, rows = learnt_from.without([outcome.name]), task.holdout.without([outcome.name])
    if not task.is_class:
        fitted = fit_number(learner, known, _target(learnt_from, outcome), seed=small)
        return _r_squared(_target(task.holdout, outcome), fitted.predict(rows)[:, 0])
    fitted = fit_classes(learner, known, _codes(learnt_from, outcome), outcome.size, seed=small)
    return _macro_auroc(task, fitted.predict(rows))


def _macro_auroc(task: _Task, probabilities: Floats) -> _Result:
    truth, classes = _codes(task.holdout, task.outcome), _scored_classes(task)
    found = {c: auroc_influence(truth == c, probabilities[:, c]) for c in classes}
    values = [value for value, _ in found.values()]
    influence = np.mean([psi for _, psi in found.values()], axis=0)
    named = {_class_name(task.outcome, c): value for c, (value, _) in found.items()}
    return _Result(float(np.mean(values)), influence, named)


def _class_name(column: LearntColumn, code: int) -> str:
    """What the schema calls a class: its word, or its number."""
    if isinstance(column, CategoryColumn | CodeColumn):
        return column.values[code]
    if isinstance(column, BooleanColumn):
        return (column.false, column.true)[code]
    return str(grid(column).origin + code)


def _r_squared(truth: Floats, predicted: Floats) -> _Result:
    missed, spread = (truth - predicted) ** 2, (truth - truth.mean()) ** 2
    ratio = float(missed.mean() / spread.mean())
    return _Result(1 - ratio, -(missed - ratio * spread) / spread.mean(), {})
