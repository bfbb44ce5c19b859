"""A moment as the time since an earlier one: a discharge is so many days after the admission.

Trees see an earlier date coarsely, a cell of weeks in a table of years: a stay of days that is drawn as a
date is scattered over months. Where the time between two dates says more than the later date by itself,
the link learns that time, and later links see it. The same is done for numbers that a rule puts in order,
such as the ages at two events.

A link counts such a column in codes of its own: the time elapsed, or where the earlier one is missing the
date itself, beyond all times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.link import Link
from ehrsynth.schema import DateColumn, DatetimeColumn, Inequality, LearntColumn, Schema
from ehrsynth.tables.grids import MISSING, Grid

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST = 50  # patients who have both
_BINS = 64  # the times and the dates are compared in bins of one width: so many hold most of the dates
_LEAST_GAIN = 0.5  # bits that the time elapsed must spare
_LOOKED_AT = 5_000
# How many times are drawn for a row to see how often a set is met, and how often one beyond the grid is drawn
# again before it is put on the grid's end.
_PROPOSALS, _TRIES = 16, 8


@dataclass(frozen=True, slots=True)
class Elapsed:
    """How a column on grid `own` is counted from the learnt column at place `origin`, on `earlier`."""

    origin: int
    own: Grid
    earlier: Grid

    @property
    def border(self) -> int:
        """From here on codes are dates and no times: the number of times that the two grids allow."""
        return self.own.size + self.earlier.size - 1

    @property
    def size(self) -> int:
        """The number of codes that a link tells apart."""
        return self.border + self.own.size

    @property
    def _least(self) -> int:
        """The ticks between the first point of the column's grid and the last one of the earlier grid."""
        return self.own.origin - (self.earlier.origin + self.earlier.size - 1)

    def counted(self, codes: Codes, origins: Codes) -> Codes:
        """The link's codes of a column's codes (n, -1 for missing), given the codes of the earlier one."""
        elapsed = codes + self.own.origin - origins - self.earlier.origin - self._least
        return np.where(codes < 0, MISSING, np.where(origins < 0, codes + self.border, elapsed))

    def dated(self, counted: Codes, origins: Codes) -> tuple[Codes, Mask]:
        """The column's codes of a link's codes, put on its grid, and which of them lay beyond it."""
        elapsed = counted + self._least + origins + self.earlier.origin - self.own.origin
        codes = np.where(counted >= self.border, counted - self.border, elapsed)
        # A time without a moment to count it from, or a date where a time was asked for.
        beyond = (codes < 0) | (codes >= self.own.size) | ((counted >= self.border) != (origins < 0))
        codes, present = np.clip(codes, 0, self.own.size - 1), counted >= 0
        return np.where(present, codes, MISSING), beyond & present

    def origins(self, counted: Codes, codes: Codes) -> Codes:
        """The codes of the earlier column that lie these times before the codes; -1 beyond its grid."""
        origins = codes + self.own.origin - self.earlier.origin - self._least - counted
        return np.where((origins < 0) | (origins >= self.earlier.size), MISSING, origins)

    def region(self, *, dates: bool, missing: bool) -> CodeSet:
        """The link's codes that are times, or dates, and perhaps missing."""
        ends = (self.border, self.size - 1) if dates else (0, self.border - 1)
        return CodeSet((ends,), missing)


