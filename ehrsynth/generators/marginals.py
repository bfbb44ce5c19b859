"""One column by itself, as shares of intervals on its grid, without copying a rare value.

A value held by at least `CROWD` patients is an interval of one point, so that zeros, heaps and
categories survive. What is left goes into at most `MOST_BINS` quantile bins of at least `CROWD` patients
each, uniform inside. The edges of a bin are averages over several patients and never one patient's value.
Categories are public (the schema lists them), so each keeps its own share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

CROWD = 11  # the smallest cell that health statistics offices commonly publish
MOST_BINS = 256
MOST_POINTS = 4096
# The 4th to the 8th of the CROWD outermost values: their mean is no single patient's value, and the very
# extreme ones, which stand out most, have no part in it.
_OUTER = slice(3, 8)
_HALF_WINDOW = 3


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """Intervals `low` to `high` (both included) of a column's grid, the share of each, and that of missing.

    The shares and `missing` add up to 1 for a whole column, to less for a part of it (see `within`).
    """

    low: Codes
    high: Codes
    share: Floats
    missing: float

    @property
    def mass(self) -> float:
        """The sum of all shares, 0 to 1."""
        return float(self.share.sum()) + self.missing

    def within(self, allowed: CodeSet) -> "Marginal":
        """The part inside a set of codes, exactly: its `mass` is the probability of the set."""
        width = (self.high - self.low + 1).astype(np.float64)
        low, high, share = [], [], []
        for first, last in allowed.intervals:
            start, stop = np.maximum(self.low, first), np.minimum(self.high, last)
            kept = stop >= start
            low.append(start[kept])
            high.append(stop[kept])
            share.append((self.share * (stop - start + 1) / width)[kept])
        missing = self.missing if allowed.missing else 0.0
        if not low:
            return Marginal(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), missing)
        return Marginal(np.concatenate(low), np.concatenate(high), np.concatenate(share), missing)

    def draw(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw n codes (-1 for missing) in proportion to the shares.

        Raises
        ------
        ModelError
            If there is nothing to draw from: `mass` is 0 or not a number.
        """
        steps = np.cumsum(np.append(self.share, self.missing))
        if not steps[-1] > 0 or not np.isfinite(steps[-1]):
            message = "a column's shares add up to nothing: the model is damaged"
            raise ModelError(message)
        chosen = np.searchsorted(steps, rng.random(n) * steps[-1], side="right")
        chosen = np.minimum(chosen, len(self.share) if self.missing > 0 else len(self.share) - 1)
        codes = np.full(n, -1, np.int64)
        present = chosen < len(self.share)
        which = chosen[present]
        codes[present] = rng.integers(self.low[which], self.high[which], endpoint=True)
        return codes

    def checked(self, size: int) -> Self:
        """Itself, if it is a distribution on a grid of `size` points.

        Raises
        ------
        ModelError
            If it is not.
        """
        shares = np.append(self.share, self.missing)
        fine = len(self.low) == len(self.high) == len(self.share)
        fine = fine and bool(np.isfinite(shares).all()) and bool((shares >= 0).all())
        fine = fine and abs(shares.sum() - 1) < 1e-6  # noqa: PLR2004 - rounding of at most 2**53 shares
        if not (
            fine and (self.low >= 0).all() and (self.low <= self.high).all() and (self.high < size).all()
        ):
            message = "a column's shares are no distribution on its grid: the model is damaged"
            raise ModelError(message)
        return self


def learn_marginal(codes: Codes, size: int, *, listed: bool) -> Marginal:
    """The shares of one column.

    Parameters
    ----------
    codes
        One code a patient, 0 to size - 1, or -1 for missing; at least one.
    size
        Number of points on the grid.
    listed
        Whether the schema lists the values one by one (categories, codes, booleans): each then keeps its
        own share, however rare.
    """
    return marginal_of_counts(*np.unique(codes, return_counts=True), size, listed=listed)


