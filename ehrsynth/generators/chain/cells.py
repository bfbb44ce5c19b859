"""The cells of a column: which states the coarse step tells apart, and which only the fine step does."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]

GROUPS = 8
MOST_OWN_CELLS = 16
MOST_LISTED_CELLS = 48
_SPIKE = 0.6
_LEAST_FAMILY = 0.005  # of the patients: a cell for fewer would be learnt from too few


def cells_of(states: States, *, ordered: bool, families: Sequence[Codes] = ()) -> Codes:
    """The cell of each state, counted from 0.

    Few states each have a cell; many numbers fall into runs of neighbours, many codes of a hierarchy into
    families, many other categories into the frequent ones and groups of rare ones. Missing is never with
    others.

    Parameters
    ----------
    families
        For each level of a hierarchy, the coarsest first, the family of each code; none where there is none.
    """
    if len(states) <= MOST_OWN_CELLS or (not ordered and len(states) <= MOST_LISTED_CELLS):
        return np.arange(len(states))
    if ordered:
        return _numbers(states)
    return _families(states, families) if families else _frequent_and_rest(states)


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


def _families(states: States, families: Sequence[Codes]) -> Codes:
    """The cell of most patients is split by the next level of the hierarchy, as often as there is room.

    Below the finest level are the codes themselves. Families too small for a cell of their own stay together.
    """
    present = np.flatnonzero(~states.is_missing)
    levels = [*(family[states.low[present]] for family in families), states.low[present]]
    share, cell = states.share[present], np.zeros(len(present), np.int64)
    level = [0]  # which level splits each cell; past the last: none
    while len(level) < MOST_LISTED_CELLS - 1:
        held = np.bincount(cell, share) * (np.array(level) < len(levels))
        widest = int(held.argmax())
        if held[widest] <= 0:
            break
        inside, next_level = np.flatnonzero(cell == widest), level[widest] + 1
        family = levels[level[widest]][inside]
        part = _large_and_rest(family, share[inside], MOST_LISTED_CELLS - 1 - len(level))
        cell[inside[part > 0]] = len(level) - 1 + part[part > 0]
        is_rest = len(np.unique(family[part == 0])) > 1
        level[widest] = len(levels) if is_rest else next_level
        level += [next_level] * int(part.max())
    found = np.full(len(states), len(level), np.int64)
    found[present] = cell
    return _counted(found)


def _large_and_rest(family: Codes, share: NDArray[np.float64], most: int) -> Codes:
    """1, 2, ... for the largest families, 0 for all others, or for the smallest where all are large."""
    _, at = np.unique(family, return_inverse=True)
    held = np.bincount(at, share)
    order = np.argsort(-held, kind="stable")
    large = order[held[order] >= _LEAST_FAMILY][: min(most, len(held) - 1)]
    part = np.zeros(len(held), np.int64)
    part[large] = 1 + np.arange(len(large))
    return np.asarray(part[at], np.int64)


def _counted(cell: Codes) -> Codes:
    return np.unique(cell, return_inverse=True)[1].astype(np.int64)
