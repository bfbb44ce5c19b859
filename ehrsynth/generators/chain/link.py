"""One link of the chain: the conditional distribution of a column given the columns before it.

Missing or not, then coarse, then fine. Whether the value is missing is learnt as an event of its own. The
column's states fall into cells (`cells`). A classifier gives the cell of a known value; a small forest gives
the state within a cell of several. Bagged trees alone have one cell, missing values in it, and the forest is
the whole link.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.cells import cells_of
from ehrsynth.generators.chain.classifier import Boosting, Classifier, learn_classifier
from ehrsynth.generators.chain.features import Feature, Features, with_gaps, with_gaps_seen
from ehrsynth.generators.chain.forest import Forest, Weighed
from ehrsynth.generators.chain.growing import Bagging, grow
from ehrsynth.generators.chain.rounding import with_rounding
from ehrsynth.generators.chain.shapes import card_shapes
from ehrsynth.generators.chain.states import States, density_within, held_between, nearest_held

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

# A little of the column's own distribution in every conditional, so that what is possible is never ruled out.
_FLOOR = 0.0002
_AS_GOOD_AS_NUMBERS = 3
_AT_ONCE = 4_000_000  # cells, rows times states, that are weighed at a time
# Missing or not has few points to learn, and these bear a weaker ridge. Of laboratory values that are ordered
# together a strong one lets a patient without any have one of the last, and then others for its sake.
_RIDGE_OF_MISSING = 0.3


class AbstractLink(Protocol):
    """What every link can do, whatever it learnt with."""

    def draw(
        self, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code for each row, inside a set, and the probability of the set (see `Link.draw`)."""

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where no state holds it."""

    def mass(self, features: Features, low: Codes, high: Codes) -> Floats:
        """The probability of a present value from `low` to `high`, of each row (low > high for none)."""

    def nearest(self, codes: Codes) -> Codes:
        """Each row's code, or the nearest that a state holds."""


@dataclass(frozen=True, slots=True)
class Learner:
    """How links learn: "boosted" cells with forests inside, or "bagged" trees alone (one tree: CART)."""

    kind: Literal["boosted", "bagged"]
    bagging: Bagging
    boosting: Boosting

    @property
    def echoes(self) -> bool:
        """Whether it is learnt when a number repeats an earlier one: classical CART does not."""
        return self.kind == "boosted"


