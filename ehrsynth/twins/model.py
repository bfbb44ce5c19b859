"""One outcome's finished model: what it says of any patient in any arm, by name of each uncertainty.

Means are levelled: shifted in each arm (on the logit scale for shares) so that their average over the study's
population is the doubly robust one. What a cohort shows on average is then what the trial or study showed.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.twins.average import Average, Population
from ehrsynth.twins.conditional import Missed, error_of_sampling, interval
from ehrsynth.twins.conformal import Scores, number_interval, scores_of, shares_of, value_set
from ehrsynth.twins.fitting import Crosswise, Said, bounded
from ehrsynth.twins.leaves import Leaves
from ehrsynth.twins.outcomes import Outcome
from ehrsynth.twins.patients import Patients

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WIDEST = 12.0


class Interval(NamedTuple):
    """Two arrays: ends of intervals."""

    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What is said of n patients.

    Parameters
    ----------
    chances, means
        n x arms: the chance of each arm, and the mean outcome in it.
    effects, effect_interval
        n x (arms - 1): the conditional average effect against the reference, with its interval.
    outcomes
        n x arms: predictive interval of the outcome itself; for listed outcomes the ends of the set.
    sets
        n x arms x levels: which values the set holds; None for numbers.
    contrasts
        n x (arms - 1): an interval of the individual contrast, which holds whatever the coupling: the arms'
        intervals at half the error each (Bonferroni).
    by_fold, spread
        folds x n x arms: each fold's mean, and the spread around it, for drawing.
    shares
        n x arms x levels: the chance of each value; None for numbers.
    """

    chances: Floats
    means: Floats
    effects: Floats
    effect_interval: Interval
    outcomes: Interval
    sets: Mask | None
    contrasts: Interval
    by_fold: Floats
    spread: Floats
    shares: Floats | None

    def __len__(self) -> int:
        return len(self.means)


@dataclass(frozen=True, slots=True, eq=False)
class TwinModel:
    """One outcome's model."""

    fitted: Crosswise
    shifts: Floats
    scores: tuple[Scores, ...]
    missed: tuple[Missed, ...]
    leaves: tuple[Leaves, ...]

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        return self.fitted.outcome

    def levelled(self, means: Floats) -> Floats:
        """Means moved by the arms' shifts."""
        return moved(means, self.shifts, self.outcome)

    def predict(self, rows: Matrix, *, level: float, study: bool = False) -> Prediction:
        """Say everything of any patients.

        Parameters
        ----------
        level
            Of all intervals, for instance 0.9.
        study
            True: the rows are the study's own patients, all in their order; each is then spoken of by the
            models that did not see the patient.
        """
        by_fold = self.fitted.by_fold(rows)
        each = np.stack([self.levelled(said.means) for said in by_fold])
        variance = self._variance(rows, by_fold, each)
        own = self.fitted.said
        chances = own.chances if study else np.mean([said.chances for said in by_fold], axis=0)
        if study:
            each = np.tile(self.levelled(own.means), (len(by_fold), 1, 1))
            by_fold = (own,) * len(by_fold)
        means = each.mean(axis=0)
        effects = means[:, 1:] - means[:, :1]
        shares = self._shares(by_fold, each)
        spread = np.stack([s.spread(rows, len(each)) for s in self.scores], axis=2)
        whole, sets = self._outcomes(each, spread, shares, chances, level)
        halved, _ = self._outcomes(each, spread, shares, chances, (1 + level) / 2)
        return Prediction(
            chances=chances,
            means=means,
            effects=effects,
            effect_interval=Interval(*interval(effects, variance, level, len(each))),
            outcomes=whole,
            sets=sets,
            contrasts=Interval(
                halved.low[:, 1:] - halved.high[:, :1], halved.high[:, 1:] - halved.low[:, :1]
            ),
            by_fold=each,
            spread=spread,
            shares=None if shares is None else shares.mean(axis=0),
        )

    def _variance(self, rows: Matrix, by_fold: tuple[Said, ...], each: Floats) -> Floats:
        """Of the effects, n x (arms - 1): of sampling, and of what was missed."""
        found = error_of_sampling(tuple(_with(said, m) for said, m in zip(by_fold, each, strict=True)))
        effects = np.mean([said.effects for said in by_fold], axis=0)
        smooth = np.stack([missed.variance(rows) for missed in self.missed], axis=1)
        for arm, one in enumerate(self.leaves):
            found[:, arm] += one.variance(rows, effects)
        return np.asarray(found + smooth)

    def _shares(self, by_fold: tuple[Said, ...], each: Floats) -> Floats | None:
        """Folds x n x arms x levels."""
        if not self.outcome.discrete:
            return None
        return np.stack(
            [shares_of(means, said.shapes, self.outcome) for said, means in zip(by_fold, each, strict=True)]
        )

    def _outcomes(
        self, each: Floats, spread: Floats, shares: Floats | None, chances: Floats, level: float
    ) -> tuple[Interval, Mask | None]:
        lows, highs, sets = [], [], []
        for arm, scores in enumerate(self.scores):
            own = 1 / np.maximum(chances[:, arm], 1e-12) / scores.total
            if shares is None:
                low, high = number_interval(scores, each[:, :, arm], spread[:, :, arm], own, level=level)
            else:
                found = value_set(scores, shares[:, :, arm], own, level)
                sets.append(found)
                low, high = _ends(found)
            lows.append(low)
            highs.append(high)
        whole = Interval(np.stack(lows, axis=1), np.stack(highs, axis=1))
        return self._within_the_grid(whole), np.stack(sets, axis=1) if sets else None

    def _within_the_grid(self, found: Interval) -> Interval:
        """A number lies between the schema's bounds, so an interval need not reach beyond."""
        steps = self.outcome.steps
        if steps is None:
            return found
        return Interval(*(np.clip(end, steps.low, steps.high) for end in found))


