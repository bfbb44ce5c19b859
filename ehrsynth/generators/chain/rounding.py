"""Numbers that are declared finer than many patients are measured.

Two heart rates of a thousand may have been averaged, and their decimals make the column's grid fine: a range
of rarer values that is drawn uniformly then gives everybody decimals. Where at least nine in ten patients of
a stretch of ranges hold each tenth (hundredth, ...) code only, so does who is drawn there; the others are
too few to be described beside them. Where fewer do, but still most, each range of the stretch becomes two:
one of all its codes, and one of the round ones.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.states import States
from ehrsynth.generators.marginals import CROWD

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_BASE = 10
_NEARLY_ALL = 0.9
_LEAST_EXCESS = 0.5  # beyond what chance has: most of them round
_STRETCH = 10 * CROWD  # patients by whom a stretch is judged: precision may go by magnitude


def rounded(states: States, codes: Codes, size: int) -> States:
    """The states, with the codes of their ranges as far apart as patients hold them.

    Parameters
    ----------
    codes
        Of all patients, -1 for missing.
    size
        Number of points on the column's grid.
    """
    state = states.assign(codes)
    ranges = np.flatnonzero(states.width > 1)
    stretches = _stretches(np.bincount(state, minlength=len(states))[ranges])
    if not stretches:
        return states
    others = np.flatnonzero(states.width == 1)
    ends = [np.column_stack([states.low[others], states.high[others], np.ones(len(others), np.int64)])]
    shares = [states.share[others]]
    for stretch in stretches:
        some = ranges[stretch]
        most, *rounder = _grids(codes[np.isin(state, some) & (codes >= 0)])
        ends.append(_ends(states.low[some], states.high[some], most, size))
        shares.append(states.share[some] * most.share)
        for grid in rounder:
            inside = _inside(states.low[some], states.high[some], grid)
            # Where a range has fewer than two round codes, all are drawn as most are.
            ends.append(np.where((inside[:, 0] < inside[:, 1])[:, None], inside, ends[-1]))
            shares.append(states.share[some] * grid.share)
    return _merged(np.concatenate(ends), np.concatenate(shares))


class _Grid(NamedTuple):
    """Codes that leave `rest` when divided by `step`, and the share of patients who are measured so."""

    step: int
    rest: int
    share: float


def _inside(low: Codes, high: Codes, grid: _Grid) -> Codes:
    """The first and the last code of a grid in each range, and how far its codes are apart."""
    first = -((grid.rest - low) // grid.step) * grid.step + grid.rest
    last = (high - grid.rest) // grid.step * grid.step + grid.rest
    return np.column_stack([first, last, np.full(len(low), grid.step)])


def _ends(low: Codes, high: Codes, grid: _Grid, size: int) -> Codes:
    """The same, or those around a range that has fewer than two, or itself where the column ends before."""
    inside, step = _inside(low, high, grid), grid.step
    few = inside[:, 0] >= inside[:, 1]
    around = np.column_stack([(low - grid.rest) // step * step + grid.rest, high, inside[:, 2]])
    around[:, 1] = -((grid.rest - high) // step) * step + grid.rest
    beyond = (around[:, 0] < 0) | (around[:, 1] >= size) | (around[:, 0] == around[:, 1])
    found = np.where((few & ~beyond)[:, None], around, inside)
    return np.where((few & beyond)[:, None], np.column_stack([low, high, np.ones_like(low)]), found)


def _merged(ends: Codes, share: Floats) -> States:
    """States of these ends and steps in ascending order, the equal ones as one; missing last."""
    ends, same = np.unique(ends, axis=0, return_inverse=True)
    found = np.bincount(same.ravel(), share, minlength=len(ends)).astype(np.float64)
    middle = ends[:, 0] + ends[:, 1]
    order = np.argsort(np.where(ends[:, 0] < 0, middle.max() + 1, middle), kind="stable")
    low, high, steps = ends[order].T
    return States(low, high, found[order], steps)


def _stretches(held: Codes) -> list[slice]:
    """Runs of neighbouring ranges with enough patients to judge by; the last may be longer."""
    stops, patients = list[int](), 0
    for place, count in enumerate(held):
        patients += int(count)
        if patients >= _STRETCH:
            stops.append(place + 1)
            patients = 0
    if not stops:
        return [slice(0, len(held))] if patients >= CROWD else []
    stops[-1] = len(held)
    return [slice(a, b) for a, b in zip([0, *stops[:-1]], stops, strict=True)]


def _grids(codes: Codes) -> list[_Grid]:
    """The grid that nearly all patients of a stretch keep, and a coarser one if many keep that."""
    step, rest = _kept_by_nearly_all(codes)
    found, on = _next(codes, step, rest)
    # Who is measured finer holds a round number too, in one case of ten.
    excess = (on.mean() - 1 / _BASE) / (1 - 1 / _BASE)
    apart = step * _BASE <= np.ptp(codes) and min(on.sum(), (~on).sum()) >= CROWD
    if not apart or excess < _LEAST_EXCESS:
        return [_Grid(step, rest, 1.0)]
    return [
        _Grid(step, rest, 1 - excess),
        _Grid(*_kept_by_nearly_all(codes[on], step * _BASE, found), excess),
    ]


def _kept_by_nearly_all(codes: Codes, step: int = 1, rest: int = 0) -> tuple[int, int]:
    """The coarsest power of ten that nearly all codes are apart, and what they leave when divided by it."""
    while step * _BASE <= np.ptp(codes):
        found, on = _next(codes, step, rest)
        if not on.mean() >= _NEARLY_ALL:
            break
        step, rest = step * _BASE, found
    return step, rest


def _next(codes: Codes, step: int, rest: int) -> tuple[int, NDArray[np.bool_]]:
    """What most leave when divided by ten times a step, and who does."""
    left = codes % (step * _BASE)
    found = int(np.bincount(left[left % step == rest] // step).argmax()) * step + rest
    return found, left == found
