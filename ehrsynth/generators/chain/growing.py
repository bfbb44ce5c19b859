"""Growing the trees of a `Forest` with scikit-learn, and filling their leaves with states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.forest import LEAF, Forest
from ehrsynth.generators.chain.means import learn_means

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_BAG = 0.63  # the expected share of distinct patients in a bootstrap sample
_MOST_CLASSES = 64  # a tree that counts every class in every node is slow beyond


@dataclass(frozen=True, slots=True)
class Bagging:
    """How many trees, and the fewest patients in a leaf. One tree sees all patients, several a bag each."""

    trees: int = 10
    leaf: int = 10


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
    grown = [_tree(numbers, state, place, bagging, rng) for _ in range(bagging.trees)]
    nodes = np.cumsum([0, *(len(tree.feature) for tree in grown)])
    entries = np.cumsum([0, *(len(tree.states) for tree in grown)])
    return Forest(
        nodes[:-1].astype(np.int64),
        np.concatenate([t.feature for t in grown]),
        np.concatenate([t.threshold for t in grown]),
        np.concatenate([t.left + n for t, n in zip(grown, nodes, strict=False)]).astype(np.int32),
        np.concatenate([t.right + n for t, n in zip(grown, nodes, strict=False)]).astype(np.int32),
        np.concatenate([t.first + n for t, n in zip(grown, entries, strict=False)]).astype(np.int32),
        np.concatenate([t.count for t in grown]),
        np.concatenate([t.states for t in grown]),
        means,
    )


def _frequency(state: Codes) -> Floats:
    # Categories have no order: their frequency is a number that a mean can be taken of.
    return np.asarray(np.bincount(state)[state] / len(state), np.float64)


@dataclass(frozen=True, slots=True)
class _Tree:
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    first: NDArray[np.int32]
    count: NDArray[np.int32]
    states: NDArray[np.int32]


def _tree(
    numbers: Features, state: Codes, place: Floats | None, bagging: Bagging, rng: np.random.Generator
) -> _Tree:
    n, bagged = len(state), bagging.trees > 1 and len(state) > 2 * bagging.leaf
    rows = np.sort(rng.choice(n, max(2, int(n * _BAG)), replace=False)) if bagged else np.arange(n)
    kind: Any = DecisionTreeClassifier if place is None else DecisionTreeRegressor
    model = kind(min_samples_leaf=min(bagging.leaf, len(rows)), random_state=int(rng.integers(2**31)))
    # Features are finite float32: scikit-learn's checks cost more than a small tree.
    bag = np.ascontiguousarray(numbers[rows], np.float32)
    model.fit(bag, (state if place is None else place)[rows], check_input=False)
    grown, held = model.tree_, model.apply(bag, check_input=False)
    order = np.lexsort((state[rows], held))
    count = np.bincount(held, minlength=grown.node_count)
    return _Tree(
        np.where(grown.children_left < 0, LEAF, grown.feature).astype(np.int32),
        grown.threshold.astype(np.float32),
        grown.children_left.astype(np.int32),
        grown.children_right.astype(np.int32),
        (np.cumsum(count) - count).astype(np.int32),
        count.astype(np.int32),
        state[rows][order].astype(np.int32),
    )
