"""The distribution of largest entropy that fits noisy marginals as well as they can be fitted.

Entropic mirror descent over the marginals of a junction tree (McKenna, Sheldon and Miklau 2019, algorithm 2).
Everything here sees noisy counts only: it is post-processing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.graphical.junction import Calibrated, Clique, Junction, junction_tree, spread, summed

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_STEP_UP, _STEP_DOWN = 1.3, 0.5
_FEWEST_GAINS = 25
_NO_STEP = 1e-12
_ENOUGH = 1e-4  # of the loss, over so many steps


@dataclass(frozen=True, eq=False)
class Measurement:
    """Noisy counts of combinations.

    Parameters
    ----------
    variables
        Ascending.
    groups
        For each variable which group of values each value belongs to, counted from 0.
    counts
        One axis for each variable, one place for each group.
    deviation
        Standard deviation of the noise of each count.
    """

    variables: Clique
    groups: tuple[Codes, ...]
    counts: Floats
    deviation: float

    def gathered(self, table: Floats) -> Floats:
        """A table over the variables' values, summed over the groups."""
        for axis, group in enumerate(self.groups):
            table = _gather(table, group, axis, self.counts.shape[axis])
        return table

    def scattered(self, table: Floats) -> Floats:
        """A table over groups as one over values: each value takes its group's number."""
        for axis, group in enumerate(self.groups):
            if self.counts.shape[axis] != len(group):
                table = table.take(group, axis=axis)
        return table


def _gather(table: Floats, group: Codes, axis: int, size: int) -> Floats:
    if size == len(group):
        return table
    found = np.zeros((size, *np.delete(table.shape, axis)))
    np.add.at(found, group, np.moveaxis(table, axis, 0))
    return np.moveaxis(found, 0, axis)


def total_of(measurements: Sequence[Measurement]) -> float:
    """How many patients all measurements together say, each weighed by its noise; at least 1."""
    sums = np.array([m.counts.sum() for m in measurements])
    weights = np.array([1 / (m.deviation**2 * m.counts.size) for m in measurements])
    return max(1.0, float((sums * weights).sum() / weights.sum()))


@dataclass(frozen=True, eq=False)
class Estimate:
    """A junction tree, its log potentials, and what they make of it."""

    junction: Junction
    potentials: tuple[Floats, ...]
    calibrated: Calibrated
    total: float


def estimate(
    sizes: Sequence[int],
    measurements: Sequence[Measurement],
    zeros: Sequence[tuple[Clique, Floats]] = (),
    *,
    steps: int,
    start: Estimate | None = None,
) -> Estimate:
    """Fit.

    Parameters
    ----------
    sizes
        Values of each variable.
    zeros
        Log potentials that stay as they are: minus infinity for what is impossible, 0 elsewhere.
    steps
        Most steps of descent.
    start
        An earlier estimate to begin with; its potentials are carried over.
    """
    sets = [m.variables for m in measurements] + [clique for clique, _ in zeros]
    junction = junction_tree(sizes, sets if start is None else [*sets, *start.junction.cliques])
    if start is not None:
        # Cliques that only triangulation made need not be kept.
        smaller = junction_tree(sizes, sets)
        junction = smaller if _holds(smaller, start.junction) else junction
    total = total_of(measurements)
    potentials = _beginning(junction, zeros, start)
    fixed = [(junction.holder(m.variables), m) for m in measurements]
    potentials, calibrated = _descended(junction, potentials, fixed, total, steps)
    return Estimate(junction, tuple(potentials), calibrated, total)


def _holds(junction: Junction, earlier: Junction) -> bool:
    return all(junction.holder(clique) >= 0 for clique in earlier.cliques)


def _beginning(
    junction: Junction, zeros: Sequence[tuple[Clique, Floats]], start: Estimate | None
) -> list[Floats]:
    potentials = junction.flat()
    known = zeros if start is None else [*zip(start.junction.cliques, start.potentials, strict=True), *zeros]
    for clique, table in known:
        place = junction.holder(clique)
        potentials[place] = potentials[place] + spread(table, clique, junction.cliques[place])
    return potentials


def _descended(
    junction: Junction,
    potentials: list[Floats],
    fixed: Sequence[tuple[int, Measurement]],
    total: float,
    steps: int,
) -> tuple[list[Floats], Calibrated]:
    """Mirror descent with a step that grows while it helps."""
    now = junction.calibrated(potentials)
    loss, gradients = _loss(junction, now, fixed, total)
    step, history = 1 / total, [loss]
    for _ in range(steps):
        while True:
            trial = [p - step * g if g is not None else p for p, g in zip(potentials, gradients, strict=True)]
            then = junction.calibrated(trial)
            found, slopes = _loss(junction, then, fixed, total)
            if found <= loss or step < _NO_STEP / total:
                break
            step *= _STEP_DOWN
        potentials, now, loss, gradients = trial, then, found, slopes
        step *= _STEP_UP
        history.append(loss)
        if (
            len(history) > _FEWEST_GAINS
            and history[-_FEWEST_GAINS] - loss <= _ENOUGH * history[-_FEWEST_GAINS]
        ):
            break
    return potentials, now


def _loss(
    junction: Junction, now: Calibrated, fixed: Sequence[tuple[int, Measurement]], total: float
) -> tuple[float, list[Floats | None]]:
    """Half the sum of squared errors in units of their noise, and its slope by each clique's marginal."""
    loss, slopes = 0.0, list[Floats | None]([None] * len(junction.cliques))
    for place, measured in fixed:
        clique = junction.cliques[place]
        found = measured.gathered(summed(now.marginals[place], clique, measured.variables)) * total
        error = (found - measured.counts) / measured.deviation
        loss += float((error**2).sum()) / 2
        slope = spread(measured.scattered(error / measured.deviation), measured.variables, clique)
        before = slopes[place]
        slopes[place] = slope if before is None else before + slope
    return loss, slopes
