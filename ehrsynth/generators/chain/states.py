"""A column's states: the intervals of its grid that a link tells apart, and missing.

A state is a value held by at least eleven patients, a range of rarer values with at least eleven patients
together (drawn uniformly inside, or more often on a coarser grid; see `rounding`), a listed category, or
missing. So heaps, zeros and tails survive and no rare value is stored or copied.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.lattice import Lattice
from ehrsynth.generators.marginals import Marginal, learn_marginal

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = -1
UNKNOWN = -1  # in the place of a state: it is not known


@dataclass(frozen=True, eq=False)
class States:
    """Intervals `low` to `high` in ascending order, then missing where it was seen.

    `share` is each state's share of the patients. Missing has low = high = -1 and stands last. `rounded` are
    coarser lattices within the intervals; who is on none of them may have any code of the interval.
    """

    low: Codes
    high: Codes
    share: Floats
    rounded: tuple[Lattice, ...] = ()

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
        fine = len(self.low) == len(self.high) == len(self.share) > 0
        fine = fine and not missing[:last].any()
        fine = fine and bool(
            (missing | ((self.low >= 0) & (self.low <= self.high) & (self.high < size))).all()
        )
        fine = fine and bool((self.share >= 0).all()) and abs(float(self.share.sum()) - 1) < 1e-6  # noqa: PLR2004
        fine = fine and all(self._fits(lattice) for lattice in self.rounded)
        fine = fine and bool((self.lattices[0].chance >= 0).all())
        if not fine:
            message = "a column's states are none of its grid: the model is damaged"
            raise ModelError(message)
        return self

    def _fits(self, lattice: Lattice) -> bool:
        fields = (lattice.first, lattice.step, lattice.count, lattice.chance)
        if any(len(field) != len(self) for field in fields):
            return False
        last = lattice.first + lattice.step * (lattice.count - 1)
        inside = (
            (lattice.step >= 1) & (lattice.count >= 1) & (lattice.first >= self.low) & (last <= self.high)
        )
        return bool((inside & (lattice.chance >= 0)).all())

    @cached_property
    def lattices(self) -> tuple[Lattice, ...]:
        """All codes of each state, then the coarser ones; the chances of a state add up to 1."""
        left = np.ones(len(self)) - sum(lattice.chance for lattice in self.rounded)
        return (Lattice(self.low, np.ones(len(self), np.int64), self.width, left), *self.rounded)

    @cached_property
    def is_missing(self) -> NDArray[np.bool_]:
        """Which state is missing."""
        return np.asarray(self.low == MISSING)

    @cached_property
    def width(self) -> Codes:
        """Number of codes in each state."""
        return self.high - self.low + 1

    @cached_property
    def place(self) -> Floats:
        """Where each state lies between 0 and 1 in the column's distribution; missing lies below, at -0.1."""
        present = np.where(self.is_missing, 0.0, self.share)
        ends = np.cumsum(present) / max(present.sum(), 1e-300)
        return np.where(self.is_missing, -0.1, ends - present / 2)

    def assign(self, codes: Codes) -> Codes:
        """The state of each code: its own point, else the range around it, else the nearest state."""
        points = np.flatnonzero((self.width == 1) & ~self.is_missing)
        ranges = np.flatnonzero(self.width > 1)
        state = np.full(len(codes), -1, np.int64)
        _put_points(state, codes, self.low[points], points)
        for group in (ranges, np.flatnonzero(~self.is_missing)):
            rest = np.flatnonzero((state < 0) & (codes >= 0))
            if len(group) and len(rest):
                state[rest] = group[_nearest(codes[rest], self.low[group], self.high[group])]
        if self.is_missing.any():
            state[codes < 0] = len(self) - 1
        return state

    def holding(self, codes: Codes) -> list[Codes]:
        """The states that hold each code: its own point, and the ranges around it; -1 for none."""
        first = self.assign(codes)
        held = (codes >= self.low[first]) & (codes <= self.high[first])
        found, ranges = [np.where(held, first, -1)], np.flatnonzero(self.width > 1)
        if len(ranges):
            order = ranges[np.argsort(self.low[ranges], kind="stable")]
            at = np.searchsorted(self.low[order], codes, side="right") - 1
            for back in range(_deepest(self.low[order], self.high[order])):
                place = np.maximum(at - back, 0)
                inside = (at - back >= 0) & (codes <= self.high[order][place]) & (codes >= 0)
                found.append(np.where(inside & (order[place] != first), order[place], -1))
        return found

    def weight(self, allowed: CodeSet | None) -> Floats:
        """The share of each state's codes that a set allows, 0 to 1."""
        if allowed is None:
            return np.ones(len(self))
        inside = np.zeros(len(self))
        for low, high in allowed.intervals:
            inside += self._between(low, high)
        inside[self.is_missing] = float(allowed.missing)
        return inside

    def _between(self, low: Codes | int, high: Codes | int) -> Floats:
        return np.asarray(sum(lattice.between(low, high) for lattice in self.lattices))

    def draw(self, state: Codes, allowed: CodeSet | None, rng: np.random.Generator) -> Codes:
        """A code inside each state and inside the set; any code of a state that has none there."""
        codes = self.lattices[0].draw(state, allowed, rng)
        if not self.rounded:
            return codes
        intervals = ((0, int(self.high.max())),) if allowed is None else allowed.intervals
        chances = np.array([sum(lattice.between(*ends) for ends in intervals) for lattice in self.lattices])
        if not intervals:
            return codes
        steps = chances.cumsum(axis=0)[:, state]
        chosen = (rng.random(len(state)) * steps[-1] >= steps).sum(axis=0)
        for number, lattice in enumerate(self.rounded, start=1):
            rows = np.flatnonzero(chosen == number)
            codes[rows] = lattice.draw(state[rows], allowed, rng)
        return codes


def density_within(states: States, state: Codes, codes: Codes) -> Floats:
    """The probability of each code in its state; 0 where the state does not hold it."""
    return np.asarray(sum(lattice.at(state, codes) for lattice in states.lattices))


def held_between(states: States, low: Codes, high: Codes) -> Floats:
    """The share of each state's codes from `low` to `high`, n x states; none where low > high.

    Parameters
    ----------
    low, high
        n codes each.
    """
    inside = sum(lattice.between(low[:, None], high[:, None]) for lattice in states.lattices)
    return np.where(states.is_missing, 0.0, inside)


def nearest_held(states: States, codes: Codes) -> Codes:
    """Each code, or the nearest that a state holds."""
    state = states.assign(codes)
    return np.clip(codes, states.low[state], states.high[state])


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


def _deepest(low: Codes, high: Codes) -> int:
    """The most ranges, in the order of `low`, that one has to look back to find all that hold a code."""
    first = np.searchsorted(np.maximum.accumulate(high), low)
    return int((np.arange(len(low)) - first).max()) + 1
