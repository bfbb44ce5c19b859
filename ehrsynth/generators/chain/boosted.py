"""Boosted trees as plain arrays: what is stored of a LightGBM model, checked before LightGBM sees it again.

LightGBM's own text model keeps more than predictions need (each feature's smallest and largest value, the
patients in every node) and is read by C code that trusts it. So only the shape of the trees is kept, and
the text is written anew from checked arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.features import Features

Array = NDArray[Any]
Floats = NDArray[np.float64]

THREADS = 1
_CATEGORICAL = 1  # the bit of a decision type that says so
_MOST_DECISION = 15
_DIGITS = ".17g"  # enough for a float64 to survive
_FIELDS = {
    "num_leaves": np.int32,
    "num_cat": np.int32,
    "split_feature": np.int32,
    "threshold": np.float32,
    "decision_type": np.int8,
    "left_child": np.int32,
    "right_child": np.int32,
    "leaf_value": np.float32,
    "cat_boundaries": np.int32,
    "cat_threshold": np.uint32,
}


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Trees one after the other, each array the concatenation of LightGBM's field of the same name.

    The trees of one round follow each other, one for each of `outputs` scores.
    """

    inputs: int
    outputs: int
    arrays: Mapping[str, Array]

    @classmethod
    def of(cls, booster: lgb.Booster, rounds: int) -> Self:
        """The first rounds of a trained model."""
        text = booster.model_to_string(num_iteration=rounds)
        gathered: dict[str, list[str]] = {name: [] for name in _FIELDS}
        for section in text.partition("end of trees")[0].split("Tree=")[1:]:
            fields = dict(line.split("=", 1) for line in section.splitlines() if "=" in line)
            for name in _FIELDS:
                gathered[name] += fields.get(name, "").split()
        # By way of float64: numpy reads digits there, and whole numbers of 32 bits are exact in it.
        arrays = {n: np.array(words, np.float64).astype(_FIELDS[n]) for n, words in gathered.items()}
        return cls(booster.num_feature(), booster.num_model_per_iteration(), arrays)

    def scores(self, features: Features) -> Floats:
        """The sum of the trees' leaves, n x outputs."""
        found = np.asarray(self._booster.predict(features, raw_score=True, num_threads=THREADS), np.float64)
        return found.reshape(len(features), self.outputs)

    @cached_property
    def _booster(self) -> lgb.Booster:
        return lgb.Booster(model_str=self.text())

    def text(self) -> str:
        """LightGBM's text for these trees: splits and leaf values, nothing about the patients behind them."""
        names = " ".join(f"Column_{place}" for place in range(self.inputs))
        head = [
            "tree",
            "version=v4",
            f"num_class={self.outputs}",
            f"num_tree_per_iteration={self.outputs}",
            "label_index=0",
            f"max_feature_idx={self.inputs - 1}",
            f"feature_names={names}",
            f"feature_infos={' '.join(['none'] * self.inputs)}",
        ]
        trees = [self._tree(tree) for tree in range(len(self.arrays["num_leaves"]))]
        return "\n".join([*head, "", *trees, "end of trees", ""])

    def _tree(self, tree: int) -> str:
        lines = [f"Tree={tree}"]
        for name, array in self.arrays.items():
            start, stop = self._ends[name][tree : tree + 2]
            words = [format(x, _DIGITS) for x in array[start:stop].tolist()]
            if words:
                lines.append(f"{name}={' '.join(words)}")
        return "\n".join([*lines, "is_linear=0", "shrinkage=1", ""])

    @cached_property
    def _ends(self) -> dict[str, Array]:
        """Where each tree's piece of each array starts; one more for the end."""
        leaves, cats = self.arrays["num_leaves"].astype(np.int64), self.arrays["num_cat"].astype(np.int64)
        bounds = np.where(cats > 0, cats + 1, 0)
        last = np.cumsum(bounds)[cats > 0] - 1
        words = np.zeros(len(cats), np.int64)
        words[cats > 0] = self.arrays["cat_boundaries"][last]
        lengths = {"num_leaves": leaves * 0 + 1, "num_cat": leaves * 0 + 1, "leaf_value": leaves}
        lengths |= {"cat_boundaries": bounds, "cat_threshold": words}
        return {name: np.append(0, np.cumsum(lengths.get(name, leaves - 1))) for name in _FIELDS}

    def checked(self) -> Self:
        """Itself, if LightGBM can be trusted with it.

        Raises
        ------
        ModelError
            If lengths do not fit, a child, feature or bit set does not exist, or a number is not finite.
        """
        try:
            fine = self._fits() and self._nodes_fit() and self._categories_fit()
        except (IndexError, ValueError, OverflowError):
            fine = False
        if not fine:
            message = "the stored trees do not fit together: the model is damaged"
            raise ModelError(message)
        return self

    def _fits(self) -> bool:
        arrays, leaves, cats = self.arrays, self.arrays["num_leaves"], self.arrays["num_cat"]
        if any(arrays[name].dtype != kind or arrays[name].ndim != 1 for name, kind in _FIELDS.items()):
            return False
        if len(leaves) % self.outputs or len(leaves) != len(cats):
            return False
        if (leaves < 1).any() or (cats < 0).any() or (cats > leaves).any():
            return False
        ends = self._ends
        return all(e[-1] == len(arrays[n]) and bool((np.diff(e) >= 0).all()) for n, e in ends.items())

    def _nodes_fit(self) -> bool:
        arrays, tree, node = self.arrays, *self._nodes()
        for side in ("left_child", "right_child"):
            child, leaves = arrays[side], arrays["num_leaves"][tree]
            # A child after its parent: following children always ends.
            inner = (child > node) & (child < leaves - 1)
            if not np.where(child >= 0, inner, ~child < leaves).all():
                return False
        feature, kind = arrays["split_feature"], arrays["decision_type"]
        known = (feature >= 0) & (feature < self.inputs) & (kind >= 0) & (kind <= _MOST_DECISION)
        numbers = np.concatenate([arrays["threshold"], arrays["leaf_value"]])
        return bool(known.all()) and bool(np.isfinite(numbers).all())

    def _categories_fit(self) -> bool:
        arrays, (tree, _) = self.arrays, self._nodes()
        bounds, starts = arrays["cat_boundaries"], self._ends["cat_boundaries"][:-1][arrays["num_cat"] > 0]
        rises = np.diff(bounds, prepend=-1) > 0
        rises[starts] = bounds[starts] == 0
        by_set = (arrays["decision_type"] & _CATEGORICAL) > 0
        chosen = arrays["threshold"][by_set]
        return bool(rises.all()) and bool(((chosen >= 0) & (chosen < arrays["num_cat"][tree][by_set])).all())

    def _nodes(self) -> tuple[Array, Array]:
        """The tree of each inner node, and its number in that tree."""
        tree = np.repeat(np.arange(len(self.arrays["num_leaves"])), self.arrays["num_leaves"] - 1)
        return tree, np.arange(len(tree)) - self._ends["split_feature"][tree]


def pack_trees(trees: BoostedTrees) -> dict[str, Array]:
    """Trees as named arrays, for a model's folder."""
    return dict(trees.arrays)


def unpack_trees(fields: Mapping[str, Array], inputs: int, outputs: int) -> BoostedTrees:
    """The trees that `pack_trees` made, for so many inputs and outputs.

    Raises
    ------
    ModelError
        If they are damaged (see `BoostedTrees.checked`).
    """
    return BoostedTrees(inputs, outputs, {name: fields[name] for name in _FIELDS}).checked()
