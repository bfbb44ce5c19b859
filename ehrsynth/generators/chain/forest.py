"""Bagged trees whose leaves hold states: a draw is a state of a random tree's leaf.

The mixture over trees is the conditional distribution of a quantile regression forest (Meinshausen 2006,
"Quantile Regression Forests", JMLR 7), here over states instead of values. Categories of earlier columns
enter as the smoothed mean of the target in each (`means`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.means import CategoryMeans

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAF = -1
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees as flat arrays, one after the other.

    `weights` (one a tree, at least 0, together 1) says how often a draw comes from each tree. A node with
    `feature` -1 is a leaf that holds ``states[first:first + count]``, sorted by state. Children
    come after their parents.
    """

    roots: Codes
    weights: Floats
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    first: NDArray[np.int32]
    count: NDArray[np.int32]
    states: NDArray[np.int32]
    means: CategoryMeans

    def leaves(self, features: Features, tree: Codes) -> Codes:
        """The leaf of each row in its tree.

        Parameters
        ----------
        features
            n x features, categories already as means.
        tree
            For each row, the number of a tree.
        """
        node = self.roots[tree].astype(np.int64)
        active = np.flatnonzero(self.feature[node] != LEAF)
        while len(active):
            at = node[active]
            goes_left = features[active, self.feature[at]] <= self.threshold[at]
            node[active] = np.where(goes_left, self.left[at], self.right[at])
            active = active[self.feature[node[active]] != LEAF]
        return node

    def draw(self, features: Features, rng: np.random.Generator) -> Codes:
        """A state for each row."""
        numbers = self.means.put_into(features)
        steps = np.cumsum(self.weights)
        tree = np.searchsorted(steps, rng.random(len(features)) * steps[-1], side="right")
        node = self.leaves(numbers, np.minimum(tree, len(steps) - 1))
        pick = self.first[node] + (rng.random(len(node)) * self.count[node]).astype(np.int64)
        return np.asarray(self.states[pick], np.int64)

    def weigh(self, features: Features, weight: Floats) -> "Weighed":
        """The mass that states with these weights (0 to 1) have in each row's conditional."""
        sums = np.concatenate([[0.0], np.cumsum(weight[self.states])])
        nodes = self._all_leaves(features)
        start, stop = sums[self.first[nodes]], sums[self.first[nodes] + self.count[nodes]]
        return Weighed(self, sums, nodes, self.weights * (stop - start) / self.count[nodes])

    def spread(self, features: Features, states: int) -> Floats:
        """The probability of each of so many states in each row's conditional, n x states."""
        nodes, entries = self._all_leaves(features), np.repeat(1 / np.maximum(self.count, 1), self.count)
        rows = np.arange(len(nodes) + 1) * len(self.roots)
        which = csr_matrix(
            (np.tile(self.weights, len(nodes)), nodes.ravel(), rows), (len(nodes), len(self.count))
        )
        ends = np.append(self.first, len(self.states))
        held = csr_matrix((entries, self.states, ends), (len(self.count), states))
        return np.asarray((which @ held).toarray(), np.float64)

    def _all_leaves(self, features: Features) -> Codes:
        """The leaf of each row in every tree, n x trees."""
        numbers, nodes = self.means.put_into(features), np.empty((len(features), len(self.roots)), np.int64)
        for tree in range(len(self.roots)):
            nodes[:, tree] = self.leaves(numbers, np.full(len(features), tree))
        return nodes

    def probability(self, features: Features, state: Codes) -> Floats:
        """The probability of one state in each row's conditional, 0 to 1."""
        return np.asarray(self.by_tree(features, state) @ self.weights)

    def by_tree(self, features: Features, state: Codes) -> Floats:
        """The share of one state in each row's leaf of every tree, n x trees."""
        size, numbers = int(self.states.max(initial=0)) + 2, self.means.put_into(features)
        key = np.repeat(np.arange(len(self.count)), self.count) * size + self.states
        found = np.empty((len(features), len(self.roots)))
        # Entries stand in the order of the leaves, so that the keys are sorted.
        for tree in range(len(self.roots)):
            node = self.leaves(numbers, np.full(len(features), tree))
            wanted = node * size + np.minimum(state, size - 1)
            held = np.searchsorted(key, wanted, side="right") - np.searchsorted(key, wanted, side="left")
            found[:, tree] = held / self.count[node]
        return found

    def checked(self, features: int, states: int) -> Self:
        """Itself, if every way down ends in a leaf with states that exist.

        Raises
        ------
        ModelError
            If not.
        """
        nodes, leaf = np.arange(len(self.feature)), self.feature == LEAF
        arrays = (self.feature, self.threshold, self.left, self.right, self.first, self.count)
        fine = len(self.roots) > 0 and {len(a) for a in arrays} == {len(nodes)} and len(nodes) > 0
        fine = fine and _inside(self.roots, 0, len(nodes)) and _inside(self.feature, LEAF, features)
        for child in (self.left, self.right):
            fine = fine and bool((leaf | ((child > nodes) & (child < len(nodes)))).all())
        fine = fine and self.weights.shape == self.roots.shape and bool((self.weights >= 0).all())
        fine = fine and abs(float(self.weights.sum()) - 1) < _ROUNDING
        # Leaves hold their states one after the other; inner nodes hold none.
        fine = fine and bool((self.count[leaf] > 0).all()) and bool((self.count[~leaf] == 0).all())
        fine = fine and bool((self.first == np.cumsum(self.count) - self.count).all())
        fine = fine and int(self.count.sum()) == len(self.states) and _inside(self.states, 0, states)
        if not fine or np.isnan(self.threshold).any():
            message = "a stored forest does not fit together: the model is damaged"
            raise ModelError(message)
        self.means.checked(features)
        return self


