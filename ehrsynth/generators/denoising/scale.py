"""Numbers as normal scores, through the column's states and never through a patient's value.

The states (`chain.states`: heaps, and ranges of at least eleven patients) split 0 to 1 by their shares; a
number lies in its state's stretch, and its normal score is the normal quantile of that place. A heap keeps
its share exactly, whatever the network does elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

FARTHEST = 5.0  # no normal score lies farther out


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The normal scores of one column's numbers; missing is no state of it."""

    states: States

    def stretch(self, codes: Codes) -> tuple[Floats, Floats]:
        """Where each code's stretch of 0 to 1 begins, and how wide it is."""
        state = self.states.assign(codes)
        share, width = self.states.share[state], self.states.width[state]
        inside = np.clip((codes - self.states.low[state]) / width, 0, 1 - 1 / width)
        return self._ends[state] - share + inside * share, share / width

    @property
    def _ends(self) -> Floats:
        return np.cumsum(self.states.share)

    def codes(self, scores: Floats, allowed: CodeSet | None, rng: np.random.Generator) -> Codes:
        """Codes of normal scores; with a set, codes in it: those of the nearest state that has some."""
        state = np.searchsorted(self._ends[:-1], ndtr(scores), side="right")
        if allowed is not None:
            some = np.flatnonzero(self.states.weight(allowed) > 0)
            if len(some):
                after = np.minimum(np.searchsorted(some, state), len(some) - 1)
                before = np.maximum(after - 1, 0)
                nearer = np.abs(some[before] - state) < np.abs(some[after] - state)
                state = some[np.where(nearer, before, after)]
        return self.states.draw(state, allowed, rng)

    def reach(self, allowed: CodeSet) -> tuple[float, float] | None:
        """The lowest and the highest normal score of a set's states, or None where no state has any of it."""
        some = np.flatnonzero(self.states.weight(allowed) > 0)
        if not len(some):
            return None
        first = self._ends[some[0]] - self.states.share[some[0]]
        low, high = ndtri(np.clip([first, self._ends[some[-1]]], 0, 1))
        return float(np.clip(low, -FARTHEST, FARTHEST)), float(np.clip(high, -FARTHEST, FARTHEST))
