"""What the pattern of missing values alone tells about an outcome."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.learners import fit_classes
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility.prediction import codes, is_class, outcomes
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import BooleanColumn, LearntColumn, Schema
from ehrsynth.statistics import Estimate, auroc_influence, interval_of_influence, normal_quantile

Whole = NDArray[np.int64]
_TABLES = ("real", "synthetic", "train")


class _Side(NamedTuple):
    """The patients of one table who know the outcome: which other columns are missing, and the outcome."""

    gaps: Matrix
    classes: Whole


class _Auroc(NamedTuple):
    value: float
    influence: Floats

    @property
    def variance(self) -> float:
        return float(np.sum(self.influence**2)) / len(self.influence) ** 2


def telling_gaps(schema: Schema, tables: tuple[Matrix, Matrix, Matrix], *, seed: int) -> dict[str, Any]:
    """How well each outcome is predicted from which other values are missing, in each table by itself.

    Tests are ordered for sick patients, so that a missing result often tells more than its value would; a
    generator that scatters gaps at random loses this. Logistic regression on one flag for each column learns
    from one half of a table and is tested on the other; AUROC, for more than two classes the mean of one
    against the rest. Halves rather than cross-validation: its folds learn from each other's tests, which made
    these intervals too narrow by half where gaps tell nothing.

    Parameters
    ----------
    tables
        Held-out, synthetic and training patients.

    Returns
    -------
    dict
        For each outcome the AUROC of the three tables, 0.5 where gaps tell nothing, and the differences
        synthetic - real (0 is best) and train - real (`reference`), with 95 % intervals; and what was left
        out and why. The intervals are over the patients tested, for what was learnt as it is: where few
        patients have the outcome, learning from others would move the result further.
    """
    found, left_out = [], {}
    for outcome in outcomes(schema):
        if not is_class(outcome):
            left_out[outcome.name] = "a number"
            continue
        sides = [_side(t, outcome, seed, name) for t, name in zip(tables, _TABLES, strict=True)]
        scored = _scored(outcome, sides)
        if not any(side.gaps.values.any() for side in sides):
            left_out[outcome.name] = "no other value is missing in any table"
        elif not scored:
            left_out[outcome.name] = (
                f"fewer than {2 * protocol().class_minimum} patients of a class in a table"
            )
        else:
            found.append(_compared(outcome, sides, scored, seed))
    return {"measured": found, "left_out": left_out}


def _side(table: Matrix, outcome: LearntColumn, seed: int, name: str) -> _Side:
    known = table.rows(codes(table, outcome) >= 0)
    known = known.shuffled(numpy_generator(seed, "gaps", name), protocol().rows)
    others = known.without([outcome.name])
    flags = tuple(BooleanColumn(name=column) for column in others.names)
    return _Side(Matrix(flags, np.isnan(others.values).astype(np.float64)), codes(known, outcome))


def _scored(outcome: LearntColumn, sides: list[_Side]) -> list[int]:
    """The classes with enough patients in them, and outside them, in each table."""
    counts = np.array([np.bincount(side.classes, minlength=outcome.size) for side in sides])
    enough = np.minimum(counts, counts.sum(axis=1, keepdims=True) - counts) >= 2 * protocol().class_minimum
    return [int(code) for code in np.flatnonzero(enough.all(axis=0))]


def _compared(outcome: LearntColumn, sides: list[_Side], scored: list[int], seed: int) -> dict[str, Any]:
    real, made, train = (_auroc(side, outcome.size, scored, seed) for side in sides)
    bounds = (0.0, 1.0)
    each = {
        name: interval_of_influence(one.value, one.influence, bounds=bounds)._asdict()
        for name, one in zip(_TABLES, (real, made, train), strict=True)
    }
    return {
        "outcome": outcome.name,
        **each,
        "difference": _difference(made, real)._asdict(),
        "reference": _difference(train, real)._asdict(),
    }


def _auroc(side: _Side, classes: int, scored: list[int], seed: int) -> _Auroc:
    learnt = _half(side.classes, seed)
    small = small_seed(seed, "gaps", "learner")
    fitted = fit_classes(
        "logistic_regression", side.gaps.rows(learnt), side.classes[learnt], classes, seed=small
    )
    risk, truth = fitted.predict(side.gaps.rows(~learnt)), side.classes[~learnt]
    found = [auroc_influence(truth == code, risk[:, code]) for code in scored]
    return _Auroc(float(np.mean([v for v, _ in found])), np.mean([psi for _, psi in found], axis=0))


def _half(classes: Whole, seed: int) -> Mask:
    """One half of the rows, and of each class."""
    order = numpy_generator(seed, "gaps", "half").permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    half = np.zeros(len(classes), np.bool_)
    half[order[::2]] = True
    return half


def _difference(one: _Auroc, other: _Auroc) -> Estimate:
    value = one.value - other.value
    half = normal_quantile(0.95) * float(np.sqrt(one.variance + other.variance))
    return Estimate(value, value - half, value + half)
