"""One link of the chain: the conditional distribution of a column given the columns before it.

Coarse, then fine. The column's states fall into cells: one for each frequent value, one for missing, and
groups of neighbours (or of rare categories). A boosted classifier gives the cell; a small forest gives the
state within a cell of several. Without a classifier there is one cell, and the forest is the whole link.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.chain.classifier import Boosting, Classifier, classifier_from_text, learn_classifier
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.forest import Forest, Weighed, grow, pack_forest, unpack_forest
from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

GROUPS = 8
MOST_OWN_CELLS = 16
MOST_LISTED_CELLS = 48
_SPIKE = 0.6 / GROUPS
# A little of the column's own distribution in every conditional, so that what is possible is never ruled out.
_FLOOR = 0.002


@dataclass(frozen=True, slots=True)
class Learner:
    """How links learn: "boosted" cells with forests inside, or "bagged" trees alone (one tree: CART)."""

    kind: Literal["boosted", "bagged"] = "boosted"
    trees: int = 10
    leaf: int = 10
    boosting: Boosting = Boosting()


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """States, the cell of each state, and what was learnt of cells and states."""

    states: States
    cell: Codes
    classifier: Classifier
    forests: tuple[Forest | None, ...]

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.forests)

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
        weight = self.states.weight(allowed)
        cell_probability = self.classifier.probabilities(features)
        inside = self._inside(features, weight)
        joint = cell_probability * np.column_stack([mass for mass, _ in inside])
        cell = _choose(joint, rng)
        state = np.zeros(len(features), np.int64)
        for number, (_, weighed) in enumerate(inside):
            rows = np.flatnonzero(cell == number)
            if len(rows):
                state[rows] = self._state(number, rows, features, weight, weighed, rng)
        return self.states.draw(state, allowed, rng), np.minimum(joint.sum(axis=1), 1.0)

    def _inside(self, features: Features, weight: Floats) -> list[tuple[Floats, Weighed | None]]:
        """For each cell the mass of the allowed states given the cell, and the leaves where it depends on the row."""
        found: list[tuple[Floats, Weighed | None]] = []
        for number, forest in enumerate(self.forests):
            own = self._own(number, weight)
            if forest is None or own in {0.0, 1.0}:
                found.append((np.full(len(features), own), None))
                continue
            weighed = forest.weigh(features, weight)
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
        weighed: Any,
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
            state, conditional = forest.draw(features[rows], rng), 1 - _FLOOR
            return np.where(rng.random(len(rows)) < conditional, state, plain)
        mass = weighed.mass[rows]
        learnt = (1 - _FLOOR) * mass
        use = rng.random(len(rows)) * (learnt + _FLOOR * self._own(number, weight)) < learnt
        use &= mass > 0
        plain[use] = weighed.draw(rows[use], rng)
        return plain

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where no state holds it."""
        cell_probability = self.classifier.probabilities(features)
        density = np.zeros(len(features))
        for state in self._holding(codes):
            known = np.flatnonzero(state >= 0)
            s = state[known]
            number = self.cell[s]
            inside = np.ones(len(known))
            for n in np.unique(number):
                at = np.flatnonzero(number == n)
                inside[at] = self._inside_probability(int(n), features[known[at]], s[at])
            density[known] += cell_probability[known, number] * inside / self.states.width[s]
        with np.errstate(divide="ignore"):
            return np.log(density)

    def _inside_probability(self, number: int, features: Features, state: Codes) -> Floats:
        share = np.where(self.cell == number, self.states.share, 0.0)
        own = share[state] / max(share.sum(), 1e-300)
        forest = self.forests[number]
        if forest is None:
            return own
        return (1 - _FLOOR) * forest.probability(features, state) + _FLOOR * own

    def _holding(self, codes: Codes) -> list[Codes]:
        """The states that hold each code: its own point, and up to two ranges around it; -1 for none."""
        states, rest = self.states, []
        first = states.assign(codes)
        held = (codes >= states.low[first]) & (codes <= states.high[first])
        rest.append(np.where(held, first, -1))
        ranges = np.flatnonzero(states.width > 1)
        if len(ranges):
            order = ranges[np.argsort(states.low[ranges], kind="stable")]
            at = np.searchsorted(states.low[order], codes, side="right") - 1
            for back in (0, 1):
                place = np.maximum(at - back, 0)
                inside = (at - back >= 0) & (codes <= states.high[order][place]) & (codes >= 0)
                rest.append(np.where(inside & (order[place] != first), order[place], -1))
        return rest


def _choose(joint: Floats, rng: np.random.Generator) -> Codes:
    steps = joint.cumsum(axis=1)
    at = (rng.random(len(joint))[:, None] * steps[:, -1:] >= steps).sum(axis=1)
    return np.minimum(at, joint.shape[1] - 1)