def _inside(values: NDArray[Any], low: int, beyond: int) -> bool:
    return bool(((values >= low) & (values < beyond)).all())


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """Rows' leaves in every tree with the mass of the allowed states there, times the tree's weight."""

    forest: Forest
    sums: Floats
    nodes: Codes
    masses: Floats

    @property
    def mass(self) -> Floats:
        """The mass of each row's allowed states."""
        return np.asarray(self.masses.sum(axis=1))

    def draw(self, rows: Codes, rng: np.random.Generator) -> Codes:
        """A state in proportion to its weight, for rows whose mass is above 0."""
        forest, steps = self.forest, self.masses[rows].cumsum(axis=1)
        tree = (rng.random(len(rows))[:, None] * steps[:, -1:] >= steps).sum(axis=1)
        node = self.nodes[rows, np.minimum(tree, steps.shape[1] - 1)]
        start, stop = self.sums[forest.first[node]], self.sums[forest.first[node] + forest.count[node]]
        entry = np.searchsorted(self.sums, start + rng.random(len(rows)) * (stop - start), side="right") - 1
        last = forest.first[node] + forest.count[node] - 1
        return np.asarray(forest.states[np.clip(entry, forest.first[node], last)], np.int64)


def pack_forest(forest: Forest) -> dict[str, NDArray[Any]]:
    """A forest as named arrays, for a model's folder."""
    arrays = {f.name: getattr(forest, f.name) for f in fields(forest) if f.name != "means"}
    return arrays | {f"means.{f.name}": getattr(forest.means, f.name) for f in fields(forest.means)}


def unpack_forest(held: Mapping[str, NDArray[Any]], features: int, states: int) -> Forest:
    """The forest that `pack_forest` made, for so many features and states.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    means = CategoryMeans(*(held[f"means.{f.name}"] for f in fields(CategoryMeans)))
    trees: dict[str, Any] = {f.name: held[f.name] for f in fields(Forest) if f.name != "means"}
    return Forest(**trees, means=means).checked(features, states)