@dataclass(frozen=True, slots=True)
class Target:
    """The column that a link learns: its codes (n, -1 for missing), its grid's size, whether it is listed.

    `families` holds the ancestors of a listed column's codes, level by level (see `cells_of`). From `border`
    on codes are of another kind: no state holds codes of both.
    """

    codes: Codes
    size: int
    listed: bool
    families: tuple[Codes, ...] = ()
    border: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """States, the cell of each state, and what was learnt of cells and states.

    `missing` tells known (0) from missing (1), and `classifier` the cells of known values; the last cell is
    then that of missing. None: `classifier` tells all cells.
    """

    states: States
    cell: Codes
    missing: Classifier | None
    classifier: Classifier
    forests: tuple[Forest | None, ...]

    def draw(
        self, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code for each row, inside a set, and the probability that the row's conditional gives the set.

        Parameters
        ----------
        features
            n x earlier columns.
        allowed
            The set, or None when every value will do.

        Returns
        -------
        codes, mass
            int64 and float64, n each. Where the mass is 0 the code is arbitrary.
        """
        weight, features = self.states.weight(allowed), with_gaps(features)
        cell_probability = self._of_cells(features)
        inside = self._inside(features, weight)
        joint = cell_probability * np.column_stack([mass for mass, _ in inside])
        cell = _choose(joint, rng)
        state = np.zeros(len(features), np.int64)
        for number, (_, weighed) in enumerate(inside):
            rows = np.flatnonzero(cell == number)
            if len(rows):
                state[rows] = self._state(number, rows, features, weight, weighed, rng)
        return self.states.draw(state, allowed, rng), np.minimum(joint.sum(axis=1), 1.0)

    def _of_cells(self, features: Features) -> Floats:
        """The probability of each cell, n x cells."""
        known = self.classifier.probabilities(features)
        if self.missing is None:
            return known
        missing = self.missing.probabilities(features)[:, 1:]
        return np.hstack([(1 - missing) * known, missing])

    def _inside(self, features: Features, weight: Floats) -> list[tuple[Floats, Weighed | None]]:
        """The mass of the allowed states in each cell, and the leaves where it depends on the row."""
        found: list[tuple[Floats, Weighed | None]] = []
        for number, forest in enumerate(self.forests):
            own = self._own(number, weight)
            if forest is None or own in {0.0, 1.0}:
                found.append((np.full(len(features), own), None))
                continue
            weighed = forest.weigh(features, weight * (self.cell == number))
            found.append(((1 - _FLOOR) * weighed.mass + _FLOOR * own, weighed))
        return found

    def _own(self, number: int, weight: Floats) -> float:
        """The mass of the allowed states in a cell by the column's own distribution."""
        share = np.where(self.cell == number, self.states.share, 0.0)
        return float((share * weight).sum() / max(share.sum(), 1e-300))

    def _state(
        self,
        number: int,
        rows: Codes,
        features: Features,
        weight: Floats,
        weighed: Weighed | None,
        rng: np.random.Generator,
    ) -> Codes:
        share = np.where(self.cell == number, self.states.share * weight, 0.0)
        forest = self.forests[number]
        if share.sum() <= 0:
            return np.full(len(rows), int(np.flatnonzero(self.cell == number)[0]))
        plain = _pick(share, len(rows), rng)
        if forest is None:
            return plain
        if weighed is None:
            return np.where(rng.random(len(rows)) < 1 - _FLOOR, forest.draw(features[rows], rng), plain)
        mass = weighed.mass[rows]
        learnt = (1 - _FLOOR) * mass
        use = rng.random(len(rows)) * (learnt + _FLOOR * self._own(number, weight)) < learnt
        use &= mass > 0
        plain[use] = weighed.draw(rows[use], rng)
        return plain

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where no state holds it."""
        features = with_gaps(features)
        cell_probability = self._of_cells(features)
        density = np.zeros(len(features))
        for state in self.states.holding(codes):
            known = np.flatnonzero(state >= 0)
            s = state[known]
            number = self.cell[s]
            inside = np.ones(len(known))
            for n in np.unique(number):
                at = np.flatnonzero(number == n)
                inside[at] = self._inside_probability(int(n), features[known[at]], s[at])
            density[known] += (
                cell_probability[known, number] * inside * density_within(self.states, s, codes[known])
            )
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(density))

    def mass(self, features: Features, low: Codes, high: Codes) -> Floats:
        """The probability of a present value from `low` to `high`, of each row (low > high for none)."""
        found, together = np.zeros(len(features)), max(1, _AT_ONCE // len(self.states))
        for start in range(0, len(features), together):
            rows = slice(start, start + together)
            inside = held_between(self.states, low[rows], high[rows])
            found[rows] = (self.spread(features[rows]) * inside).sum(axis=1)
        return found

    def spread(self, features: Features) -> Floats:
        """The probability of each state in each row's conditional, n x states."""
        features, found = with_gaps(features), np.empty((len(features), len(self.states)))
        chance = self._of_cells(features)
        for number, forest in enumerate(self.forests):
            at = np.flatnonzero(self.cell == number)
            share = self.states.share[at]
            inside = np.broadcast_to(share / max(share.sum(), 1e-300), (len(features), len(at)))
            if forest is not None:
                inside = (1 - _FLOOR) * forest.spread(features, len(self.states))[:, at] + _FLOOR * inside
            found[:, at] = chance[:, [number]] * inside
        return found

    def nearest(self, codes: Codes) -> Codes:
        """Each row's code, or the nearest that a state holds."""
        return nearest_held(self.states, codes)

    def _inside_probability(self, number: int, features: Features, state: Codes) -> Floats:
        share = np.where(self.cell == number, self.states.share, 0.0)
        own = np.asarray(share[state] / max(share.sum(), 1e-300))
        forest = self.forests[number]
        if forest is None:
            return own
        return (1 - _FLOOR) * forest.probability(features, state) + _FLOOR * own


def _choose(joint: Floats, rng: np.random.Generator) -> Codes:
    steps = joint.cumsum(axis=1)
    at = (rng.random(len(joint))[:, None] * steps[:, -1:] >= steps).sum(axis=1)
    return np.asarray(np.minimum(at, joint.shape[1] - 1), np.int64)


def _pick(share: Floats, n: int, rng: np.random.Generator) -> Codes:
    steps = np.cumsum(share)
    return np.asarray(np.searchsorted(steps, rng.random(n) * steps[-1], side="right"), np.int64)


def learn_link(
    features: Features, target: Target, seen: Sequence[Feature], *, learner: Learner, rng: np.random.Generator
) -> Link:
    """Learn one column.

    Parameters
    ----------
    features
        n x earlier columns.
    seen
        What the columns of `features` are.
    """
    features, seen = with_gaps(features), with_gaps_seen(seen)
    states = States.learn(target.codes, target.size, listed=target.listed, border=target.border)
    if not target.listed and target.border is None:
        states = with_rounding(states, target.codes, target.size)
    state = states.assign(target.codes)
    cell = _cells(states, target, learner)
    label, known, missing = cell[state], np.arange(len(state)), None
    if learner.kind == "boosted" and states.is_missing.any() and len(states) > 1:
        gone = states.is_missing[state]
        missing = _learn_missing(features, gone, seen, boosting=learner.boosting, rng=rng)
        known = np.flatnonzero(~gone)
    shapes = card_shapes(states, cell, ordered=not target.listed)
    classifier = learn_classifier(
        features[known], label[known], shapes, seen, boosting=learner.boosting, rng=rng
    )
    # A threshold on the code tells up to three values apart as well as one on their means.
    listed = [p for p, f in enumerate(seen) if f.listed and features[:, p].max() > _AS_GOOD_AS_NUMBERS]
    forests: list[Forest | None] = []
    for number in range(int(cell.max()) + 1):
        rows = np.flatnonzero(label == number)
        at = state[rows]
        # One state needs no choice.
        if features.shape[1] == 0 or len(np.unique(at)) <= 1:
            forests.append(None)
            continue
        place = None if target.listed else states.place[at]
        forests.append(grow(features[rows], at, place, listed=listed, bagging=learner.bagging, rng=rng))
    return Link(states, cell, missing, classifier, tuple(forests))


def _learn_missing(
    features: Features,
    gone: NDArray[np.bool_],
    seen: Sequence[Feature],
    *,
    boosting: Boosting,
    rng: np.random.Generator,
) -> Classifier:
    boosting = replace(boosting, ridge=boosting.ridge * _RIDGE_OF_MISSING)
    return learn_classifier(features, gone.astype(np.int64), np.eye(2), seen, boosting=boosting, rng=rng)


def _cells(states: States, target: Target, learner: Learner) -> Codes:
    if learner.kind == "bagged":
        return np.zeros(len(states), np.int64)
    return cells_of(states, ordered=not target.listed, families=target.families)


def checked_cells(cell: Codes, states: int, classes: int) -> Codes:
    """The cells of so many states, if all of so many classes and no others are among them.

    Raises
    ------
    ModelError
        If not.
    """
    if len(cell) != states or not np.array_equal(np.unique(cell), np.arange(classes)):
        message = "the stored cells of a column are not those of its states: the model is damaged"
        raise ModelError(message)
    return cell