def marginal_of_counts(values: Codes, counts: Codes, size: int, *, listed: bool) -> Marginal:
    """As `learn_marginal`, from how many patients hold each code; equal counts give equal bytes.

    Parameters
    ----------
    values, counts
        The codes that occur (-1 for missing), sorted, and how many patients hold each: at least 1.
    """
    present, patients = values >= 0, int(counts.sum())
    values, counts = values[present], counts[present]
    missing = 1 - int(counts.sum()) / patients
    points = np.ones(len(values), bool) if listed else _crowded(counts)
    low, high, held = _bins(np.repeat(values[~points], counts[~points]), size, alone=not points.any())
    low, high = np.concatenate([values[points], low]), np.concatenate([values[points], high])
    held = np.concatenate([counts[points], held]).astype(np.float64)
    total = held.sum()
    share = held / total * (1 - missing) if total else held
    return Marginal(low, high, share, missing)


def _crowded(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    crowded = counts >= CROWD
    if crowded.sum() > MOST_POINTS:
        crowded &= counts > np.sort(counts)[-MOST_POINTS - 1]
    return crowded


def _bins(rest: Codes, size: int, *, alone: bool) -> tuple[Codes, Codes, Codes]:
    none = np.empty(0, np.int64)
    if len(rest) < CROWD:
        # Fewer than may be described: left out beside others; alone, only the schema speaks.
        if len(rest) == 0 or not alone:
            return none, none, none
        return np.array([0]), np.array([size - 1]), np.array([len(rest)])
    cuts = np.linspace(0, len(rest), min(MOST_BINS, len(rest) // CROWD) + 1).astype(np.int64)
    first, last = common_range(rest)
    inner = [rest[max(c - _HALF_WINDOW, 0) : c + _HALF_WINDOW].mean() for c in cuts[1:-1]]
    edges = np.round(np.clip([first, *inner, last], first, last)).astype(np.int64)
    edges = np.maximum.accumulate(edges)
    high = np.maximum(edges[1:] - 1, edges[:-1])
    high[-1] = edges[-1]
    return edges[:-1], high, np.diff(cuts)


def common_range(values: Codes) -> tuple[int, int]:
    """Where nearly all of at least `CROWD` sorted values lie; neither end is one patient's value."""
    low, high = values[:CROWD][_OUTER].mean(), values[::-1][:CROWD][_OUTER].mean()
    return round(float(low)), round(float(high))


def pack(marginals: Sequence[Marginal]) -> dict[str, NDArray[Any]]:
    """Several marginals as five flat arrays, for a model's folder."""
    return {
        "marginals.length": np.array([len(m.low) for m in marginals], np.int64),
        "marginals.low": np.concatenate([np.empty(0, np.int64), *(m.low for m in marginals)]),
        "marginals.high": np.concatenate([np.empty(0, np.int64), *(m.high for m in marginals)]),
        "marginals.share": np.concatenate([np.empty(0), *(m.share for m in marginals)]),
        "marginals.missing": np.array([m.missing for m in marginals], np.float64),
    }


def unpack(arrays: Mapping[str, NDArray[Any]], sizes: Sequence[int]) -> tuple[Marginal, ...]:
    """The marginals that `pack` made, for grids of these sizes.

    Raises
    ------
    ModelError
        If the arrays do not fit together or are no distributions.
    """
    low, high, share, missing, length = (
        np.asarray(arrays[f"marginals.{name}"]) for name in ("low", "high", "share", "missing", "length")
    )
    whole = (low, np.int64), (high, np.int64), (length, np.int64), (share, np.float64), (missing, np.float64)
    fine = all(a.ndim == 1 and a.dtype == kind for a, kind in whole)
    fine = fine and len(length) == len(missing) == len(sizes) and bool((length >= 0).all())
    if not fine or not len(low) == len(high) == len(share) == length.sum():
        message = "the stored shares do not fit the schema: the model is damaged"
        raise ModelError(message)
    ends = np.cumsum(length)
    starts = ends - length
    return tuple(
        Marginal(low[a:b], high[a:b], share[a:b], float(m)).checked(size)
        for a, b, m, size in zip(starts, ends, missing, sizes, strict=True)
    )