def _ends(sets: Mask) -> tuple[Floats, Floats]:
    levels = sets.shape[1]
    low = sets.argmax(axis=1).astype(np.float64)
    return low, (levels - 1 - sets[:, ::-1].argmax(axis=1)).astype(np.float64)


def _with(said: Said, means: Floats) -> Said:
    return Said(said.chances, said.plain, means, means[:, 1:] - means[:, :1], said.shapes)


def twin_model(
    fitted: Crosswise, patients: Patients, found: Average, population: Population, *, seed: int
) -> TwinModel:
    """Finish an outcome's model.

    Parameters
    ----------
    found
        The doubly robust means of the arms in the population.
    population
        Of the study's own patients.
    """
    arms = fitted.said.means.shape[1]
    shifts = np.array(
        [
            _shift(fitted.said.means[:, arm], population.members, float(found.means[arm]), fitted.outcome)
            for arm in range(arms)
        ]
    )
    means = moved(fitted.said.means, shifts, fitted.outcome)
    scores = tuple(
        scores_of(fitted, patients, arm, means=means, ratio=population.ratio, seed=seed)
        for arm in range(arms)
    )
    missed = tuple(Missed(fitted, patients, arm, seed=seed) for arm in range(1, arms))
    leaves = tuple(Leaves(fitted, patients, arm, seed=seed) for arm in range(1, arms))
    return TwinModel(fitted, shifts, scores, missed, leaves)


def moved(means: Floats, shifts: Floats, outcome: Outcome) -> Floats:
    """Means shifted by arm: on the logit scale where they are bounded."""
    if not outcome.discrete:
        return means + shifts
    top = max(1, len(outcome.levels) - 1)
    return bounded(top * expit(logit(bounded(means, outcome) / top) + shifts), outcome)


def _shift(means: Floats, members: Floats, wanted: float, outcome: Outcome) -> float:
    if not members.sum() > 0:
        return 0.0
    if not outcome.discrete:
        return wanted - float(np.average(means, weights=members))

    def miss(shift: float) -> float:
        return float(np.average(moved(means, np.array(shift), outcome), weights=members)) - wanted

    # Where no shift reaches what is wanted (a share at its end), the nearest end is taken.
    if miss(-_WIDEST) >= 0:
        return -_WIDEST
    return _WIDEST if miss(_WIDEST) <= 0 else float(brentq(miss, -_WIDEST, _WIDEST, xtol=1e-9))
