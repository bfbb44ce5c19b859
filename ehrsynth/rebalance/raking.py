"""Raking: weights that give a table the margins of a target population, as near as can be to where they were.

Each margin is met in turn, over and over (iterative proportional fitting, Deming and Stephan 1940, doi
10.1214/aoms/1177731829). Every step is the smallest change in Kullback-Leibler divergence that meets its
margin (Csiszar 1975, doi 10.1214/aop/1176996454), so that means and spreads of numbers, met by an exponential
tilt, can stand beside shares of categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from ehrsynth.errors import Refused, RequestError

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

TOLERANCE = 1e-6
ROUNDS = 2_000
_STEEPEST = 1e6
_FLAT = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """A margin of cells.

    Parameters
    ----------
    name
        For messages.
    cell
        The number of each row's cell; -1 for a row in none, which the margin leaves as it is.
    labels
        What the cells are called.
    shares
        What each cell's share shall be, 0 to 1, together 1 (of the rows that are in a cell).
    """

    name: str
    cell: Whole
    labels: tuple[str, ...]
    shares: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A margin of a number: its mean, or the mean of its square around a centre, shall be `target`.

    `values` has one number a row, NaN where it is missing: such rows are left as they are.
    """

    name: str
    values: Floats
    target: float


Margin = Shares | Moment


@dataclass(frozen=True, slots=True, eq=False)
class Raked:
    """Weights of mean 1, how often all margins were gone through, and Kish's effective number of rows."""

    weights: Floats
    rounds: int
    effective: float


def rake(
    margins: Sequence[Margin], rows: int, *, start: Floats | None = None, tolerance: float = TOLERANCE
) -> Raked:
    """Find the weights.

    Parameters
    ----------
    margins
        What to meet; none gives weights of 1.
    rows
        Rows of the table.
    start
        Weights to begin from and stay near to, above 0; 1 for each row when None.

    Raises
    ------
    RequestError
        If a margin cannot be met by any weights: a cell that shall have patients has none, or a mean lies
        outside the values. All such cells are named.
    Refused
        If the margins contradict each other on this table: after 2,000 rounds one is still missed by more
        than 1 %.
    """
    problems = [problem for margin in margins for problem in _impossible(margin)]
    if problems:
        raise RequestError("\n  - ".join(["the target population is impossible for this table", *problems]))
    w = np.ones(rows) if start is None else start / start.mean()
    done, miss = 0, _miss(margins, w)
    while miss > tolerance and done < ROUNDS:
        for margin in margins:
            w = _met(margin, w)
        w /= w.mean()
        done, miss = done + 1, _miss(margins, w)
    if miss > 0.01:  # noqa: PLR2004 - what the weights promise
        raise Refused(
            f"the margins of the target population contradict each other on this table: after {done:,}"
            f" rounds one is"
            f" still missed by {miss:.1%}",
            ["leave a margin out, or merge its small cells"],
        )
    return Raked(w, done, float(w.sum() ** 2 / (w**2).sum()))


def reachable(margin: Margin) -> Margin:
    """The margin without cells that nobody is in, the other shares raised alike: for a part of a table."""
    if isinstance(margin, Moment):
        return margin
    counts = np.bincount(margin.cell[margin.cell >= 0], minlength=len(margin.shares))
    shares = np.where(counts > 0, margin.shares, 0.0)
    return replace(margin, shares=shares / shares.sum()) if shares.sum() > 0 else margin


def achieved(margin: Margin, weights: Floats) -> Floats:
    """What the margin is under weights: the share of each cell, or the mean (one number)."""
    if isinstance(margin, Moment):
        known = ~np.isnan(margin.values)
        return np.array([np.average(margin.values[known], weights=weights[known])])
    inside = margin.cell >= 0
    totals = np.bincount(margin.cell[inside], weights[inside], minlength=len(margin.shares))
    return np.asarray(totals / totals.sum(), np.float64)


def _impossible(margin: Margin) -> list[str]:
    if isinstance(margin, Moment):
        known = margin.values[~np.isnan(margin.values)]
        low, high = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
        inside = low < margin.target < high or low == high == margin.target
        return (
            []
            if inside
            else [f"{margin.name}: no weights give {margin.target:g}: it is not inside the values"]
        )
    counts = np.bincount(margin.cell[margin.cell >= 0], minlength=len(margin.shares))
    return [
        f"{margin.name}: {label} shall be {share:.1%}, and no patient of the table is in it"
        for label, share, count in zip(margin.labels, margin.shares, counts, strict=True)
        if share > 0 and not count
    ]


def _miss(margins: Sequence[Margin], w: Floats) -> float:
    worst = 0.0
    for margin in margins:
        found = achieved(margin, w)
        if isinstance(margin, Moment):
            spread = float(np.nanstd(margin.values)) or 1.0
            worst = max(worst, abs(float(found[0]) - margin.target) / spread)
        else:
            worst = max(worst, float(np.abs(found - margin.shares).max()))
    return worst


def _met(margin: Margin, w: Floats) -> Floats:
    if isinstance(margin, Moment):
        return _tilted(margin, w)
    inside = margin.cell >= 0
    found = achieved(margin, w)
    ratio = np.divide(margin.shares, found, out=np.zeros_like(found), where=found > 0)
    met = w.copy()
    met[inside] *= ratio[margin.cell[inside]]
    return met


def _tilted(margin: Moment, w: Floats) -> Floats:
    """Weights times exp(t z), z standardised around the target, with the t that brings the mean of z to 0."""
    known = ~np.isnan(margin.values)
    spread = float(margin.values[known].std())
    if spread < _FLAT:
        return w
    z, base = (margin.values[known] - margin.target) / spread, w[known]

    def tilted(t: float) -> Floats:
        grown = base * np.exp(t * z - (t * z).max())
        return np.asarray(grown / grown.sum())

    reach = 1.0
    while tilted(-reach) @ z > 0 or tilted(reach) @ z < 0:
        reach *= 2
        if reach > _STEEPEST:
            return w  # `_impossible` lets nobody through here but for rounding at the very edge
    t = optimize.brentq(lambda t: float(tilted(t) @ z), -reach, reach, xtol=_FLAT)
    met = w.copy()
    met[known] = tilted(t) * base.sum()
    return met
