"""How many patients hold each code of each column: all that a model of single columns needs.

Exact counts tell the values of single patients. They are kept only where it was asked for, and never leave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ModelError, RequestError

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """For each column the codes that occur (-1 for missing), sorted, and how many patients hold each."""

    values: tuple[Codes, ...]
    held: tuple[Codes, ...]

    @classmethod
    def of(cls, codes: Codes) -> Self:
        """Of encoded rows, n x columns."""
        found = [np.unique(column, return_counts=True) for column in codes.T]
        return cls(tuple(v for v, _ in found), tuple(h.astype(np.int64) for _, h in found))

    def without(self, codes: Codes) -> Self:
        """These counts after some rows were taken out.

        Raises
        ------
        RequestError
            If there are values among the rows that were never counted.
        """
        values, held = [], []
        for own, counts, gone in zip(self.values, self.held, codes.T, strict=True):
            taken, times = np.unique(gone, return_counts=True)
            at = np.minimum(np.searchsorted(own, taken), len(own) - 1)
            left = counts.copy()
            left[at] -= times
            if (own[at] != taken).any() or (left < 0).any():
                raise RequestError("the patients to forget are not among those who were counted")
            values.append(own[left > 0])
            held.append(left[left > 0])
        return type(self)(tuple(values), tuple(held))

    @property
    def patients(self) -> int:
        """How many patients were counted."""
        return int(self.held[0].sum()) if self.held else 0

    def pack(self) -> dict[str, NDArray[Any]]:
        """Three flat arrays, for a model's folder."""
        none = [np.empty(0, np.int64)]
        return {
            "counts.length": np.array([len(v) for v in self.values], np.int64),
            "counts.values": np.concatenate([*none, *self.values]),
            "counts.held": np.concatenate([*none, *self.held]),
        }

    @classmethod
    def unpack(cls, arrays: Mapping[str, NDArray[Any]], sizes: Sequence[int]) -> Self:
        """What `pack` made, for grids of these sizes.

        Raises
        ------
        ModelError
            If the arrays do not fit together.
        """
        length, values, held = (np.asarray(arrays[f"counts.{n}"]) for n in ("length", "values", "held"))
        fine = all(a.ndim == 1 and a.dtype == np.int64 for a in (length, values, held))
        fine = fine and len(length) == len(sizes) and bool((length > 0).all()) and bool((held > 0).all())
        if not fine or not length.sum() == len(values) == len(held):
            raise ModelError("the stored counts do not fit the schema: the model is damaged")
        cuts = np.cumsum(length)[:-1]
        made = cls(tuple(np.split(values, cuts)), tuple(np.split(held, cuts)))
        for own, counts, size in zip(made.values, made.held, sizes, strict=True):
            inside = own[0] >= -1 and own[-1] < size and bool((np.diff(own) > 0).all())
            if not inside or int(counts.sum()) != made.patients:
                raise ModelError("the stored counts do not fit the schema: the model is damaged")
        return made
