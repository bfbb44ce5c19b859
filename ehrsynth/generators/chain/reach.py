"""Unknown moments that are near a known later one: the admission of a patient whose discharge is known.

A later date is counted from the earlier one, so that few of all dates can come before it in time. Drawn
freely, nearly every particle would contradict what is known. So most of a patient's particles are drawn
within reach of it, with the probability of doing so as their weight, and the others beyond it (stratified
importance sampling: Owen 2013, "Monte Carlo theory, methods and examples", sections 8.4 and 9.1).
"""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.chain.link import Link
from ehrsynth.generators.chain.particles import Chain, Particles

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WITHIN = 0.75  # of a patient's particles
_NARROW = 0.5  # of all dates: a wider reach tells little


def reaches(chain: Chain, known: Codes) -> tuple[Codes, Codes]:
    """The first and last code of each unknown cell from which what is known can be counted.

    Parameters
    ----------
    known
        n x learnt columns, -1 where unknown.

    Returns
    -------
    low, high
        As `known`; the first and the last of the grid where nothing is known.
    """
    sizes = np.array([column.size for column in chain.schema.learnt])
    low, high = np.where(known >= 0, known, 0), np.where(known >= 0, known, sizes - 1)
    for step in sorted(chain.elapsed, reverse=True):
        elapsed, link, place = chain.elapsed[step], chain.links[step], chain.order[step]
        if not isinstance(link, Link):
            continue
        times = (link.states.low >= 0) & (link.states.low < elapsed.border)
        if not times.any():
            continue
        ends = int(link.states.low[times].min()), int(link.states.high[times].max())
        first, last = elapsed.origins(low[:, place], high[:, place], ends)
        first, last = np.maximum(first, low[:, elapsed.origin]), np.minimum(last, high[:, elapsed.origin])
        # Out of reach altogether, as a patient who stayed longer than anyone: nothing is said.
        told = ((high - low)[:, place] < sizes[place] - 1) & (first <= last)
        low[:, elapsed.origin] = np.where(told, first, low[:, elapsed.origin])
        high[:, elapsed.origin] = np.where(told, last, high[:, elapsed.origin])
    return low, high


def draw_in_reach(
    run: Particles,
    step: int,
    drawn: tuple[Codes, Mask],
    reach: tuple[Codes, Codes],
    *,
    rng: np.random.Generator,
) -> Codes:
    """The codes of one step, of which most are drawn again within reach where that is narrow.

    The weights of the run change with it.

    Parameters
    ----------
    drawn
        The codes as they were drawn freely, and which of them might have been missing.
    reach
        The first and the last code for each family of particles.
    """
    (free, open_), (low, high) = drawn, reach
    size = run.chain.schema.learnt[run.chain.order[step]].size
    narrow = np.flatnonzero((low < high) & (high - low + 1 < _NARROW * size))
    if not len(narrow):
        return free
    together = len(run) // len(low)
    within = np.arange(together) < _WITHIN * together
    rows = narrow[:, None] * together + np.arange(together)
    codes, weight = free.copy(), np.ones(len(run))
    inner, outer = rows[:, within], rows[:, ~within]
    present = np.ones(len(run))
    present[inner] = _drawn(run, step, inner.ravel(), (0, size - 1), rng)[1].reshape(inner.shape)
    present[open_] = 1.0  # else it is given that there is a value
    for first, last in np.unique(np.column_stack([low, high])[narrow], axis=0):
        some = inner[(low[narrow] == first) & (high[narrow] == last)].ravel()
        codes[some], mass = _drawn(run, step, some, (int(first), int(last)), rng)
        weight[some] = np.divide(mass, present[some], out=np.zeros(len(some)), where=present[some] > 0)
    beyond = (codes[outer] < low[narrow, None]) | (codes[outer] > high[narrow, None])
    weight[inner] *= together / within.sum()
    weight[outer] = beyond * (together / (~within).sum())
    # Where there is no value to fill in, none is in reach.
    none = (free < 0) & ~open_
    codes[none], weight[none] = free[none], 1.0
    with np.errstate(divide="ignore"):
        run.log_weight += np.log(weight)
    return codes


def _drawn(
    run: Particles, step: int, rows: Codes, ends: tuple[int, int], rng: np.random.Generator
) -> tuple[Codes, Floats]:
    allowed = CodeSet((ends,), missing=False)
    return run.drawn(step, rows, run.matrix[:, :step], allowed=allowed, rng=rng)
