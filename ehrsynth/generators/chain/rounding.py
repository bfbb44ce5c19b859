"""Numbers that are declared finer than nearly all patients are measured.

Two heart rates of a thousand may have been averaged, and their decimals make the column's grid fine: a range
of rarer values that is drawn uniformly then gives everybody decimals. Where at least nine in ten patients of
a stretch of ranges hold each tenth (hundredth, ...) code only, so does who is drawn there; the others are
too few to be described beside them.
"""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.states import States
from ehrsynth.generators.marginals import CROWD

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_BASE = 10
_MOST_FINER = 0.1
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
    held = np.bincount(state, minlength=len(states))[ranges]
    low, high, steps = states.low.copy(), states.high.copy(), np.ones(len(states), np.int64)
    for stretch in _stretches(held):
        some = ranges[stretch]
        step, rest = _grid(codes[np.isin(state, some) & (codes >= 0)])
        if step > 1:
            ends = _ends(low[some], high[some], step, rest, size)
            fits = ends[0] < ends[1]
            low[some], high[some] = np.where(fits, ends, (low[some], high[some]))
            steps[some] = np.where(fits, step, 1)
    return _merged(low, high, steps, states.share)


def _ends(low: Codes, high: Codes, step: int, rest: int, size: int) -> tuple[Codes, Codes]:
    """The first and the last code of a grid in each range, or around one that has fewer than two of them."""
    below, above = (low - rest) // step * step + rest, -((rest - high) // step) * step + rest
    first, last = below + step * (below < low), above - step * (above > high)
    narrow = (first >= last) & (below >= 0) & (above < size)
    return np.where(narrow, below, first), np.where(narrow, above, last)


def _merged(low: Codes, high: Codes, steps: Codes, share: Floats) -> States:
    """States of these ends in ascending order, the equal ones as one; missing last."""
    ends, same = np.unique(np.column_stack([low, high, steps]), axis=0, return_inverse=True)
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


def _grid(codes: Codes) -> tuple[int, int]:
    """The coarsest power of ten that nearly all codes keep apart, and what they leave when divided by it."""
    step, rest = 1, 0
    while len(codes):
        coarser = step * _BASE
        left = codes % coarser
        found = int(np.bincount(left[left % step == rest] // step).argmax()) * step + rest
        if coarser > np.ptp(codes) or (left != found).mean() > _MOST_FINER:
            break
        step, rest = coarser, found
    return step, rest
