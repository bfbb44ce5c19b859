"""A link of the any-order network: a column's conditional given whichever columns are known.

It stands in a chain like a link of trees. Unlike that, the same network serves every order: a condition's
columns go first, and a partial patient's known cells are all seen at once.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.states import UNKNOWN, States, held_between, nearest_held

if TYPE_CHECKING:
    from ehrsynth.generators.chain.network import AnyOrder

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StateFeature:
    """One column as the network sees it: the number of its state."""

    states: States
    listed: bool

    def of(self, codes: Codes) -> Features:
        """The state of each code, float32; `UNKNOWN` for a listed value that nobody has."""
        state = self.states.assign(codes)
        if self.listed:
            state = np.where(self.states.low[state] == codes, state, UNKNOWN)
        return state.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkLink:
    """The column at `place`, in a chain of this order (places of the learnt columns)."""

    network: "AnyOrder"
    place: int
    order: tuple[int, ...]

    @property
    def states(self) -> States:
        """The column's states."""
        return self.network.columns[self.place].states

    def probabilities(self, features: Features) -> Floats:
        """The probability of each state, n x states.

        Parameters
        ----------
        features
            States of the first columns of the order, n x as many as there are; `UNKNOWN` where not known.
        """
        given = np.full((len(features), len(self.order)), UNKNOWN, np.int64)
        given[:, list(self.order[: features.shape[1]])] = features
        return self.network.probabilities(given, self.place)

    def draw(
        self, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code for each row, inside a set, and the probability that the row's conditional gives the set.

        Where the mass is 0 the code is arbitrary.
        """
        joint = self.probabilities(features) * self.states.weight(allowed)
        steps = joint.cumsum(axis=1)
        at = (rng.random(len(joint))[:, None] * steps[:, -1:] >= steps).sum(axis=1)
        state = np.minimum(at, joint.shape[1] - 1)
        return self.states.draw(state, allowed, rng), np.minimum(steps[:, -1], 1.0)

    def mass(self, features: Features, low: Codes, high: Codes) -> Floats:
        """The probability of a present value from `low` to `high`, of each row (low > high for none)."""
        return np.asarray((self.probabilities(features) * held_between(self.states, low, high)).sum(axis=1))

    def nearest(self, codes: Codes) -> Codes:
        """Each row's code, or the nearest that a state holds."""
        return nearest_held(self.states, codes)

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where no state holds it."""
        chance, density = self.probabilities(features), np.zeros(len(features))
        for state in self.states.holding(codes):
            known = np.flatnonzero(state >= 0)
            density[known] += chance[known, state[known]] / self.states.width[state[known]]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(density))
