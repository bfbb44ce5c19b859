"""Codes as torch tensors of small digits for neural generators, and back, exactly.

A column of up to 256 states (missing is one of them) is one digit. A larger grid is written in several,
coarse to fine; how many states each has is fixed by the column's kind (see `AbstractEncoding.radices`), so
that full hours, weekdays and whole numbers keep a digit state of their own. Missing is the last state of a
column's first digit; its other digits are then 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
import torch

from ehrsynth.encoding import encoding
from ehrsynth.errors import DataError
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.grids import MISSING, Codes, Mask

MOST_STATES = 256


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit of one column.

    `place` is the column's position among the learnt columns, `order` the digit's position in its column
    (0 is the coarsest), `states` how many states it has (missing included), `weight` how many codes one step
    of it is, `offset` what is added to a code before it is split (equal for all digits of a column),
    `missing` the state that stands for missing, or None.
    """

    column: str
    place: int
    order: int
    states: int
    weight: int
    offset: int
    missing: int | None


def layout(schema: Schema) -> tuple[Digit, ...]:
    """All digits of a table, in the order of the tensor's columns; the schema alone decides."""
    return tuple(digit for place, column in enumerate(schema.learnt) for digit in _digits(place, column))


def to_digits(codes: Codes, schema: Schema) -> torch.Tensor:
    """Codes as digits.

    Returns
    -------
    tensor
        int64, n x ``len(layout(schema))``, each 0 to its digit's ``states - 1``.

    Raises
    ------
    DataError
        If a code is outside its column's grid, or missing where the schema does not allow it; all such
        columns are listed.
    """
    _refuse_outside(codes, schema)
    states = np.empty((len(codes), len(layout(schema))), np.int64)
    for at, digit in enumerate(layout(schema)):
        code = codes[:, digit.place]
        states[:, at] = (code + digit.offset) // digit.weight
        if digit.order:
            states[:, at] %= digit.states
        states[code == MISSING, at] = 0 if digit.missing is None else digit.missing
    return torch.from_numpy(states)


def from_digits(digits: torch.Tensor, schema: Schema) -> Codes:
    """The codes behind digits.

    Digits that lead past either end of a column's grid (a model may draw them; `on_grid` tells) are clipped
    to that end.

    Parameters
    ----------
    digits
        As `to_digits` gives them, of any integer dtype, on any device.
    """
    codes = _unclipped(digits, schema)
    highest = np.array([encoding(column).grid.size - 1 for column in schema.learnt], np.int64)
    return np.where(codes == _NOWHERE, MISSING, np.clip(codes, 0, highest))


def on_grid(digits: torch.Tensor, schema: Schema) -> Mask:
    """Which rows `from_digits` reads without clipping: n truth values."""
    codes = _unclipped(digits, schema)
    sizes = np.array([encoding(column).grid.size for column in schema.learnt], np.int64)
    inside: Mask = ((codes == _NOWHERE) | ((codes >= 0) & (codes < sizes))).all(axis=1)
    return inside


# Stands for missing until clipping is done: no grid reaches so far.
_NOWHERE = np.iinfo(np.int64).min


def _unclipped(digits: torch.Tensor, schema: Schema) -> Codes:
    states = digits.detach().cpu().numpy().astype(np.int64)
    codes = np.zeros((len(states), len(schema.learnt)), np.int64)
    at = 0
    for place, group in groupby(layout(schema), key=lambda digit: digit.place):
        column = list(group)
        own = states[:, at : at + len(column)]
        codes[:, place] = own @ np.array([digit.weight for digit in column]) - column[0].offset
        if column[0].missing is not None:
            codes[own[:, 0] == column[0].missing, place] = _NOWHERE
        at += len(column)
    return codes


def _digits(place: int, column: LearntColumn) -> list[Digit]:
    """One digit where it is enough; else as few fine digits as leave a coarse one of at most 256 states."""
    kind, fine = encoding(column), 0
    while True:
        radices = list(islice(kind.radices(), fine))
        weights = np.cumprod([1, *radices], dtype=object)
        offset = kind.grid.origin % int(weights[-1]) if fine else 0
        coarse = (kind.grid.size - 1 + offset) // int(weights[-1]) + 1
        if coarse + column.missing <= MOST_STATES:
            break
        fine += 1
    states: Sequence[int] = [coarse + column.missing, *reversed(radices)]
    return [
        Digit(
            column=column.name,
            place=place,
            order=order,
            states=states[order],
            weight=int(weight),
            offset=offset,
            missing=coarse if column.missing and order == 0 else None,
        )
        for order, weight in enumerate(reversed(weights))
    ]


def _refuse_outside(codes: Codes, schema: Schema) -> None:
    problems = []
    for place, column in enumerate(schema.learnt):
        lowest = MISSING if column.missing else 0
        outside = int(((codes[:, place] < lowest) | (codes[:, place] >= encoding(column).grid.size)).sum())
        if outside:
            highest = encoding(column).grid.size - 1
            problems.append(f"column {column.name!r}: {outside} codes are outside {lowest} to {highest}")
    if problems:
        raise DataError("these codes are none of the schema's", problems)
