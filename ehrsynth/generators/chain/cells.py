"""The cells of a column: which states the coarse step tells apart, and which only the fine step does."""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]

GROUPS = 8
MOST_OWN_CELLS = 16
MOST_LISTED_CELLS = 48
FEWEST_IN_A_CELL = 300
_SPIKE = 0.6


def cells_of(states: States, *, ordered: bool) -> Codes:
    """The cell of each state, counted from 0.

    Few states each have a cell; many numbers fall into runs of neighbours, many categories into the frequent
    ones and groups of rare ones. Missing is never with others.
    """
    if len(states) <= MOST_OWN_CELLS or (not ordered and len(states) <= MOST_LISTED_CELLS):
        return np.arange(len(states))
    return _numbers(states) if ordered else _frequent_and_rest(states)


def finer_cells(states: States, cell: Codes, patients: int) -> tuple[Codes, Codes]:
    """Cells within the cells of numbers, and the cell that each of them lies in.

    A cell of many patients and several states is cut into up to GROUPS runs of at least `FEWEST_IN_A_CELL`.
    """
    finer, within = np.empty(len(states), np.int64), list[int]()
    for number in range(int(cell.max()) + 1):
        inside = np.flatnonzero(cell == number)
        share = states.share[inside]
        groups = min(GROUPS, int(share.sum() * patients / FEWEST_IN_A_CELL), len(inside))
        parts = _runs(share, groups) if groups > 1 else np.zeros(len(inside), np.int64)
        finer[inside] = len(within) + parts
        within += [number] * (int(parts.max()) + 1)
    return finer, np.array(within, np.int64)


def _numbers(states: States) -> Codes:
    missing = states.is_missing
    cell = np.zeros(len(states), np.int64)
    cell[~missing] = _runs(states.share[~missing], GROUPS)
    return _counted(np.where(missing, cell.max() + 1, cell))


def _runs(share: NDArray[np.float64], groups: int) -> Codes:
    """Runs of neighbours with about 1 / groups of the whole each; a frequent value is its own run."""
    share = share / max(share.sum(), 1e-300)
    run, number, held = np.empty(len(share), np.int64), 0, 0.0
    for place, part in enumerate(share):
        alone = part >= _SPIKE / groups
        if held > 0 and (alone or held >= 1 / groups):
            number, held = number + 1, 0.0
        run[place] = number
        held += part
        if alone:
            number, held = number + 1, 0.0
    return _counted(run)


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
