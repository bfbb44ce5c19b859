"""The flagship issue's sketches B and C: they calibrate the judges, and nothing of ehrsynth is in them.

B: for each column one CART on the columns before it, leaves of 5, a value drawn from the leaf. C: as B with
twenty bagged trees, one of them drawn for each row.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from measured import Job, System, run
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

LEAF, TREES = 5, {"b": 1, "c": 20}


class Tree(NamedTuple):
    """A tree, the training rows sorted by leaf, and where each leaf begins and ends among them."""

    tree: DecisionTreeClassifier | DecisionTreeRegressor
    rows: np.ndarray
    bounds: np.ndarray

    def draw(self, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A training row of the same leaf for each row."""
        leaf = self.tree.apply(known)
        low, high = self.bounds[leaf], self.bounds[leaf + 1]
        return self.rows[rng.integers(low, high)]


def numbers(table: pd.DataFrame, kinds: dict[str, str]) -> np.ndarray:
    """Words as places, missing as one below the smallest."""
    columns = []
    for name, kind in kinds.items():
        if kind == "word":
            columns.append(pd.factorize(table[name], sort=True)[0].astype(np.float64))
        else:
            values = table[name].to_numpy(np.float64)
            columns.append(np.where(np.isnan(values), np.nanmin(values) - 1, values))
    return np.stack(columns, axis=1)


def learn(table: pd.DataFrame, job: Job):
    """One list of trees for each column but the first."""
    rng = np.random.default_rng(job["seed"])
    cells, kinds, many = numbers(table, job["kinds"]), list(job["kinds"].values()), TREES[job["setting"]]
    links = []
    for place in range(1, len(kinds)):
        kind = DecisionTreeClassifier if kinds[place] == "word" else DecisionTreeRegressor
        links.append([grown(kind, cells, place, rng, bagged=many > 1) for _ in range(many)])
    return table, cells, links


def grown(kind, cells: np.ndarray, place: int, rng: np.random.Generator, *, bagged: bool) -> Tree:
    """One tree for one column."""
    n = len(cells)
    rows = rng.integers(0, n, n) if bagged else np.arange(n)
    tree = kind(min_samples_leaf=LEAF, random_state=int(rng.integers(2**31)))
    leaf = tree.fit(cells[rows, :place], cells[rows, place]).apply(cells[rows, :place])
    order = np.argsort(leaf, kind="stable")
    return Tree(tree, rows[order], np.searchsorted(leaf[order], np.arange(tree.tree_.node_count + 1)))


def draw(learnt, rows: int, job: Job) -> pd.DataFrame:
    """Column after column, each cell that of a training row in the same leaf."""
    table, cells, links = learnt
    rng = np.random.default_rng(job["seed"] + 1)
    chosen = rng.integers(0, len(table), rows)
    made, columns = cells[chosen, :1], [table.iloc[chosen, 0].to_numpy()]
    for place, trees in enumerate(links, 1):
        which = rng.integers(0, len(trees), rows)
        for number, tree in enumerate(trees):
            mine = which == number
            if mine.any():
                chosen[mine] = tree.draw(made[mine], rng)
        made = np.column_stack([made, cells[chosen, place]])
        columns.append(table.iloc[chosen, place].to_numpy())
    return pd.DataFrame(dict(zip(table.columns, columns, strict=True)))


if __name__ == "__main__":
    run(System(learn, draw))
