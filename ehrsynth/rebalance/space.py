"""The numbers that resampling computes in, complete, and the way back to patients.

imbalanced-learn refuses missing values. They are filled in with the median of a number and the most frequent
value of a category, learnt from the training patients of the fold alone; what was filled in is told. Real
patients keep their gaps: only what is computed from them has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix, is_discrete
from ehrsynth.schema import LearntColumn
from ehrsynth.tables.grids import grid

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The columns that resampling sees, learnt from the training patients.

    Parameters
    ----------
    columns
        Sorted by name; a column without one known value in training takes no part.
    filling
        What stands for missing, one number for each column.
    gaps
        Cells of the training patients that were filled in, by column, where there were some.
    levels
        For each column without order the values seen in training; None for the others.
    """

    columns: tuple[LearntColumn, ...]
    filling: Floats
    gaps: Mapping[str, int]
    levels: tuple[Floats | None, ...]

    @property
    def listed(self) -> NDArray[np.bool_]:
        """Which columns hold listed values: categories, codes and booleans."""
        return np.array([is_discrete(column) for column in self.columns], np.bool_)

    @property
    def notes(self) -> dict[str, Any]:
        """How gaps were filled, in words."""
        if not self.gaps:
            return {}
        rule = "median of a number, most frequent value of a category, of the training patients"
        return {"imputation": rule, "imputed_cells": dict(self.gaps)}

    def filled(self, table: Matrix) -> Floats:
        """The columns of some patients, n x p, gaps filled in."""
        values = np.stack([table.values[:, table.place(c.name)] for c in self.columns], axis=1)
        return np.where(np.isnan(values), self.filling, values)

    def flagged(self, filled: Floats) -> Floats:
        """Columns without order as a flag for each level: what distances and lines between patients need."""
        blocks = [
            filled[:, [place]] if levels is None else (filled[:, [place]] == levels).astype(np.float64)
            for place, levels in enumerate(self.levels)
        ]
        return np.hstack(blocks)

    def unflagged(self, flagged: Floats) -> Floats:
        """The way back: of the flags of a column the largest counts, the first where two are equal."""
        found, at = np.empty((len(flagged), len(self.columns))), 0
        for place, levels in enumerate(self.levels):
            width = 1 if levels is None else len(levels)
            block = flagged[:, at : at + width]
            found[:, place] = block[:, 0] if levels is None else levels[block.argmax(axis=1)]
            at += width
        return found

    def banded(self, filled: Floats, most: int) -> Floats:
        """Numbers with more than `most` values as the middle one of one of `most` equally full bands."""
        found = filled.copy()
        for place in np.flatnonzero(~self.listed):
            values = filled[:, place]
            if len(np.unique(values)) > most:
                edges = np.unique(np.quantile(values, np.linspace(0, 1, most + 1)[1:-1]))
                band = np.searchsorted(edges, values, side="right")
                middles = {b: np.quantile(values[band == b], 0.5, method="lower") for b in np.unique(band)}
                found[:, place] = [middles[b] for b in band]
        return found

    def on_grid(self, values: Floats) -> dict[str, Floats]:
        """The columns by name, each value moved to the nearest that its column can hold."""
        moved = {}
        for place, column in enumerate(self.columns):
            axis = grid(column)
            moved[column.name] = axis.values(axis.codes(values[:, place]))
        return moved


def learn_space(table: Matrix, names: tuple[str, ...]) -> Space:
    """The space of some columns of the training patients."""
    columns, filling, gaps, levels = [], [], {}, []
    for place, column in enumerate(table.columns):
        known = table.values[:, place][~np.isnan(table.values[:, place])]
        if column.name not in names or not len(known):
            continue
        columns.append(column)
        nominal = bool(table.nominal[place])
        seen, counts = np.unique(known, return_counts=True)
        middle = float(np.quantile(known, 0.5, method="lower"))
        filling.append(float(seen[counts.argmax()]) if is_discrete(column) else middle)
        levels.append(seen if nominal else None)
        if len(known) < len(table):
            gaps[column.name] = len(table) - len(known)
    return Space(tuple(columns), np.array(filling), gaps, tuple(levels))
