"""Are outcomes as they were said to be? Told on patients of each arm whom the models did not see."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from ehrsynth.evaluation.strata import Stratum
from ehrsynth.statistics import Estimate, wilson
from ehrsynth.twins.conformal import number_interval, shares_of, value_set
from ehrsynth.twins.model import TwinModel
from ehrsynth.twins.patients import Patients

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FIFTHS = 5
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Fifth:
    """A fifth of an arm's patients, by what was said of them: mean said, mean seen with its 95 % interval."""

    said: float
    seen: Estimate
    patients: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """One arm. A slope of 1 and an intercept of 0 are perfect; a slope below 1 is said too boldly.

    On the logit scale for shares, by least squares for numbers and positions.
    """

    arm: int
    slope: float
    intercept: float
    fifths: tuple[Fifth, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of outcomes seen that lay in their predictive interval, with its 95 % interval."""

    arm: int
    group: str
    value: Estimate
    patients: int


def calibrate(model: TwinModel, patients: Patients) -> tuple[Calibration, ...]:
    """The calibration of each arm."""
    target, means = model.fitted.target, model.levelled(model.fitted.said.means)
    found = []
    for arm in range(means.shape[1]):
        rows = np.flatnonzero((patients.arm == arm) & (target.weights > 0))
        said, seen, weight = means[rows, arm], target.values[rows], target.weights[rows]
        event = model.outcome.event and bool(np.isin(seen, (0.0, 1.0)).all())
        slope, intercept = _line(said, seen, weight, event=event)
        found.append(Calibration(arm, slope, intercept, tuple(_fifths(said, seen, weight))))
    return tuple(found)


def _line(said: Floats, seen: Floats, weight: Floats, *, event: bool) -> tuple[float, float]:
    if np.ptp(said) <= 1e-9 * max(1.0, float(np.abs(said).max())) or np.ptp(seen) == 0:
        return float("nan"), float(np.average(seen - said, weights=weight))
    if event:
        x = logit(said)[:, None]
        line = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(x, seen > 0, sample_weight=weight)
        return float(line.coef_[0, 0]), float(line.intercept_[0])
    centred = said - np.average(said, weights=weight)
    slope = float((weight * centred * seen).sum() / (weight * centred**2).sum())
    return slope, float(np.average(seen, weights=weight) - slope * np.average(said, weights=weight))


def _fifths(said: Floats, seen: Floats, weight: Floats) -> list[Fifth]:
    found = []
    for rows in np.array_split(np.argsort(said, kind="stable"), _FIFTHS):
        if len(rows) < 2:  # noqa: PLR2004 - one patient has no spread
            continue
        w = weight[rows] / weight[rows].sum()
        mean = float(w @ seen[rows])
        half = 1.96 * float(np.sqrt((w**2 * (seen[rows] - mean) ** 2).sum()))
        found.append(Fifth(float(w @ said[rows]), Estimate(mean, mean - half, mean + half), len(rows)))
    return found


def cover(
    model: TwinModel, patients: Patients, groups: tuple[Stratum, ...], level: float
) -> tuple[Coverage, ...]:
    """How often predictive intervals held what was seen: over all of an arm, and in each group.

    Each fold's patients are tried with the scores of the others. Weights for lost follow-up count; those for
    the population do not, since it is the arm's own patients who are covered.
    """
    found = []
    for arm in range(model.fitted.said.means.shape[1]):
        held = _held(model, patients, arm, level)
        everyone = np.ones(len(patients), np.bool_)
        for name, mask in (("all patients", everyone), *((one.name, one.masks[0]) for one in groups)):
            rows = mask & ~np.isnan(held)
            if rows.sum() >= _FEWEST:
                found.append(_coverage(arm, name, held[rows], model.fitted.target.weights[rows]))
    return tuple(found)


def _coverage(arm: int, name: str, held: Floats, weight: Floats) -> Coverage:
    worth = weight.sum() ** 2 / (weight**2).sum()
    share = float(np.average(held, weights=weight))
    low, high = wilson(share * worth, worth)
    return Coverage(arm, name, Estimate(share, low, high), len(held))


def _held(model: TwinModel, patients: Patients, arm: int, level: float) -> Floats:
    """1 where the interval held what was seen, 0 where not, NaN for other patients."""
    fitted, outcome = model.fitted, model.outcome
    target, said, scores = fitted.target, fitted.said, model.scores[arm]
    means, found = model.levelled(said.means), np.full(len(patients), np.nan)
    for number in range(len(fitted.models)):
        rows = np.flatnonzero((fitted.unseen.fold == number) & (patients.arm == arm) & (target.weights > 0))
        others = scores.of(scores.fold != number)
        if not len(rows) or not len(others.fold):
            continue
        others = replace(others, fold=np.zeros(len(others.fold), np.int64))
        own = 1 / np.maximum(said.chances[rows, arm], 1e-12) / others.total
        if not outcome.discrete:
            spread = scores.spread(patients.covariates.rows(rows), len(fitted.models))[[number]]
            low, high = number_interval(others, means[rows, arm][None], spread, own, level=level)
            found[rows] = (low <= target.values[rows]) & (target.values[rows] <= high)
            continue
        shapes = None if said.shapes is None else said.shapes[rows]
        shares = shares_of(means[rows], shapes, outcome)[:, arm]
        sets = value_set(others, shares[None], own, level)
        value = np.clip(np.rint(target.values[rows]), 0, shares.shape[1] - 1).astype(np.int64)
        found[rows] = sets[np.arange(len(rows)), value]
    return found
