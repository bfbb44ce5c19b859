"""Trying to break a guarantee from outside: the whole fit and sample, on two tables that one patient parts.

If some event is seen with probability p on one table and q on its neighbour, epsilon is at least
ln((p - delta) / q). p and q are bounded by Clopper and Pearson, from runs that chose nothing: what to look
at and where to cut was chosen on separate runs (Jagielski, Ullman and Oprea 2020, "Auditing Differentially
Private Machine Learning"). A bound above the claim breaks it; a bound below proves nothing, and how small a
leak would have been seen is said beside it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.errors import RequestError
from ehrsynth.progress import Progress, silent

Floats = NDArray[np.float64]
Run = Callable[[bool, int], Sequence[float]]

ERROR = 0.05  # of all audits together: how often a sound guarantee may be called broken
_FEWEST = 10
_RIDGE = 1e-2
_FINEST = 0.005
_POWER = 0.95


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit found.

    Parameters
    ----------
    claim, delta
        What was claimed.
    bound
        Epsilon is at least this, at the error given; 0 when nothing was told apart.
    detectable
        The true epsilon that would have been told from the claim with power 0.95; infinite where none would.
    runs
        Runs on each side that the bound rests on, or guesses.
    error
        How often a sound guarantee gives a bound above its claim.
    """

    name: str
    claim: float
    delta: float
    bound: float
    detectable: float
    runs: int
    error: float

    @property
    def broken(self) -> bool:
        """Whether the claim is refuted."""
        return self.bound > self.claim

    @property
    def sentence(self) -> str:
        """What this says and no more."""
        if self.broken:
            return (
                f"{self.name}: BROKEN. Epsilon {self.claim:g} was claimed, and it is at least"
                f" {self.bound:.2f} (delta {self.delta:.2g}, error {self.error:.2g})."
            )
        seen = (
            f"a true epsilon of {self.detectable:.2f} would have been told from it with power {_POWER:g}"
            if math.isfinite(self.detectable)
            else "so few runs could not have told any epsilon from it"
        )
        return (
            f"{self.name}: not broken at this resolution. The bound is {self.bound:.2f}, {self.claim:g} is"
            f" claimed, and {seen}."
        )


def audit_neighbours(  # noqa: PLR0913 - what a claim and a try are made of
    name: str,
    run: Run,
    *,
    claim: float,
    delta: float,
    runs: int,
    seed: int,
    audits: int = 1,
    progress: Progress | None = None,
) -> Verdict:
    """Run a mechanism on neighbouring tables and bound its epsilon from below.

    Parameters
    ----------
    run
        Called with whether the strange patient is in the table, and a number that is new each time: fits,
        samples, and gives numbers that may tell the two tables apart (always as many).
    runs
        Runs on each side that the bound rests on; half as many more choose what to look at.
    audits
        How many audits share the error.
    """
    if runs < _FEWEST:
        raise RequestError(f"{runs} runs a side say nothing: take at least {_FEWEST}, better 200")
    report, first = progress or silent, runs // 2
    features: dict[bool, list[Sequence[float]]] = {True: [], False: []}
    for number in range(runs + first):
        for side in (True, False):
            features[side].append(run(side, seed + 2 * number + side))
        report((number + 1) / (runs + first), f"run {number + 1} of {runs + first} on each side")
    with_, without = (np.array(features[side], np.float64) for side in (True, False))
    error = ERROR / audits
    weights = _direction(with_[:first], without[:first])
    chosen = [side[:first] @ weights for side in (with_, without)]
    tested = [side[first:] @ weights for side in (with_, without)]
    event = _best_event(chosen[0], chosen[1], delta)
    bound = _bound_of(event, tested[0], tested[1], delta, error)
    seen = detectable(runs, claim, delta, error)
    return Verdict(name, claim, delta, bound, seen, runs, error)


@dataclass(frozen=True, slots=True)
class _Event:
    """A score at least (or below) a cut; `with_` says on which table it is the likelier one."""

    cut: float
    above: bool
    with_: bool

    def seen(self, scores: Floats) -> int:
        hits = scores >= self.cut if self.above else scores < self.cut
        return int(hits.sum())


def _direction(with_: Floats, without: Floats) -> Floats:
    """The direction in which the two sides differ most (Fisher's discriminant), by the runs that choose."""
    gap = with_.mean(axis=0) - without.mean(axis=0)
    inside = np.vstack([with_ - with_.mean(axis=0), without - without.mean(axis=0)])
    spread = inside.T @ inside / max(len(inside) - 2, 1)
    ridge = _RIDGE * max(float(np.trace(spread)) / len(gap), 1e-9)
    return np.asarray(np.linalg.solve(spread + ridge * np.eye(len(gap)), gap), np.float64)


def _best_event(with_: Floats, without: Floats, delta: float) -> _Event:
    """The event that gave the largest bound on the runs that choose."""
    best, most = _Event(0.0, above=True, with_=True), -1.0
    for cut in np.unique(np.concatenate([with_, without])):
        for above in (True, False):
            for side in (True, False):
                event = _Event(float(cut), above, side)
                found = _bound_of(event, with_, without, delta, ERROR)
                if found > most:
                    best, most = event, found
    return best


def _bound_of(event: _Event, with_: Floats, without: Floats, delta: float, error: float) -> float:
    likely, rare = (with_, without) if event.with_ else (without, with_)
    return epsilon_bound(
        event.seen(likely), len(likely), event.seen(rare), len(rare), delta=delta, error=error
    )


def epsilon_bound(
    hits: int, runs: int, false_hits: int, false_runs: int, *, delta: float, error: float
) -> float:
    """The largest epsilon that the counts refute, 0 or larger.

    ln((lower end of the rate of hits - delta) / upper end of the rate of false hits), each end one-sided with
    half the error.

    >>> round(epsilon_bound(200, 200, 0, 200, delta=0.0, error=0.05), 2)
    3.98
    """
    low = stats.beta.ppf(error / 2, hits, runs - hits + 1) if hits else 0.0
    high = (
        stats.beta.ppf(1 - error / 2, false_hits + 1, false_runs - false_hits)
        if false_hits < false_runs
        else 1.0
    )
    return max(0.0, math.log((low - delta) / high)) if low > delta else 0.0


def detectable(runs: int, claim: float, delta: float, error: float) -> float:
    """The smallest true epsilon that so many runs tell from the claim with power 0.95.

    Of the mechanisms with that epsilon, the one that is easiest to attack (randomised response): both its
    error rates are 1 / (1 + exp(epsilon)).
    """

    def power(epsilon: float) -> float:
        rate = 1 / (1 + math.exp(epsilon))
        hits, false = np.arange(runs + 1), np.arange(runs + 1)
        low = np.where(hits > 0, stats.beta.ppf(error / 2, np.maximum(hits, 1), runs - hits + 1), 0.0)
        high = np.where(
            false < runs, stats.beta.ppf(1 - error / 2, false + 1, np.maximum(runs - false, 1)), 1.0
        )
        refuted = low[:, None] - delta > math.exp(claim) * high[None, :]
        chance = stats.binom.pmf(hits, runs, 1 - rate)[:, None] * stats.binom.pmf(false, runs, rate)[None, :]
        return float((chance * refuted).sum())

    low, high = claim, claim + 20.0
    if power(high) < _POWER:
        return math.inf
    while high - low > _FINEST:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= _POWER else (middle, high)
    return high