@dataclass(frozen=True, slots=True, eq=False)
class ElapsedLink:
    """A link that counts a column from an earlier one, for rows whose earlier one has the codes `origins`.

    It draws and weighs the column's own codes, as any link does. Times that lead beyond the column's grid are
    cut off its conditional.
    """

    link: Link
    elapsed: Elapsed
    origins: Codes

    def draw(
        self, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code for each row, inside a set, and the probability of the set (see `Link.draw`).

        Which times lead into a set depends on the row. So for a set that is neither all present values nor
        none, several times are drawn: the weight is the share that leads into it, which is right in the mean.
        """
        everyone = np.arange(len(features))
        if allowed is None or not allowed.intervals or allowed.covers(self.elapsed.own.size):
            return self._free(everyone, features, allowed, rng)
        present = CodeSet(((0, self.elapsed.own.size - 1),), allowed.missing)
        many = np.repeat(everyone, _PROPOSALS)
        codes, mass = self._free(many, features[many], present, rng)
        codes, mass = codes.reshape(-1, _PROPOSALS), mass.reshape(-1, _PROPOSALS)[:, 0]
        hit = allowed.contains(codes)
        return codes[everyone, hit.argmax(axis=1)], mass * hit.mean(axis=1)

    def _free(
        self, rows: Codes, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """As `draw`, for all present values or none, missing or not; `rows` says whose origins count."""
        codes, beyond, mass = self._drawn(rows, features, allowed, rng)
        # Whether it is missing stays as it was drawn.
        present = CodeSet(((0, self.elapsed.own.size - 1),), missing=False)
        for _ in range(_TRIES):
            again = np.flatnonzero(beyond)
            if not len(again):
                break
            codes[again], beyond[again], _ = self._drawn(rows[again], features[again], present, rng)
        return codes, mass

    def _drawn(
        self, rows: Codes, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Mask, Floats]:
        origins, missing = self.origins[rows], allowed is None or allowed.missing
        codes, mass = np.empty(len(rows), np.int64), np.empty(len(rows))
        for dates in (False, True):
            at = np.flatnonzero((origins < 0) == dates)
            if len(at):
                region = self.elapsed.region(dates=dates, missing=missing)
                if allowed is not None and not allowed.intervals:
                    region = CodeSet((), missing)
                codes[at], mass[at] = self.link.draw(features[at], region, rng)
        own, beyond = self.elapsed.dated(codes, origins)
        return own, beyond, np.ones(len(rows)) if allowed is None else mass / self._possible(rows, features)

    def _possible(self, rows: Codes, features: Features) -> Floats:
        """The mass of what can be counted: times where there is a moment to count from, dates elsewhere."""
        mass = np.empty(len(rows))
        for dates in (False, True):
            at = np.flatnonzero((self.origins[rows] < 0) == dates)
            if len(at):
                mass[at] = self.link.mass(features[at], self.elapsed.region(dates=dates, missing=True))
        return np.maximum(mass, 1e-300)

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where no state holds it."""
        density = self.link.log_density(features, self.elapsed.counted(codes, self.origins))
        return np.asarray(density - np.log(self._possible(np.arange(len(features)), features)))

    def nearest(self, codes: Codes) -> Codes:
        """Each code itself: a time from an earlier moment that was drawn too far away shall stay unlikely."""
        return codes


def counted_codes(codes: Codes, order: Sequence[int], elapsed: Mapping[int, Elapsed]) -> Codes:
    """The columns in a chain's order, n x columns, in the codes that the links count them in."""
    found = codes[:, list(order)]
    for step, column in elapsed.items():
        found[:, step] = column.counted(found[:, step], codes[:, column.origin])
    return found


def find_elapsed(schema: Schema, codes: Codes, order: Sequence[int]) -> dict[int, Elapsed]:
    """The steps of a chain whose column is better counted from an earlier one, and how.

    Parameters
    ----------
    codes
        n x learnt columns.
    order
        The places of the learnt columns in the chain.
    """
    looked = codes[:: max(1, len(codes) // _LOOKED_AT)]
    found = {}
    for step, place in enumerate(order):
        origins = [other for other in order[:step] if _ordered(schema, place, other)]
        gains = {other: _gain(looked[:, place], looked[:, other]) for other in origins}
        best = max(gains, key=lambda other: gains[other], default=None)
        if best is not None and gains[best] >= _LEAST_GAIN:
            found[step] = elapsed_between(schema, place, best)
    return found


def elapsed_between(schema: Schema, place: int, origin: int) -> Elapsed:
    """How the learnt column at one place is counted from the one at another."""
    own, earlier = (encoding(schema.learnt[p]).grid for p in (place, origin))
    return Elapsed(origin, own, earlier)


def _ordered(schema: Schema, place: int, other: int) -> bool:
    """Whether one may be counted from the other: dates, or numbers in an order, in the same unit."""
    one, two = schema.learnt[place], schema.learnt[other]
    if type(one) is not type(two) or not (encoding(one).numeric and _same_unit(one, two)):
        return False
    names = {one.name, two.name}
    ruled = any({r.low, r.high} == names for r in schema.constraints if isinstance(r, Inequality))
    return ruled or isinstance(one, DateColumn | DatetimeColumn)


def _same_unit(one: LearntColumn, other: LearntColumn) -> bool:
    grids = [encoding(column).grid for column in (one, other)]
    return grids[0].scale == grids[1].scale and grids[0].step == grids[1].step


def _gain(codes: Codes, origins: Codes) -> float:
    """How many bits fewer the time elapsed takes than the later code; minus infinity for too few patients."""
    both = (codes >= 0) & (origins >= 0)
    if both.sum() < FEWEST:
        return -np.inf
    own, elapsed = codes[both], codes[both] - origins[both]
    low, high = np.quantile(own, [0.05, 0.95])
    width = max(1, int(high - low) // _BINS)
    return _bits(own // width) - _bits(elapsed // width)


def _bits(bins: Codes) -> float:
    share = np.unique(bins, return_counts=True)[1] / len(bins)
    return float(-(share * np.log2(share)).sum())
