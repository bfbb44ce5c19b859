"""Junction trees: exact sums over a joint distribution that factors over small sets of variables.

Variables are numbers from 0, each with so many values. A potential is an array with one axis for each
variable of its clique, in ascending order of the variables. Koller and Friedman 2009, "Probabilistic
Graphical Models", chapter 10.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Clique = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Junction:
    """A tree of cliques in which every variable's cliques hang together.

    `parent` gives for each clique the number of one before it (-1 for the first); `separator` what the two
    share, which is nothing between parts that are independent.
    """

    sizes: tuple[int, ...]
    cliques: tuple[Clique, ...]
    parent: tuple[int, ...]
    separator: tuple[Clique, ...]

    @cached_property
    def cells(self) -> int:
        """How many numbers all potentials hold."""
        return sum(prod(self.sizes[v] for v in clique) for clique in self.cliques)

    def holder(self, variables: Iterable[int]) -> int:
        """The number of the smallest clique with all these variables; -1 where there is none."""
        wanted = set(variables)
        found = [place for place, clique in enumerate(self.cliques) if wanted <= set(clique)]
        return min(found, key=lambda p: prod(self.sizes[v] for v in self.cliques[p]), default=-1)

    def shape(self, clique: Clique) -> tuple[int, ...]:
        """The shape of a potential over a set of variables."""
        return tuple(self.sizes[v] for v in clique)

    def flat(self) -> list[Floats]:
        """Log potentials of 0 everywhere."""
        return [np.zeros(self.shape(clique)) for clique in self.cliques]

    def calibrated(self, potentials: Sequence[Floats]) -> "Calibrated":
        """Marginals of all cliques under the product of potentials.

        Parameters
        ----------
        potentials
            In logarithms, one for each clique; minus infinity rules a combination out.
        """
        beliefs = list(potentials)
        messages: list[Floats] = [np.zeros(())] * len(beliefs)
        for place in range(len(beliefs) - 1, 0, -1):
            clique, shared = self.cliques[place], self.separator[place]
            messages[place] = _log_sum(beliefs[place], clique, shared)
            up = self.parent[place]
            beliefs[up] = beliefs[up] + spread(messages[place], shared, self.cliques[up])
        log_total = float(_log_sum(beliefs[0], self.cliques[0], ()))
        marginals: list[Floats] = [np.zeros(())] * len(beliefs)
        conditionals: list[Floats] = [np.zeros(())] * len(beliefs)
        for place, clique in enumerate(self.cliques):
            shared, up = self.separator[place], self.parent[place]
            if place == 0:
                conditionals[0] = np.exp(beliefs[0] - (log_total if np.isfinite(log_total) else 0.0))
                marginals[0] = conditionals[0]
                continue
            below = np.where(np.isfinite(messages[place]), messages[place], 0.0)
            conditionals[place] = np.exp(beliefs[place] - spread(below, shared, clique))
            above = summed(marginals[up], self.cliques[up], shared)
            marginals[place] = conditionals[place] * spread(above, shared, clique)
        return Calibrated(self, tuple(marginals), tuple(conditionals), log_total)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A distribution on a junction tree.

    `marginals` of each clique; `conditionals` of each clique given its separator; `log_total` the logarithm
    of the sum over everything, minus infinity where nothing is possible.
    """

    junction: Junction
    marginals: tuple[Floats, ...]
    conditionals: tuple[Floats, ...]
    log_total: float

    def marginal(self, variables: Sequence[int]) -> Floats:
        """The distribution of some variables, axes in ascending order; exact also where they lie apart."""
        wanted = tuple(sorted(variables))
        place = self.junction.holder(wanted)
        if place >= 0:
            return summed(self.marginals[place], self.junction.cliques[place], wanted)
        return self._apart(wanted)

    def _apart(self, wanted: Clique) -> Floats:
        """Sum out the smallest subtree that holds all variables, from its leaves inwards."""
        keep = sorted(self._subtree(set(wanted)), reverse=True)
        messages: dict[int, list[tuple[Clique, Floats]]] = {place: [] for place in keep}
        for place in keep:
            last = place == keep[-1]
            table = self.marginals[place] if last else self.conditionals[place]
            factors = [(self.junction.cliques[place], table), *messages[place]]
            held = {v for variables, _ in factors for v in variables}
            stay = held & set(wanted) if last else held & {*wanted, *self.junction.separator[place]}
            left = tuple(sorted(stay))
            operands: list[Any] = [part for factor in factors for part in (factor[1], list(factor[0]))]
            found = np.asarray(np.einsum(*operands, list(left), optimize=True))
            if not last:
                messages[self.junction.parent[place]].append((left, found))
        return found

    def _subtree(self, wanted: set[int]) -> set[int]:
        junction = self.junction
        tops = [next(p for p, clique in enumerate(junction.cliques) if v in clique) for v in wanted]
        paths = []
        for top in tops:
            path = [top]
            while path[-1] > 0:
                path.append(junction.parent[path[-1]])
            paths.append(path)
        common = set.intersection(*map(set, paths))
        root = max(common)
        return {place for path in paths for place in path if place >= root} - (common - {root})


