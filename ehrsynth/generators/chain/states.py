"""A column's states: the intervals of its grid that a link tells apart, and missing.

A state is a value held by at least eleven patients, a range of rarer values with at least eleven patients
together (drawn uniformly inside), a listed category, or missing. So heaps, zeros and tails survive and no
rare value is stored or copied. A range may hold only each tenth, hundredth, ... code (see `rounding`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.marginals import Marginal, learn_marginal

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = -1
UNKNOWN = -1  # in the place of a state: it is not known


@dataclass(frozen=True, eq=False)
class States:
    """Intervals `low` to `high` in ascending order, then missing where it was seen.

    `share` is each state's share of the patients. Missing has low = high = -1 and stands last. `steps` is how
    far apart a state's codes lie, from `low` to `high`; 1 for all where nothing is said.
    """

    low: Codes
    high: Codes
    share: Floats
    steps: Codes | None = None

    @classmethod
    def learn(cls, codes: Codes, size: int, *, listed: bool, border: int | None = None) -> Self:
        """The states of one column's codes (see `learn_marginal`); none lies on both sides of a border."""
        if border is None or (codes < border).all():
            return cls.of(learn_marginal(codes, size if border is None else border, listed=listed))
        beyond = codes >= border
        share = float(beyond.mean())
        above = learn_marginal(codes[beyond] - border, size - border, listed=listed)
        low, high, shares, missing = above.low + border, above.high + border, above.share * share, 0.0
        if share < 1:
            below = learn_marginal(codes[~beyond], border, listed=listed)
            low, high = np.concatenate([below.low, low]), np.concatenate([below.high, high])
            shares = np.concatenate([below.share * (1 - share), shares])
            missing = below.missing * (1 - share)
        return cls.of(Marginal(low, high, shares, missing))

    @classmethod
    def of(cls, marginal: Marginal) -> Self:
        """The states of a marginal."""
        ends, same = np.unique(np.column_stack([marginal.low, marginal.high]), axis=0, return_inverse=True)
        share = np.asarray(np.bincount(same.ravel(), marginal.share, minlength=len(ends)), np.float64)
        # A point inside a range comes before or after it by the range's middle: an order for splits, no more.
        order = np.argsort(ends.sum(axis=1), kind="stable")
        low, high, share = ends[order, 0], ends[order, 1], share[order]
        if marginal.missing > 0:
            low, high = np.append(low, MISSING), np.append(high, MISSING)
            share = np.append(share, marginal.missing)
        return cls(low, high, share)

    def __len__(self) -> int:
        return len(self.low)

    def checked(self, size: int) -> Self:
        """Itself, if its intervals lie on a grid of `size` points and its shares add up to 1.

        Raises
        ------
        ModelError
            If they do not.
        """
        last, missing = len(self) - 1, (self.low == MISSING) & (self.high == MISSING)
        fine = len(self.low) == len(self.high) == len(self.share) == len(self.step) > 0
        fine = fine and not missing[:last].any()
        fine = fine and bool(
            (missing | ((self.low >= 0) & (self.low <= self.high) & (self.high < size))).all()
        )
        fine = fine and bool((self.step >= 1).all() and ((self.high - self.low) % self.step == 0).all())
        fine = fine and bool((self.share >= 0).all()) and abs(float(self.share.sum()) - 1) < 1e-6  # noqa: PLR2004
        if not fine:
            message = "a column's states are none of its grid: the model is damaged"
            raise ModelError(message)
        return self

    @cached_property
    def is_missing(self) -> NDArray[np.bool_]:
        """Which state is missing."""
        return np.asarray(self.low == MISSING)

    @cached_property
    def step(self) -> Codes:
        """How far apart the codes of each state lie; at least 1."""
        return np.ones(len(self.low), np.int64) if self.steps is None else self.steps

    @cached_property
    def width(self) -> Codes:
        """Number of codes in each state."""
        return (self.high - self.low) // self.step + 1

    @cached_property
    def place(self) -> Floats:
        """Where each state lies between 0 and 1 in the column's distribution; missing lies below, at -0.1."""
        present = np.where(self.is_missing, 0.0, self.share)
        ends = np.cumsum(present) / max(present.sum(), 1e-300)
        return np.where(self.is_missing, -0.1, ends - present / 2)

    def assign(self, codes: Codes) -> Codes:
        """The state of each code: its own point, else a range that holds it, else the nearest state."""
        points = np.flatnonzero((self.width == 1) & ~self.is_missing)
        state = np.full(len(codes), -1, np.int64)
        _put_points(state, codes, self.low[points], points)
        # Of two ranges around a code, that whose codes lie farther apart: who holds a round number rounds.
        for group in self._ranges[::-1]:
            rest = np.flatnonzero((state < 0) & (codes >= 0))
            near = group[_nearest(codes[rest], self.low[group], self.high[group])]
            state[rest] = np.where(self._holds(near, codes[rest]), near, -1)
        for group in (np.flatnonzero(self.width > 1), np.flatnonzero(~self.is_missing)):
            rest = np.flatnonzero((state < 0) & (codes >= 0))
            if len(group) and len(rest):
                state[rest] = group[_nearest(codes[rest], self.low[group], self.high[group])]
        if self.is_missing.any():
            state[codes < 0] = len(self) - 1
        return state

    def holding(self, codes: Codes) -> list[Codes]:
        """The states that hold each code: its own point, and up to two ranges of each step; -1 for none."""
        first = self.assign(codes)
        held = self._holds(first, codes)
        found = [np.where(held, first, -1)]
        for group in self._ranges:
            order = group[np.argsort(self.low[group], kind="stable")]
            at = np.searchsorted(self.low[order], codes, side="right") - 1
            for back in (0, 1):
                place = np.maximum(at - back, 0)
                inside = (at - back >= 0) & (codes >= 0) & self._holds(order[place], codes)
                found.append(np.where(inside & (order[place] != first), order[place], -1))
        return found

    @cached_property
    def _ranges(self) -> list[Codes]:
        """The ranges of each step, the smallest step first."""
        ranges = np.flatnonzero(self.width > 1)
        return [ranges[self.step[ranges] == step] for step in np.unique(self.step[ranges])]

    def _holds(self, state: Codes, codes: Codes) -> NDArray[np.bool_]:
        beyond = codes - self.low[state]
        return np.asarray((beyond >= 0) & (codes <= self.high[state]) & (beyond % self.step[state] == 0))

    def weight(self, allowed: CodeSet | None) -> Floats:
        """The share of each state's codes that a set allows, 0 to 1."""
        if allowed is None:
            return np.ones(len(self))
        inside = np.zeros(len(self), np.int64)
        for low, high in allowed.intervals:
            inside += codes_between(self, low, high)
        inside[self.is_missing] = int(allowed.missing)
        return inside / self.width

    def draw(self, state: Codes, allowed: CodeSet | None, rng: np.random.Generator) -> Codes:
        """A code inside each state and inside the set, uniformly; any code of a state that has none."""
        low, step, width = self.low[state], self.step[state], self.width[state]
        codes = low + step * rng.integers(0, width)
        if allowed is None or not allowed.intervals:
            return np.asarray(codes, np.int64)
        wide = np.flatnonzero((width > 1) & (self.weight(allowed)[state] > 0))
        for s in np.unique(state[wide]):
            rows = wide[state[wide] == s]
            codes[rows] = self._within(int(s), allowed, rng.random(len(rows)))
        return np.asarray(codes, np.int64)

    def _within(self, state: int, allowed: CodeSet, quantiles: Floats) -> Codes:
        low, step, last = int(self.low[state]), int(self.step[state]), int(self.width[state]) - 1
        pieces = [(max(0, -((low - a) // step)), min(last, (b - low) // step)) for a, b in allowed.intervals]
        pieces = [(a, b) for a, b in pieces if a <= b]
        starts = np.array([a for a, _ in pieces], np.int64)
        counts = np.array([b - a + 1 for a, b in pieces], np.int64)
        before = np.cumsum(counts) - counts
        position = np.minimum((quantiles * counts.sum()).astype(np.int64), counts.sum() - 1)
        piece = np.searchsorted(before, position, side="right") - 1
        return np.asarray(low + step * (starts[piece] + position - before[piece]), np.int64)


def codes_between(states: States, low: Codes | int, high: Codes | int) -> Codes:
    """How many of each state's codes lie from `low` to `high`, which broadcast against the states."""
    first = -((states.low - np.maximum(states.low, low)) // states.step)
    last = (np.minimum(states.high, high) - states.low) // states.step
    return np.asarray(np.maximum(last - first + 1, 0), np.int64)


def held_between(states: States, low: Codes, high: Codes) -> Floats:
    """The share of each state's codes from `low` to `high`, n x states; none where low > high.

    Parameters
    ----------
    low, high
        n codes each.
    """
    inside = codes_between(states, low[:, None], high[:, None])
    return np.where(states.is_missing, 0.0, inside / states.width)


def nearest_held(states: States, codes: Codes) -> Codes:
    """Each code, or the nearest that a state holds."""
    state = states.assign(codes)
    low, step = states.low[state], states.step[state]
    beyond = np.clip(codes, low, states.high[state]) - low
    return np.asarray(low + (beyond + step // 2) // step * step, np.int64)


def _put_points(state: Codes, codes: Codes, values: Codes, points: Codes) -> None:
    if len(points):
        order = np.argsort(values)
        at = np.minimum(np.searchsorted(values, codes, sorter=order), len(points) - 1)
        hit = values[order][at] == codes
        state[hit] = points[order][at][hit]


def _nearest(codes: Codes, low: Codes, high: Codes) -> Codes:
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    at = np.maximum(np.searchsorted(low, codes, side="right") - 1, 0)
    after = np.minimum(at + 1, len(low) - 1)
    gap, gap_after = np.maximum(codes - high[at], low[at] - codes), low[after] - codes
    return np.asarray(order[np.where((gap > 0) & (gap_after >= 0) & (gap_after < gap), after, at)], np.int64)
