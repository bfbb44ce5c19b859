"""Numbers that are declared finer than most patients are measured.

Two heart rates of a thousand may have been averaged, and their decimals make the column's grid fine: a range
of rarer values that is drawn uniformly then gives everybody decimals. Where most patients of a stretch of
ranges hold each tenth (hundredth, ...) code only, their share does so in what is drawn there too. The shares
are those of a stretch, since a single range has too few patients to be told apart any further.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.lattice import Lattice
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.marginals import CROWD

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_BASE = 10
_TWO = 2
_MOST = 0.5
_STRETCH = 10 * CROWD  # patients by whom a stretch is judged: precision may go by magnitude
_RARELY = 0.001  # of those who round, so that no finer value is impossible


def with_rounding(states: States, codes: Codes, size: int) -> States:
    """The states, with coarser lattices in the ranges whose patients round.

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
    found = [(ranges[s], _rounding(codes[np.isin(state, ranges[s]) & (codes >= 0)])) for s in stretches]
    low, high = states.low.copy(), states.high.copy()
    for some, rounding in found:
        for one in rounding[:1]:
            low[some], high[some] = _with_two(low[some], high[some], one, size)
    lattices = [_blank(low) for _ in range(max((len(rounding) for _, rounding in found), default=0))]
    for some, rounding in found:
        before: tuple[Codes, ...] | None = None
        for lattice, one in zip(lattices, rounding, strict=False):
            first, count = _inside(low[some], high[some], one)
            step, enough = np.full(len(some), one.step), count >= _TWO
            if before is None:  # where a column ends too soon, all of the range's codes have the chance
                before = low[some], np.ones_like(step), high[some] - low[some] + 1
            before = tuple(np.where(enough, *pair) for pair in zip((first, step, count), before, strict=True))
            lattice.first[some], lattice.step[some], lattice.count[some] = before
            lattice.chance[some] = one.chance
    return replace(states, low=low, high=high, rounded=tuple(lattices))


class _Rounding(NamedTuple):
    """Codes that leave `rest` when divided by `step`, and the chance of a patient to be measured so."""

    step: int
    rest: int
    chance: float


def _blank(low: Codes) -> Lattice:
    one = np.ones(len(low), np.int64)
    return Lattice(low.copy(), one, one.copy(), np.zeros(len(low)))


def _inside(low: Codes, high: Codes, one: _Rounding) -> tuple[Codes, Codes]:
    """The first round code of each range, and how many there are."""
    first = -((one.rest - low) // one.step) * one.step + one.rest
    return first, np.maximum((high - first) // one.step + 1, 0)


def _with_two(low: Codes, high: Codes, one: _Rounding, size: int) -> tuple[Codes, Codes]:
    """The ranges, those with fewer than two round codes as wide as those around them.

    A range with one round code would give the value of fewer than eleven patients.
    """
    below = (low - one.rest) // one.step * one.step + one.rest
    above = -((one.rest - high) // one.step) * one.step + one.rest
    few = _inside(low, high, one)[1] < _TWO
    return np.where(few & (below >= 0), below, low), np.where(few & (above < size), above, high)


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


def _rounding(codes: Codes) -> list[_Rounding]:
    """How the patients of a stretch round, the finest first; the others may have any code."""
    found, left, step, rest = list[_Rounding](), 1.0, 1, 0
    while step * _BASE <= np.ptp(codes):
        residues = codes % (step * _BASE)
        most = int(np.bincount((residues - rest) // step).argmax()) * step + rest
        on = residues == most
        # Who does not round has a round code too, in one case of ten.
        finer = (1 - on.mean()) / (1 - 1 / _BASE)
        if finer > _MOST:
            break
        told = finer if (~on).sum() >= CROWD else 0.0
        if step == 1:
            told = max(told, _RARELY)
        elif told:
            found.append(_Rounding(step, rest, left * told))
        codes, left, step, rest = codes[on], left * (1 - told), step * _BASE, most
    return [*found, _Rounding(step, rest, left)] if step > 1 else []