def _pick(share: Floats, n: int, rng: np.random.Generator) -> Codes:
    steps = np.cumsum(share)
    return np.asarray(np.searchsorted(steps, rng.random(n) * steps[-1], side="right"), np.int64)


def learn_link(
    features: Features,
    codes: Codes,
    *,
    size: int,
    is_listed: bool,
    listed: Sequence[int],
    learner: Learner,
    rng: np.random.Generator,
) -> Link:
    """Learn one column.

    Parameters
    ----------
    features
        n x earlier columns.
    codes
        The column's codes, n, -1 for missing.
    size
        Number of points on the column's grid.
    is_listed
        Whether the schema lists the column's values one by one.
    listed
        Which columns of `features` are categories.
    """
    states = States.learn(codes, size, listed=is_listed)
    state = states.assign(codes)
    ordered = not is_listed
    cell = _cells(states, ordered=ordered) if learner.kind == "boosted" else np.zeros(len(states), np.int64)
    label = cell[state]
    classes = int(cell.max()) + 1
    classifier = learn_classifier(features, label, classes, listed=listed, boosting=learner.boosting, rng=rng)
    forests = tuple(
        _forest(features, state, label == n, states.place if ordered else None, listed, learner, rng)
        for n in range(classes)
    )
    return Link(states, cell, classifier, forests)


def _forest(
    features: Features,
    state: Codes,
    rows: NDArray[np.bool_],
    place: Floats | None,
    listed: Sequence[int],
    learner: Learner,
    rng: np.random.Generator,
) -> Forest | None:
    if features.shape[1] == 0 or len(np.unique(state[rows])) < 2:  # noqa: PLR2004 - one state needs no choice
        return None
    at = state[rows]
    return grow(
        features[rows],
        at,
        None if place is None else place[at],
        listed=listed,
        trees=learner.trees,
        leaf=learner.leaf,
        rng=rng,
    )


def _cells(states: States, *, ordered: bool) -> Codes:
    if len(states) <= MOST_OWN_CELLS or (not ordered and len(states) <= MOST_LISTED_CELLS):
        return np.arange(len(states))
    return _runs(states) if ordered else _frequent_and_rest(states)


def _runs(states: States) -> Codes:
    """Runs of neighbours with about 1 / GROUPS of the patients each; a frequent value is its own cell."""
    cell, number, held = np.empty(len(states), np.int64), 0, 0.0
    for place, share in enumerate(states.share):
        alone = share >= _SPIKE or states.is_missing[place]
        if held > 0 and (alone or held >= 1 / GROUPS):
            number, held = number + 1, 0.0
        cell[place] = number
        held += share
        if alone:
            number, held = number + 1, 0.0
    return np.unique(cell, return_inverse=True)[1].astype(np.int64)


def _frequent_and_rest(states: States) -> Codes:
    """The most frequent categories each in a cell of its own, the others in cells of similar frequency."""
    order = np.argsort(-states.share, kind="stable")
    cell = np.empty(len(states), np.int64)
    own = MOST_LISTED_CELLS // 2
    cell[order[:own]] = np.arange(own)
    rest = order[own:]
    held = np.cumsum(states.share[rest])
    cell[rest] = own + np.minimum((held / held[-1] * GROUPS).astype(np.int64), GROUPS - 1)
    cell = np.where(states.is_missing, cell.max() + 1, cell)
    return np.unique(cell, return_inverse=True)[1].astype(np.int64)


def pack_link(link: Link, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A link as plain values and named arrays, for a model's folder."""
    arrays = {
        f"{name}.low": link.states.low,
        f"{name}.high": link.states.high,
        f"{name}.share": link.states.share,
        f"{name}.cell": link.cell,
        f"{name}.cell_share": link.classifier.shares,
        f"{name}.booster": np.frombuffer(link.classifier.text().encode(), np.uint8),
    }
    for number, forest in enumerate(link.forests):
        if forest is not None:
            arrays |= pack_forest(forest, f"{name}.forest{number}")
    return {"forests": [n for n, f in enumerate(link.forests) if f is not None]}, arrays


def unpack_link(values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: str) -> Link:
    """The link that `pack_link` made."""
    states = States(arrays[f"{name}.low"], arrays[f"{name}.high"], arrays[f"{name}.share"])
    cell, shares = arrays[f"{name}.cell"], arrays[f"{name}.cell_share"]
    classifier = classifier_from_text(shares, bytes(arrays[f"{name}.booster"]).decode())
    held = set(values["forests"])
    forests = tuple(
        unpack_forest(arrays, f"{name}.forest{n}") if n in held else None for n in range(len(shares))
    )
    return Link(states, cell, classifier, forests)
