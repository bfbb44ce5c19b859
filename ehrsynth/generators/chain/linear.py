"""Multinomial logistic regression on coarse features, as a score card: points for each level of each feature.

It is what boosted trees begin from. A tree that must leave ten patients in a leaf and stops early pulls small
groups towards everybody; a ridge on few coefficients does so far less (Hoerl and Kennard 1970).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.features import Feature, Features
from ehrsynth.generators.marginals import CROWD

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

MOST_INPUTS = 2_000
MOST_LEVELS = 32
_MOST_NUMBERS = 20_000_000  # of the design matrix: 80 MB
_STEPS = 60
_CURVES = 3  # inputs of a number: missing, slope, curve


@dataclass(frozen=True, eq=False)
class ScoreCard:
    """Weights of the inputs (inputs x classes) and of no input at all (`bias`, classes).

    The inputs of feature i are `ends[i - 1]` to ``ends[i] - 1``; `level` is the feature's value that an input
    stands for, or -1 for the inputs of a number. `cells` is each number's count of cells, 0 for a category.
    """

    cells: Codes
    ends: Codes
    level: Codes
    weights: Singles
    bias: Singles

    def scores(self, features: Features) -> Floats:
        """The sum of the points, n x classes."""
        total = np.tile(self.bias, (len(features), 1))
        for place, points in enumerate(self._points):
            if points.any():
                total += points[np.minimum(features[:, place].astype(np.int64), len(points) - 1)]
        return total.astype(np.float64)

    @cached_property
    def _points(self) -> list[Singles]:
        """The points of each feature by its value; the last row stands for all larger values."""
        starts, found = np.append(0, self.ends[:-1]), []
        for start, stop, cells in zip(starts, self.ends, self.cells, strict=True):
            level, weights = self.level[start:stop], self.weights[start:stop]
            if cells:
                found.append(_number_basis(cells)[:, : len(weights)] @ weights)
            else:
                found.append(_category_points(level, weights))
        return found

    def checked(self, features: int, classes: int) -> Self:
        """Itself, if it gives so many classes from so many features.

        Raises
        ------
        ModelError
            If it does not.
        """
        inputs = len(self.level)
        fine = self.weights.shape == (inputs, classes) and self.bias.shape == (classes,)
        fine = fine and self.cells.shape == self.ends.shape == (features,)
        fine = fine and bool(np.isfinite(self.weights).all()) and bool(np.isfinite(self.bias).all())
        fine = fine and bool((np.diff(self.ends, prepend=0) >= 0).all()) and int(self.ends[-1]) == inputs
        fine = fine and bool(((self.cells >= 0) & (self.cells < 1 << 16)).all())
        fine = fine and bool(((self.level >= -1) & (self.level < 1 << 20)).all())
        numbers = np.diff(self.ends, prepend=0)[self.cells > 0]
        if not fine or not np.isin(numbers, (0, _CURVES)).all():
            message = "a stored score card does not fit its column: the model is damaged"
            raise ModelError(message)
        return self


def _number_basis(cells: int) -> Singles:
    """What the values 0 (missing), 1, ... of a number become: values x inputs (missing, slope, curve).

    Normal scores and not ranks: what a straight line says of a number with tails is told most by these.
    """
    missing = np.arange(cells + 1) == 0
    at = np.where(missing, 0.0, ndtri(np.maximum(np.arange(cells + 1) - 0.5, 0.5) / cells))
    return np.column_stack([missing, at, np.where(missing, 0.0, (at**2 - 1) / 2)]).astype(np.float32)


def _category_points(level: Codes, weights: Singles) -> Singles:
    points = np.zeros((level.max(initial=0) + 2, weights.shape[1]), np.float32)
    points[level] = weights
    return points


def learn_score_card(
    features: Features, label: Codes, shapes: Floats, seen: Sequence[Feature], *, ridge: float
) -> ScoreCard:
    """Fit by penalised maximum likelihood.

    Parameters
    ----------
    features
        n x features, at least one.
    label
        One class a row, 0 to classes - 1.
    shapes
        Shapes x classes: the points of an input over the classes are a weighted sum of these. The identity
        lets each class have points of its own (see `card_shapes`).
    seen
        What the columns of `features` are.
    ridge
        Half the penalty on each squared weight, in units of log likelihood; above 0.
    """
    cells = np.array([0 if f.listed else len(f.cuts) + 1 for f in seen], np.int64)
    levels = _levels(features, cells)
    level, ends = np.concatenate(levels), np.cumsum([len(kept) for kept in levels])
    rows = max(CROWD, min(len(label), _MOST_NUMBERS // max(len(level), 1)))
    design = np.empty((rows, len(level)), np.float32)
    for place, (kept, stop) in enumerate(zip(levels, ends, strict=True)):
        values = features[:rows, place].astype(np.int64)
        piece = _number_basis(cells[place])[values] if cells[place] else values[:, None] == kept
        design[:, stop - len(kept) : stop] = piece[:, : len(kept)]
    weights, bias = _fitted(design, label[:rows], shapes, ridge)
    return ScoreCard(cells, ends, level, weights, bias)


def _levels(features: Features, cells: Codes) -> list[Codes]:
    """The inputs of each feature: frequent categories, without the most frequent, which all others face."""
    most = min(MOST_LEVELS, max(_CURVES, MOST_INPUTS // len(cells)))
    found = []
    for place, count in enumerate(cells):
        held = np.bincount(features[:, place].astype(np.int64))
        frequent = np.argsort(-held, kind="stable")[1 : most + 1]
        is_constant = bool((held == held.sum()).any())
        numbers = np.full(0 if is_constant else _CURVES, -1)
        found.append(numbers if count else np.sort(frequent[held[frequent] >= CROWD]))
    return found


def _fitted(design: Singles, label: Codes, shapes: Floats, ridge: float) -> tuple[Singles, Singles]:
    (rows, inputs), (kinds, classes) = design.shape, shapes.shape
    hit, narrow = label[:, None] == np.arange(classes), shapes.astype(np.float32)
    start = np.zeros(inputs * kinds + classes)
    start[-classes:] = np.log((hit.sum(axis=0) + 0.5) / (rows + 0.5 * classes))

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, bias = flat[:-classes].reshape(inputs, kinds), flat[-classes:]
        scores = (design @ weights.astype(np.float32) @ narrow).astype(np.float64) + bias
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        total = odds.sum(axis=1, keepdims=True)
        gap = odds / total - hit
        slope = design.T @ (gap.astype(np.float32) @ narrow.T) + ridge * weights
        lost = np.log(total).sum() - scores[hit].sum() + ridge / 2 * (weights**2).sum()
        return float(lost) / rows, np.concatenate([slope.ravel(), gap.sum(axis=0)]) / rows

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "gtol": 1e-5})
    weights = found.x[:-classes].reshape(inputs, kinds) @ shapes
    return weights.astype(np.float32), found.x[-classes:].astype(np.float32)


_FIELDS = ("cells", "ends", "level", "weights", "bias")


def pack_score_card(card: ScoreCard) -> dict[str, NDArray[Any]]:
    """A score card as named arrays, for a model's folder."""
    return {field: getattr(card, field) for field in _FIELDS}


def unpack_score_card(fields: Mapping[str, NDArray[Any]], features: int, classes: int) -> ScoreCard:
    """The score card that `pack_score_card` made, its weights perhaps flat.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    held = {field: fields[field] for field in _FIELDS}
    if len(held["weights"].ravel()) == len(held["level"]) * classes:
        held["weights"] = held["weights"].reshape(len(held["level"]), classes)
    return ScoreCard(**held).checked(features, classes)
