"""Growing the trees of a `Forest` with scikit-learn, and filling their leaves with states."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.forest import LEAF, Forest
from ehrsynth.generators.chain.means import learn_means
from ehrsynth.generators.chain.stacking import stacked

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_BAG = 0.63  # the expected share of distinct patients in a bootstrap sample
_COARSER = (1, 4, 16)  # sizes of leaf that a bag of trees has, in multiples of the smallest
_MOST_CLASSES = 64  # a tree that counts every class in every node is slow beyond


@dataclass(frozen=True, slots=True)
class Bagging:
    """How many trees of each size of leaf, and the fewest patients in the smallest.

    One tree sees all patients and has one size. Several see a bag each and have leaves of 1, 4 and 16 times
    as many patients, weighed by the patients outside of the bags (`stacking`).
    """

    trees: int = 6
    leaf: int = 10

    def sizes(self, patients: int) -> tuple[int, ...]:
        """The fewest patients in a leaf of each tree; without sizes that allow fewer than four leaves."""
        if self.trees == 1:
            return (self.leaf,)
        coarser = [m * self.leaf for m in _COARSER if m == 1 or 4 * m * self.leaf < patients]
        return tuple(size for size in coarser for _ in range(self.trees))


def grow(
    features: Features,
    state: Codes,
    place: Floats | None,
    *,
    listed: Sequence[int],
    bagging: Bagging,
    rng: np.random.Generator,
) -> Forest:
    """Grow trees on rows and fill their leaves.

    Parameters
    ----------
    features
        n x features, as `feature_matrix` makes them.
    state
        The state of each row.
    place
        The number that splits should tell apart (see `States.place`), or None when states have no order.
    listed
        Which columns of `features` are categories.
    """
    if place is None and len(np.unique(state)) > _MOST_CLASSES:
        # The schema's order stands in: in lists of codes, neighbours are of one family.
        place = state / (state.max() + 1)
    means = learn_means(features, place if place is not None else _frequency(state), listed)
    numbers = means.put_into(features)
    sizes = bagging.sizes(len(state))
    bagged = bagging.trees > 1 and len(state) > 2 * bagging.leaf
    grown = [_tree(numbers, state, place, _Size(size, bagged), rng) for size in sizes]
    nodes = np.cumsum([0, *(len(tree.feature) for tree in grown)])
    entries = np.cumsum([0, *(len(tree.states) for tree in grown)])
    forest = Forest(
        nodes[:-1].astype(np.int64),
        np.full(len(grown), 1.0 / len(grown)),
        np.concatenate([t.feature for t in grown]),
        np.concatenate([t.threshold for t in grown]),
        np.concatenate([t.left + n for t, n in zip(grown, nodes, strict=False)]).astype(np.int32),
        np.concatenate([t.right + n for t, n in zip(grown, nodes, strict=False)]).astype(np.int32),
        np.concatenate([t.first + n for t, n in zip(grown, entries, strict=False)]).astype(np.int32),
        np.concatenate([t.count for t in grown]),
        np.concatenate([t.states for t in grown]),
        means,
    )
    if len(set(sizes)) == 1:
        return forest
    return replace(forest, weights=_weights(forest, grown, sizes, features, state))


def _weights(
    forest: Forest, grown: Sequence["_Tree"], sizes: Sequence[int], features: Features, state: Codes
) -> Floats:
    """The weight of each tree: trees of one size share that size's."""
    unseen = np.ones((len(state), len(grown)), np.bool_)
    for number, tree in enumerate(grown):
        unseen[tree.rows, number] = False
    share = forest.by_tree(features, state) * unseen
    kinds = [np.flatnonzero(np.equal(sizes, size)) for size in sorted(set(sizes))]
    with np.errstate(invalid="ignore"):  # a patient in all bags of a size: 0 / 0
        by_size = np.column_stack([share[:, k].sum(axis=1) / unseen[:, k].sum(axis=1) for k in kinds])
    weights = np.empty(len(grown))
    for trees, weight in zip(kinds, stacked(by_size), strict=True):
        weights[trees] = weight / len(trees)
    return weights


def _frequency(state: Codes) -> Floats:
    # Categories have no order: their frequency is a number that a mean can be taken of.
    return np.asarray(np.bincount(state)[state] / len(state), np.float64)


@dataclass(frozen=True, slots=True)
class _Size:
    leaf: int
    bagged: bool


@dataclass(frozen=True, slots=True)
class _Tree:
    rows: Codes
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    first: NDArray[np.int32]
    count: NDArray[np.int32]
    states: NDArray[np.int32]


def _tree(
    numbers: Features, state: Codes, place: Floats | None, of: _Size, rng: np.random.Generator
) -> _Tree:
    n = len(state)
    rows = np.sort(rng.choice(n, max(2, int(n * _BAG)), replace=False)) if of.bagged else np.arange(n)
    kind: Any = DecisionTreeClassifier if place is None else DecisionTreeRegressor
    model = kind(min_samples_leaf=min(of.leaf, len(rows)), random_state=int(rng.integers(2**31)))
    # Features are finite float32: scikit-learn's checks cost more than a small tree.
    bag = np.ascontiguousarray(numbers[rows], np.float32)
    model.fit(bag, (state if place is None else place)[rows], check_input=False)
    grown, held = model.tree_, model.apply(bag, check_input=False)
    order = np.lexsort((state[rows], held))
    count = np.bincount(held, minlength=grown.node_count)
    return _Tree(
        rows,
        np.where(grown.children_left < 0, LEAF, grown.feature).astype(np.int32),
        grown.threshold.astype(np.float32),
        grown.children_left.astype(np.int32),
        grown.children_right.astype(np.int32),
        (np.cumsum(count) - count).astype(np.int32),
        count.astype(np.int32),
        state[rows][order].astype(np.int32),
    )
