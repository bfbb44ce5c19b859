"""A guarantee tried in a single fit: canaries, each in the table by a coin, are guessed later.

Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One (1) Training Run", NeurIPS, theorem 5.2 and
algorithm 1: under (epsilon, delta) the number of right guesses is hardly above that of a biased coin.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.dp.audit import ERROR, Verdict
from ehrsynth.errors import RequestError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SMALLEST = 10
_GUESSED = 0.2  # of the canaries: the surest on either side
_LARGEST = 50.0
_FINEST = 0.002
_POWER = 0.95


def toss(canaries: int, rng: np.random.Generator) -> Mask:
    """Which canaries go into the table: each by a fair coin of its own."""
    return np.asarray(rng.random(canaries) < 1 / 2)


def audit_canaries(
    name: str, inside: Mask, scores: Floats, *, claim: float, delta: float, audits: int = 1
) -> Verdict:
    """Guess who was in by the scores and bound epsilon from below.

    Parameters
    ----------
    inside
        What `toss` said.
    scores
        One for each canary, made from the result alone; larger means rather in.

    Raises
    ------
    RequestError
        If there are fewer than ten canaries.
    """
    m = len(inside)
    if m < _SMALLEST:
        raise RequestError(f"{m} canaries say nothing: take at least {_SMALLEST}, better 1,000")
    # How many are guessed is fixed beforehand, so that nothing is chosen by looking.
    side = max(1, int(m * _GUESSED / 2))
    order = np.argsort(scores, kind="stable")
    right = int(inside[order[-side:]].sum() + (~inside[order[:side]]).sum())
    guesses, error = 2 * side, ERROR / audits
    bound = lower_bound(m, guesses, right, delta=delta, error=error)
    seen = detectable_by_canaries(m, guesses, claim=claim, delta=delta, error=error)
    return Verdict(name, claim, delta, bound, seen, guesses, error)


def p_value(canaries: int, guesses: int, right: int, *, epsilon: float, delta: float) -> float:
    """At most how likely so many right guesses are under (epsilon, delta).

    >>> p_value(100, 100, 50, epsilon=1.0, delta=0.0) > 0.5
    True
    """
    chance = 1 / (1 + math.exp(-epsilon))
    tail = float(stats.binom.sf(right - 1, guesses, chance))
    if delta == 0:
        return tail
    # How much a lucky delta could help: the steepest mean of the chances just below.
    below = np.cumsum(stats.binom.pmf(right - np.arange(1, right + 1), guesses, chance))
    steepest = float((below / np.arange(1, right + 1)).max(initial=0.0))
    return min(1.0, tail + 2 * canaries * delta * steepest)


def lower_bound(canaries: int, guesses: int, right: int, *, delta: float, error: float) -> float:
    """The largest epsilon that so many right guesses refute, 0 or larger.

    >>> round(lower_bound(100, 100, 100, delta=0.0, error=0.05), 2)
    3.49
    """
    if p_value(canaries, guesses, right, epsilon=0.0, delta=delta) > error:
        return 0.0
    low, high = 0.0, _LARGEST
    while high - low > _FINEST:
        middle = (low + high) / 2
        refuted = p_value(canaries, guesses, right, epsilon=middle, delta=delta) <= error
        low, high = (middle, high) if refuted else (low, middle)
    return low


def detectable_by_canaries(canaries: int, guesses: int, *, claim: float, delta: float, error: float) -> float:
    """The smallest true epsilon that these guesses tell from the claim with power 0.95; or infinity.

    Of the mechanisms with that epsilon, the one that is easiest to attack: each guess is right with
    probability 1 / (1 + exp(-epsilon)).
    """
    counts = np.arange(guesses + 1)
    refuting = [c for c in counts if p_value(canaries, guesses, int(c), epsilon=claim, delta=delta) <= error]
    if not refuting:
        return math.inf
    fewest = min(refuting)
    low, high = claim, claim + 20.0
    if stats.binom.sf(fewest - 1, guesses, 1 / (1 + math.exp(-high))) < _POWER:
        return math.inf
    while high - low > _FINEST:
        middle = (low + high) / 2
        found = stats.binom.sf(fewest - 1, guesses, 1 / (1 + math.exp(-middle)))
        low, high = (low, middle) if found >= _POWER else (middle, high)
    return high
