"""Neighbourhoods of points: who lies in whose. Precision, recall, density and coverage are made of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.statistics import Floats

Mask = NDArray[np.bool_]
_BLOCK = 500  # rows whose distances are held at once


class Neighbourhoods(NamedTuple):
    """Whether each other point lies in the neighbourhood of a real one, and the other way round.

    `precise` (m) says it of the other points, `dense` (m) in how many neighbourhoods each lies, over k;
    `recalled` (n) says whether a real point lies in the neighbourhood of another, `covered` (n) whether its
    own neighbourhood holds one.
    """

    precise: Mask
    dense: Floats
    recalled: Mask
    covered: Mask


def neighbourhoods(real: Floats, other: Floats, k: int) -> Neighbourhoods:
    """Compare n real and m other points; a neighbourhood reaches to the k-th nearest point of the same kind.

    Precision and recall are the means of `precise` and `recalled` (Kynkaanniemi et al. 2019, arXiv
    1904.06991), density and coverage those of `dense` and `covered` (Naeem et al. 2020, arXiv 2002.09797).
    """
    own, their = reach(real, k), reach(other, k)
    inside = np.zeros(len(other))
    recalled, covered = np.zeros(len(real), np.bool_), np.zeros(len(real), np.bool_)
    for start in range(0, len(real), _BLOCK):
        part = slice(start, start + _BLOCK)
        distance = squared_distances(real[part], other)
        within = distance <= own[part, None]
        inside += within.sum(axis=0)
        covered[part] = within.any(axis=1)
        recalled[part] = (distance <= their).any(axis=1)
    return Neighbourhoods(inside > 0, inside / k, recalled, covered)


def reach(rows: Floats, k: int) -> Floats:
    """The squared distance of each row to its k-th nearest other row."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        distance = squared_distances(rows[start : start + _BLOCK], rows)
        place = np.arange(len(distance))
        distance[place, start + place] = np.inf
        found[start : start + _BLOCK] = np.partition(distance, k - 1, axis=1)[:, k - 1]
    return found


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Squared Euclidean distances, equal rows at exactly the same distance of about 0."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :] - 2 * first @ second.T
    return np.asarray(np.maximum(squares, 0.0).round(9))
