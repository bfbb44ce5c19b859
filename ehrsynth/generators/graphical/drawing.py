"""Rows from a distribution on a junction tree, spread as evenly as they can be.

Within each group of rows that agree so far, values are dealt out systematically: every row has the right
chances, and the counts of a whole sample lie within one of what the distribution says. Dealing at random
would add noise that no privacy asks for.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.graphical.junction import Calibrated

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_CELLS = 30_000_000


def draw(calibrated: Calibrated, n: int, rng: np.random.Generator) -> Codes:
    """N rows, one column for each variable."""
    junction = calibrated.junction
    rows = np.zeros((n, len(junction.sizes)), np.int64)
    for place, clique in enumerate(junction.cliques):
        shared = junction.separator[place]
        new = tuple(v for v in clique if v not in shared)
        if not new:
            continue
        table = calibrated.conditionals[place].transpose([clique.index(v) for v in (*shared, *new)])
        given = prod(junction.sizes[v] for v in shared)
        group = np.zeros(n, np.int64)
        for v in shared:
            group = group * junction.sizes[v] + rows[:, v]
        chosen = deal(table.reshape(given, -1), group, rng)
        for v in reversed(new):
            rows[:, v], chosen = chosen % junction.sizes[v], chosen // junction.sizes[v]
    return rows


def deal(chances: Floats, group: Codes, rng: np.random.Generator) -> Codes:
    """For each row a place in its group's line of chances (groups x places; lines need not add up to 1)."""
    present, group = np.unique(group, return_inverse=True)
    counts = np.bincount(group)
    shuffled = rng.permutation(len(group))
    order = shuffled[np.argsort(group[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(group)) - np.repeat(starts, counts)
    points = (rank + np.repeat(rng.random(len(counts)), counts)) / np.repeat(counts, counts)
    found = np.empty(len(group), np.int64)
    # Some groups at a time, so that a large table of chances is never copied whole.
    together = max(1, _MOST_CELLS // chances.shape[1])
    for first in range(0, len(present), together):
        steps = np.cumsum(chances[present[first : first + together]], axis=1)
        steps = steps / np.maximum(steps[:, -1:], 1e-300)
        steps[:, -1] = 1.0
        lines = steps + np.arange(len(steps))[:, None]
        start = starts[first]
        stop = start + counts[first : first + together].sum()
        mine = np.repeat(np.arange(len(steps)), counts[first : first + together])
        at = np.searchsorted(lines.ravel(), points[start:stop] + mine, side="right")
        found[order[start:stop]] = np.minimum(at - mine * steps.shape[1], steps.shape[1] - 1)
    return found
