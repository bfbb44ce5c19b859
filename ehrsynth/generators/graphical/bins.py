"""What one noisy count of each state says: denoised shares, and few bins to relate columns by.

All of it is computed from noisy counts and the schema, so that it costs nothing more. Counts that noise
cannot tell apart are levelled, counts that stand out (zero, a round number) stay on their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

LEVELS = (32, 12, 5)  # most bins of a column, fine to coarse
_APART, _STANDS_OUT = 2.5, 3.5  # standard deviations
_LARGE, _WIDER = 0.6, 1.15  # of the mass of a run: what stands alone; how much wider runs are tried
_FULL_ENOUGH = 4.0  # a bin holds so many times the noise of a count, or is joined to another


@dataclass(frozen=True, eq=False)
class Binned:
    """A column's states with denoised shares, and nested bins of them.

    `bins` gives for each level the bin of each state; the bins of a coarser level are unions of finer ones.
    """

    states: States
    bins: tuple[Codes, ...]

    @cached_property
    def size(self) -> int:
        """How many bins the finest level has: the values of the column in a model."""
        return int(self.bins[0].max()) + 1

    def groups(self, level: int) -> Codes:
        """For each finest bin its bin of a coarser level."""
        found = np.empty(self.size, np.int64)
        found[self.bins[0]] = self.bins[level]
        return found

    @cached_property
    def within(self) -> list[tuple[Codes, Floats]]:
        """For each finest bin its states and their shares of it."""
        found = []
        for number in range(self.size):
            mine = np.flatnonzero(self.bins[0] == number)
            share = self.states.share[mine]
            total = share.sum()
            found.append((mine, share / total if total > 0 else np.full(len(mine), 1 / len(mine))))
        return found

    @cached_property
    def chances(self) -> Floats:
        """The chance of each state in each finest bin, bins x states."""
        found = np.zeros((self.size, len(self.states)))
        for number, (mine, share) in enumerate(self.within):
            found[number, mine] = share
        return found


def denoised(states: States, counts: Floats, deviation: float, *, ordered: bool, total: float) -> Floats:
    """Shares of the states, at least 0, together 1.

    Parameters
    ----------
    counts, deviation
        Noisy counts and the standard deviation of their noise.
    ordered
        Whether neighbours are alike unless the counts say otherwise.
    total
        How many patients there are, as far as noisy counts say.
    """
    smooth = counts.astype(np.float64)
    if ordered:
        present = np.flatnonzero(~states.is_missing)
        width = states.width[present].astype(np.float64)
        smooth[present] = _levelled(smooth[present], width, deviation)
    return _onto_simplex(smooth, total) / total


def _levelled(counts: Floats, width: Floats, deviation: float) -> Floats:
    """Counts in proportion to width over stretches in which noise explains every difference."""
    found, stretches = np.empty(len(counts)), [(0, len(counts))]
    while stretches:
        start, stop = stretches.pop()
        part, wide = counts[start:stop], width[start:stop]
        level = part.sum() * wide / wide.sum()
        if len(part) > 1 and _differs(part - level, wide, deviation):
            middle = (start + stop) // 2
            stretches += [(start, middle), (middle, stop)]
        else:
            found[start:stop] = level
    return found


def _differs(errors: Floats, width: Floats, deviation: float) -> bool:
    half = len(errors) // 2
    share = width[:half].sum() / width.sum()
    # The variance of the left half's error: its own noise, and its share of the noise of the whole.
    spread = deviation * np.sqrt(half * (1 - share) ** 2 + (len(errors) - half) * share**2)
    return bool(abs(errors[:half].sum()) > _APART * spread or np.abs(errors).max() > _STANDS_OUT * deviation)


def _onto_simplex(values: Floats, total: float) -> Floats:
    """The nearest point with no negative number and this sum (Duchi et al. 2008)."""
    ordered = np.sort(values)[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, len(values) + 1)
    last = np.flatnonzero(ordered > excess)[-1]
    return np.asarray(np.maximum(values - excess[last], 0.0))


def binned(
    states: States,
    shares: Floats,
    least: float,
    *,
    ordered: bool,
    levels: Sequence[int] = LEVELS,
) -> Binned:
    """Nested bins.

    Parameters
    ----------
    shares
        Denoised shares of the states.
    least
        The share below which a bin is joined to another.
    """
    kept = States(states.low, states.high, shares)
    found: list[Codes] = []
    current, mass = np.arange(len(states)), np.asarray(shares, np.float64)
    missing = np.flatnonzero(states.is_missing)
    for most in levels:
        apart = np.unique(current[missing])
        step = _runs(mass, most, least, apart) if ordered else _largest(mass, most, least, apart)
        current = step[current]
        mass = np.asarray(np.bincount(current, shares), np.float64)
        found.append(current)
    return Binned(kept, tuple(found))


def least_share(deviation: float, total: float) -> float:
    """The share of patients that a bin must hold to stand out from noise of this size."""
    return _FULL_ENOUGH * deviation / total


def _runs(mass: Floats, most: int, least: float, apart: Codes) -> Codes:
    """Runs of neighbours of about equal mass; a large one is its own run, and so is missing (always last)."""
    many, room = len(mass) - len(apart), max(most - len(apart), 1)
    wanted = max(mass[:many].sum() / room, least, 1e-12)
    run = _walked(mass[:many], wanted, least)
    while run[-1:].max(initial=0) >= room:
        wanted *= _WIDER
        run = _walked(mass[:many], wanted, least)
    return np.append(run, run.max(initial=-1) + 1 + np.arange(len(apart)))


def _walked(mass: Floats, wanted: float, least: float) -> Codes:
    run, number, held, was_large = np.zeros(len(mass), np.int64), 0, 0.0, False
    for place, part in enumerate(mass):
        large = part >= _LARGE * wanted
        if held >= max(least, 1e-12) and (held >= wanted or large or was_large):
            number, held = number + 1, 0.0
        run[place] = number
        held, was_large = held + part, large
    if number and held < least:  # what is left at the end is too little for a bin
        run[run == number] = number - 1
    return run


def _largest(mass: Floats, most: int, least: float, apart: Codes) -> Codes:
    """The largest each alone, the others together; missing alone."""
    listed = np.setdiff1d(np.arange(len(mass)), apart)
    order = listed[np.argsort(-mass[listed], kind="stable")]
    room = max(most - len(apart), 1)
    large = order[mass[order] >= least]
    alone = order if len(large) == len(order) <= room else large[: room - 1]
    run = np.full(len(mass), len(alone), np.int64)
    run[alone] = np.arange(len(alone))
    run[apart] = len(alone) + 1
    return np.unique(run, return_inverse=True)[1].astype(np.int64)
