"""Who could have been a member: the random labellings under which nothing leaks.

Attacks that learn from the reference are tried on members and non-members only; those that learn nothing
from it count its patients as further non-members. So there are two labellings in one: `inner`, of members
and non-members, and `outer`, of all three. Both come from one random number for each patient, the members
being those with the smallest: each of the two is then exactly as random as it must be, and both move
together, as the attacks do.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Mask

Bits = NDArray[np.uint8]


class Labels(NamedTuple):
    """Patients x labellings, 1 for a member: without and with the reference as further non-members."""

    inner: Bits
    outer: Bits

    def of(self, *, wide: bool) -> Bits:
        """The one for an attack: `wide` where the reference is attacked too."""
        return self.outer if wide else self.inner


class Attacked(NamedTuple):
    """Which patients were attacked, patients x attacks: by those without and by those with the reference."""

    inner: Mask
    outer: Mask


def labellings(known: Mask, attacked: Attacked, count: int, rng: np.random.Generator) -> Labels:
    """`count` random labellings: labels move among patients whom the same attacks were made on.

    Parameters
    ----------
    known
        Which patients are members.
    """
    drawn = rng.random((count, len(known)), dtype=np.float32)
    found = []
    for by in attacked:
        labels = np.zeros(drawn.shape, np.uint8)
        alike = np.unique(by, axis=0, return_inverse=True)[1].ravel()
        for pattern in np.unique(alike[by.any(axis=1)]) if by.shape[1] else ():
            rows = np.flatnonzero(alike == pattern)
            _draw(labels, drawn, rows, int(known[rows].sum()))
        found.append(np.ascontiguousarray(labels.T))
    return Labels(*found)


def _draw(labels: Bits, drawn: NDArray[np.float32], rows: NDArray[np.int64], members: int) -> None:
    """Make so many of the rows members: those with the smallest numbers."""
    if members == len(rows):
        labels[:, rows] = 1
    elif members:
        chosen = np.argpartition(drawn[:, rows], members - 1, axis=1)[:, :members]
        np.put_along_axis(labels, rows[chosen], 1, axis=1)
