"""Each column of two tables as a short list of shares that a report can draw.

Cells are fixed by the schema and the synthetic table alone, never by the real one: no real extreme or rare
value shows. `suppressed` hides real cells of 1 to 10 patients, and as many more as keep them from being
worked out (CMS cell suppression policy).
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Floats, Matrix, is_discrete, matrix
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    LearntColumn,
    Schema,
)
from ehrsynth.tables.grids import grid

MOST_CELLS = 30
SMALL_CELL = 10
_CORE = (0.01, 0.99)
OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One column of both tables, as shares of all rows; with the missing share they add up to 1.

    Parameters
    ----------
    kind
        The column's kind, as in the schema.
    labels
        At most 30 cells: words of the schema, or ranges of numbers or dates.
    edges
        The ends of the cells, one more than there are; empty for listed values.
    real, synthetic
        Each cell's share of all rows, 0 to 1; None where it is suppressed.
    real_missing, synthetic_missing
        The share of rows without a value; None where it is suppressed.
    real_rows, synthetic_rows
        Rows of each table.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    edges: tuple[float, ...]
    real: tuple[float | None, ...]
    synthetic: tuple[float | None, ...]
    real_missing: float | None
    synthetic_missing: float | None
    real_rows: int
    synthetic_rows: int

    def suppressed(self, small_cell: int = SMALL_CELL) -> "ColumnSummary":
        """The same without real cells of 1 to `small_cell` patients, nor what would give them away.

        Further cells, the smallest first, are hidden until the hidden ones are at least two and hold more
        than `small_cell` patients together; a column where that cannot be is hidden whole.
        """
        shares = (*self.real, self.real_missing)
        counts = np.array([0 if s is None else round(s * self.real_rows) for s in shares])
        hide = (counts >= 1) & (counts <= small_cell) | np.array([s is None for s in shares])
        if not hide.any():
            return self
        for place in np.argsort(counts, kind="stable"):
            if hide.sum() > 1 and counts[hide].sum() > small_cell:
                break
            hide[place] = hide[place] or counts[place] > 0
        if hide.sum() < 2 or counts[hide].sum() <= small_cell:  # noqa: PLR2004
            hide[:] = True
        kept = [None if hidden else share for share, hidden in zip(shares, hide, strict=True)]
        return replace(self, real=tuple(kept[:-1]), real_missing=kept[-1])


def summarise(real: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema) -> tuple[ColumnSummary, ...]:
    """The summary of every learnt column, in the schema's order."""
    known, made = matrix(real, schema), matrix(synthetic, schema)
    return tuple(_summary(column, known, made) for column in schema.learnt)


def _summary(column: LearntColumn, known: Matrix, made: Matrix) -> ColumnSummary:
    place = known.place(column.name)
    values, drawn = known.values[:, place], made.values[:, place]
    if is_discrete(column):
        labels, cells = _listed(column, drawn)
        edges: Floats = np.empty(0)
        real, synthetic = (_shares(cells[grid(column).codes(v)], v, len(labels)) for v in (values, drawn))
    else:
        edges = _edges(column, drawn)
        labels = tuple(_range(column, low, high) for low, high in pairwise(edges))
        real, synthetic = (_shares(_cell(v, edges), v, len(labels)) for v in (values, drawn))
    return ColumnSummary(
        column.name,
        column.kind,
        labels,
        tuple(edges.tolist()),
        real[0],
        synthetic[0],
        real[1],
        synthetic[1],
        len(values),
        len(drawn),
    )


def _shares(cells: NDArray[np.int64], values: Floats, count: int) -> tuple[tuple[float, ...], float]:
    """The share of rows in each cell, and of missing ones; all 0 for a table without rows."""
    rows, missing = max(1, len(values)), np.isnan(values)
    counts = np.bincount(cells[~missing], minlength=count)
    return tuple((counts / rows).tolist()), float(missing.sum() / rows)


def _listed(column: LearntColumn, drawn: Floats) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The words shown, and each code's cell: beyond 30 words the synthetically rarer ones are one cell."""
    words = _words(column)
    if len(words) <= MOST_CELLS:
        return words, np.arange(len(words))
    codes = grid(column).codes(drawn)
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    shown = np.sort(np.argsort(-counts, kind="stable")[: MOST_CELLS - 1])
    cells = np.full(len(words), MOST_CELLS - 1)
    cells[shown] = np.arange(len(shown))
    return (*(words[code] for code in shown), OTHER), cells


def _words(column: LearntColumn) -> tuple[str, ...]:
    if isinstance(column, CategoryColumn | CodeColumn):
        return column.values
    if isinstance(column, BooleanColumn):
        return (column.false, column.true)
    message = f"{column.kind} is not a listed kind"
    raise TypeError(message)


def _edges(column: LearntColumn, drawn: Floats) -> Floats:
    """Cells of equal width over the synthetic core, the first and the last open to the schema's bounds."""
    domain = grid(column)
    step = domain.step / domain.scale
    known = drawn[~np.isnan(drawn)]
    if domain.size <= MOST_CELLS:
        return domain.low - step / 2 + step * np.arange(domain.size + 1)
    low, high = np.quantile(known, _CORE) if len(known) else (domain.low, domain.high)
    width = _round_width((high - low) / (MOST_CELLS - 4), step)
    start = max(domain.low, np.floor(low / width) * width)
    inner = start + width * np.arange(MOST_CELLS + 1)
    inner = inner[(inner > domain.low) & (inner < min(high + width, domain.high))][: MOST_CELLS - 1]
    return np.concatenate([[domain.low], inner - step / 2, [domain.high]])


def _round_width(width: float, step: float) -> float:
    """The next of 1, 2, 5 times a power of ten, at least the grid's step: it says nothing of a value."""
    width = max(width, step)
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(power * nice for nice in (1, 2, 5, 10) if power * nice >= width * (1 - 1e-9)))


def _cell(values: Floats, edges: Floats) -> NDArray[np.int64]:
    places = np.searchsorted(edges, values, side="right") - 1
    return np.clip(places, 0, len(edges) - 2)


def _range(column: LearntColumn, low: float, high: float) -> str:
    """A cell in words: the first and the last grid point in it."""
    domain = grid(column)
    step = domain.step / domain.scale
    first = max(domain.low, np.ceil(round(low / step, 6)) * step)
    last = min(domain.high, np.ceil(round(high / step, 6) - 1) * step)
    if high >= domain.high:
        last = domain.high
    a, b = _point(column, first), _point(column, max(first, last))
    return a if a == b else f"{a} to {b}"


def _point(column: LearntColumn, value: float) -> str:
    if isinstance(column, DateColumn):
        return str(np.datetime64(round(value), "D"))
    if isinstance(column, DatetimeColumn):
        return str(np.datetime64(round(value), "s"))
    decimals = len(str(grid(column).scale)) - 1
    return f"{value:.{decimals}f}"
