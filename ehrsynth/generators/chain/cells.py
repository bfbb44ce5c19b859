"""The cells of a column: which states the coarse step tells apart, and which only the fine step does."""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]

GROUPS = 8
MOST_OWN_CELLS = 16
MOST_LISTED_CELLS = 48
_SPIKE = 0.6 / GROUPS


def cells_of(states: States, *, ordered: bool) -> Codes:
    """The cell of each state, counted from 0.

    Few states each have a cell; many numbers fall into runs of neighbours, many categories into the frequent
    ones and groups of rare ones. Missing is never with others.
    """
    if len(states) <= MOST_OWN_CELLS or (not ordered and len(states) <= MOST_LISTED_CELLS):
        return np.arange(len(states))
    return _runs(states) if ordered else _frequent_and_rest(states)


def _runs(states: States) -> Codes:
    """Runs of neighbours with about 1 / GROUPS of the patients each; a frequent value is its own cell."""
    cell, number, held = np.empty(len(states), np.int64), 0, 0.0
    for place, share in enumerate(states.share):
        alone = share >= _SPIKE or states.is_missing[place]
        if held > 0 and (alone or held >= 1 / GROUPS):
            number, held = number + 1, 0.0
        cell[place] = number
        held += share
        if alone:
            number, held = number + 1, 0.0
    return _counted(cell)


def _frequent_and_rest(states: States) -> Codes:
    """The most frequent categories each in a cell of its own, the others in cells of similar frequency."""
    order = np.argsort(-states.share, kind="stable")
    cell = np.empty(len(states), np.int64)
    own = MOST_LISTED_CELLS // 2
    cell[order[:own]] = np.arange(own)
    rest = order[own:]
    held = np.cumsum(states.share[rest])
    cell[rest] = own + np.minimum((held / held[-1] * GROUPS).astype(np.int64), GROUPS - 1)
    return _counted(np.where(states.is_missing, cell.max() + 1, cell))


def _counted(cell: Codes) -> Codes:
    return np.unique(cell, return_inverse=True)[1].astype(np.int64)
