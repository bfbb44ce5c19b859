"""A sorted Merkle tree: one hash commits to a set, and a short proof shows that a member is absent.

Leaves are 32 bytes each, sorted, between two guards of all zeros and all ones. Whoever knows the root and
sees two leaves that stand next to each other in the tree knows that nothing lies between them. Leaf, node and
root are hashed with different first bytes, as in RFC 6962, so that none passes for another; the root also
holds the number of leaves.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ehrsynth.errors import RequestError

SIZE = 32
LOWEST, HIGHEST = bytes(SIZE), b"\xff" * SIZE


@dataclass(frozen=True, slots=True)
class Absence:
    """Proof that `missing` is no leaf: its two neighbours, the place of the lower one, and their paths up."""

    missing: bytes
    place: int
    lower: bytes
    upper: bytes
    lower_path: tuple[bytes, ...]
    upper_path: tuple[bytes, ...]

    def holds(self, root: bytes, leaves: int) -> bool:
        """Whether the proof shows that `missing` is absent from the tree with this root and size."""
        ends = ((self.lower, self.place, self.lower_path), (self.upper, self.place + 1, self.upper_path))
        return self.lower < self.missing < self.upper and all(
            _climbed(leaf, place, leaves, path) == root for leaf, place, path in ends
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values; bytes as hexadecimal digits."""
        return {
            "missing": self.missing.hex(),
            "place": self.place,
            "lower": self.lower.hex(),
            "upper": self.upper.hex(),
            "lower_path": [one.hex() for one in self.lower_path],
            "upper_path": [one.hex() for one in self.upper_path],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote; whatever else raises KeyError, TypeError or ValueError."""
        lower_path, upper_path = (
            tuple(bytes.fromhex(one) for one in values[name]) for name in ("lower_path", "upper_path")
        )
        missing, lower, upper = (bytes.fromhex(values[name]) for name in ("missing", "lower", "upper"))
        return cls(missing, int(values["place"]), lower, upper, lower_path, upper_path)


class Tree:
    """The tree over a set of leaves; `leaves` counts the two guards too."""

    def __init__(self, members: Iterable[bytes]) -> None:
        self._sorted = [LOWEST, *sorted({*members} - {LOWEST, HIGHEST}), HIGHEST]
        if any(len(leaf) != SIZE for leaf in self._sorted):
            raise RequestError(f"a leaf of a Merkle tree has {SIZE} bytes")
        self._levels = [[_leaf(leaf) for leaf in self._sorted]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_above(self._levels[-1]))

    @property
    def leaves(self) -> int:
        """How many leaves there are, the two guards included."""
        return len(self._sorted)

    @property
    def root(self) -> bytes:
        """The hash that commits to all leaves and to how many there are."""
        return _root(self._levels[-1][0], self.leaves)

    def __contains__(self, leaf: bytes) -> bool:
        at = bisect_left(self._sorted, leaf)
        return at < self.leaves and self._sorted[at] == leaf

    def absence(self, missing: bytes) -> Absence:
        """Proof that a hash is no leaf.

        Raises
        ------
        RequestError
            If it is one.
        """
        if missing in self or len(missing) != SIZE:
            raise RequestError("what is in the tree, or is no leaf at all, cannot be proven absent")
        place = bisect_left(self._sorted, missing) - 1
        lower, upper = self._sorted[place], self._sorted[place + 1]
        return Absence(missing, place, lower, upper, self._path(place), self._path(place + 1))

    def _path(self, place: int) -> tuple[bytes, ...]:
        found = []
        for level in self._levels[:-1]:
            if place ^ 1 < len(level):
                found.append(level[place ^ 1])
            place //= 2
        return tuple(found)


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [_node(level[k], level[k + 1]) for k in range(0, len(level) - 1, 2)]
    return [*pairs, *level[len(level) - len(level) % 2 :]]  # one that has no neighbour moves up as it is


def _climbed(leaf: bytes, place: int, leaves: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path lead to; None where the path has another length."""
    if not 0 <= place < leaves:
        return None
    found, size, left = _leaf(leaf), leaves, list(path)
    while size > 1:
        if place ^ 1 < size:
            if not left:
                return None
            beside = left.pop(0)
            found = _node(beside, found) if place % 2 else _node(found, beside)
        place, size = place // 2, (size + 1) // 2
    return None if left else _root(found, leaves)


def _leaf(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _root(head: bytes, leaves: int) -> bytes:
    return hashlib.sha256(b"\2" + leaves.to_bytes(8, "big") + head).digest()