def spread(table: Floats, variables: Clique, over: Clique) -> Floats:
    """A table over some variables, ready to be added to or multiplied with one over more of them."""
    at = iter(table.shape)
    have = set(variables)
    return table.reshape(tuple(next(at) if v in have else 1 for v in over))


def summed(table: Floats, variables: Clique, left: Clique) -> Floats:
    """The sum over all variables that are not left."""
    away = tuple(axis for axis, v in enumerate(variables) if v not in left)
    return np.asarray(table.sum(axis=away)) if away else table


def _log_sum(table: Floats, variables: Clique, left: Clique) -> Floats:
    away = tuple(axis for axis, v in enumerate(variables) if v not in left)
    if not away:
        return table
    top = table.max(axis=away, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(table - top).sum(axis=away)) + top.reshape(_without(top.shape, away)))


def _without(shape: tuple[int, ...], away: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in away)


def junction_tree(sizes: Sequence[int], groups: Iterable[Iterable[int]]) -> Junction:
    """The tree for a distribution with a factor over each group of variables.

    Variables are eliminated one after another, each time the one that leaves the smallest clique (Kjærulff
    1990); the maximal cliques are joined by the heaviest separators.
    """
    neighbours: dict[int, set[int]] = {v: set() for v in range(len(sizes))}
    for group in groups:
        for one, other in combinations(sorted(set(group)), 2):
            neighbours[one].add(other)
            neighbours[other].add(one)
    cliques = _maximal(_eliminated(neighbours, sizes))
    return _joined(tuple(sizes), cliques)


def _eliminated(neighbours: Mapping[int, set[int]], sizes: Sequence[int]) -> list[frozenset[int]]:
    left = {v: set(around) for v, around in neighbours.items()}
    found = []

    def weight(v: int) -> tuple[int, int]:
        return prod(sizes[u] for u in left[v]) * sizes[v], v

    while left:
        v = min(left, key=weight)
        around = left.pop(v)
        found.append(frozenset({v, *around}))
        for u in around:
            left[u] |= around - {u}
            left[u].discard(v)
    return found


def _maximal(cliques: Iterable[frozenset[int]]) -> list[Clique]:
    found: list[frozenset[int]] = []
    for clique in sorted(cliques, key=lambda c: (-len(c), sorted(c))):
        if not any(clique <= other for other in found):
            found.append(clique)
    return [tuple(sorted(clique)) for clique in found]


def _joined(sizes: tuple[int, ...], cliques: Sequence[Clique]) -> Junction:
    """A spanning tree of the largest separators (Prim), each clique after its parent."""
    order, parent, separator = [0], [-1], list[Clique]([()])
    best = {place: (0, len(set(cliques[place]) & set(cliques[0]))) for place in range(1, len(cliques))}
    places = {0: 0}
    while best:
        chosen = max(best, key=lambda p: (best[p][1], -p))
        above, _ = best.pop(chosen)
        shared = tuple(sorted(set(cliques[chosen]) & set(cliques[above])))
        places[chosen] = len(order)
        order.append(chosen)
        parent.append(places[above])
        separator.append(shared)
        for place, (_, shared_size) in best.items():
            size = len(set(cliques[place]) & set(cliques[chosen]))
            if size > shared_size:
                best[place] = (chosen, size)
    return Junction(sizes, tuple(cliques[p] for p in order), tuple(parent), tuple(separator))
