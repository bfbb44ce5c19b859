"""What one candidate's synthetic patients are worth, on one split of the patients."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.learners import LEARNERS, LearnerName, fit_classes
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.privacy.nearest import blocks, distances, listed_columns, place
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility.prediction import Tables, mean_of, outcomes, predict, task, why_not
from ehrsynth.progress import silent
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema
from ehrsynth.statistics import auroc

MOST_TARGETS = 2_000
_FEWEST_IN_A_FOLD = 2


class Marks(NamedTuple):
    """One candidate on one split.

    `telling` is the AUROC of telling synthetic from unseen patients less 0.5, not below 0: 0 is perfect, 0.5
    worst. `utility` is the AUROC (or R2, not below 0) on unseen patients of models that learnt outcomes from
    synthetic ones: higher is better; None where the schema names no outcome that can be measured. `nearest`
    and `odds` are the AUROCs of telling the patients learnt from apart from unseen ones, by the distance to
    the nearest synthetic patient and by the odds of a patient to look synthetic: 0.5 is harmless, 1 worst.
    """

    telling: float
    utility: float | None
    nearest: float
    odds: float


def judge(
    train: pd.DataFrame, unseen: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, *, seed: int
) -> Marks:
    """Judge synthetic patients by the protocol's boosted trees and logistic regression, with equal weight.

    Parameters
    ----------
    train, unseen
        The patients that the candidate learnt from, and others; at least 10 of each.
    synthetic
        At least as many rows as `unseen`.
    """
    fresh, real, made = (matrix(table, schema) for table in (train, unseen, synthetic))
    told = [_told(learner, fresh, real, made, seed) for learner in LEARNERS]
    telling = np.mean([max(apart - 0.5, 0.0) for apart, _ in told])
    odds = told[LEARNERS.index("boosted_trees")][1]
    return Marks(float(telling), _utility(fresh, real, made, schema, seed), _nearest(fresh, real, made), odds)


def _told(learner: LearnerName, fresh: Matrix, real: Matrix, made: Matrix, seed: int) -> tuple[float, float]:
    """AUROCs of a learner in folds: synthetic against unseen patients, and learnt-from against unseen ones.

    The learner never saw the unseen patients whom it scores; those of the other folds are its reference.
    """
    apart, member = [], []
    for number, (rest, fold, copies) in enumerate(_folds(real, made, seed)):
        both = Matrix(real.columns, np.vstack([rest.values, copies[0].values]))
        label = np.repeat([0, 1], [len(rest), len(copies[0])])
        fitted = fit_classes(learner, both, label, 2, seed=small_seed(seed, "auto", learner, str(number)))
        unseen, own, known = (fitted.predict(rows)[:, 1] for rows in (fold, copies[1], fresh))
        apart.append(_auroc(own, unseen))
        member.append(_auroc(known, unseen))
    return float(np.mean(apart)), float(np.mean(member))


def _folds(real: Matrix, made: Matrix, seed: int) -> Iterator[tuple[Matrix, Matrix, tuple[Matrix, Matrix]]]:
    """Of the unseen patients those to learn from and those to test on; and so of as many synthetic ones."""
    size = min(len(real), len(made))
    one = real.shuffled(numpy_generator(seed, "auto", "unseen"), size)
    other = made.shuffled(numpy_generator(seed, "auto", "synthetic"), size)
    folds = max(2, min(protocol().folds, size // _FEWEST_IN_A_FOLD))
    at = np.arange(size) % folds
    for fold in range(folds):
        test = at == fold
        yield one.rows(~test), one.rows(test), (other.rows(~test), other.rows(test))


def _nearest(fresh: Matrix, real: Matrix, made: Matrix) -> float:
    """The AUROC of telling learnt-from from unseen patients by the distance to the nearest synthetic one."""
    listed, columns, near = listed_columns(made), range(len(made.columns)), []
    among = place(made, made)
    for targets in (fresh, real):
        placed = place(targets.rows(np.arange(min(len(targets), MOST_TARGETS))), made)
        near.append(
            np.concatenate(
                [
                    -distances(placed.rows(block), among, columns, listed).min(axis=1)
                    for block in blocks(len(placed), len(among))
                ]
            )
        )
    return _auroc(near[0], near[1])


def _auroc(positives: Floats, negatives: Floats) -> float:
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    return auroc(labels, np.concatenate([positives, negatives]))


def _utility(fresh: Matrix, real: Matrix, made: Matrix, schema: Schema, seed: int) -> float | None:
    tables = Tables(made, fresh, real)
    tasks = [one for outcome in outcomes(schema) if not why_not(one := task(outcome, tables, seed))]
    if not tasks:
        return None
    found = mean_of([predict(one, seed, silent) for one in tasks])
    return float(np.mean([max(found[learner].synthetic.value, 0.0) for learner in LEARNERS]))
