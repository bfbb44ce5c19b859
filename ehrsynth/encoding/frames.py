"""Codes as a plain data frame of floats and words for generators that know no schema, and back.

Such generators (the ctgan package) take a frame and a list of discrete columns, and refuse missing numbers.
The schema alone decides which column is discrete: words, yes or no, and numeric grids of at most 20 values.
A discrete cell is its code written as a word (so no word of the data reaches another package's messages)
or the word "missing". A numeric column is float64 in expression space; where it may be missing, a second,
discrete column says whether it is, and the gap itself is filled with the column's own present values.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.encoding import encoding
from ehrsynth.errors import DataError
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.grids import MISSING, Codes, Floats

MISSING_WORD = "missing"
PRESENT_WORD = "present"
INDICATOR = "·missing"


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """What a learnt column is in a plain frame: `indicator` is the name of its second column, if any."""

    column: LearntColumn
    is_discrete: bool
    indicator: str | None


def plain_columns(schema: Schema) -> tuple[PlainColumn, ...]:
    """How each learnt column is written in a plain frame, in order."""
    found, taken = [], set(schema.names)
    for column in schema.learnt:
        is_discrete = encoding(column).is_discrete
        indicator = None
        if column.missing and not is_discrete:
            indicator = column.name + INDICATOR
            while indicator in taken:
                indicator += INDICATOR
            taken.add(indicator)
        found.append(PlainColumn(column, is_discrete, indicator))
    return tuple(found)


def discrete_columns(schema: Schema) -> list[str]:
    """The frame's columns of words: what ctgan calls `discrete_columns`."""
    words = []
    for plain in plain_columns(schema):
        if plain.is_discrete:
            words.append(plain.column.name)
        elif plain.indicator:
            words.append(plain.indicator)
    return words


def to_plain_frame(codes: Codes, schema: Schema) -> pd.DataFrame:
    """Codes as floats and words, without a gap.

    Returns
    -------
    DataFrame
        For each learnt column one column, each followed by its indicator if it has one.

    Raises
    ------
    DataError
        If codes are outside their grid, or missing in a numeric column that allows none.
    """
    frame: dict[str, NDArray[np.generic]] = {}
    for place, plain in enumerate(plain_columns(schema)):
        own = codes[:, place]
        if plain.is_discrete:
            frame[plain.column.name] = _words(own)
            continue
        gaps = int((own == MISSING).sum())
        if gaps and not plain.indicator:
            raise DataError(
                f"column {plain.column.name!r}: {gaps} values are missing; its schema allows none"
            )
        frame[plain.column.name] = _filled(encoding(plain.column).to_values(own), plain.column)
        if plain.indicator:
            frame[plain.indicator] = np.where(own == MISSING, MISSING_WORD, PRESENT_WORD).astype(object)
    return pd.DataFrame(frame, index=pd.RangeIndex(len(codes)))


def from_plain_frame(frame: pd.DataFrame, schema: Schema) -> Codes:
    """The codes of a plain frame; numbers are rounded to the grid and clipped to the bounds.

    Raises
    ------
    DataError
        If a column is absent or holds words that `to_plain_frame` does not write; all are listed.
    """
    problems: list[str] = []
    codes = np.empty((len(frame), len(schema.learnt)), np.int64)
    for place, plain in enumerate(plain_columns(schema)):
        absent = {plain.column.name, plain.indicator or plain.column.name} - set(frame.columns)
        if absent:
            problems.extend(f"column {name!r} is absent" for name in sorted(absent))
            continue
        codes[:, place] = _codes(frame, plain)
        highest = encoding(plain.column).grid.size - 1
        strange = int(((codes[:, place] < MISSING) | (codes[:, place] > highest)).sum())
        if strange:
            problems.append(f"column {plain.column.name!r}: {strange} words are none of the schema's")
    if problems:
        raise DataError("the frame is none that was made for this schema", problems)
    return codes


def _codes(frame: pd.DataFrame, plain: PlainColumn) -> Codes:
    cells = frame[plain.column.name]
    if plain.is_discrete:
        known = [MISSING_WORD, *map(str, range(encoding(plain.column).grid.size))]
        return pd.Index(known, dtype=object).get_indexer(pd.Index(cells)).astype(np.int64) + MISSING
    codes = encoding(plain.column).grid.codes(cells.to_numpy(np.float64))
    if plain.indicator:
        codes[(frame[plain.indicator] == MISSING_WORD).to_numpy()] = MISSING
    return codes


def _words(codes: Codes) -> NDArray[np.object_]:
    words = codes.astype(str).astype(object)
    words[codes == MISSING] = MISSING_WORD
    return words


def _filled(values: Floats, column: LearntColumn) -> Floats:
    # Present values in turn: the gaps then add no heap of their own, on which a mixture would spend a mode.
    missing = np.isnan(values)
    present = values[~missing]
    if not len(present):
        domain = encoding(column).grid
        present = np.array([domain.low + (domain.high - domain.low) / 2])
    values[missing] = np.resize(present, int(missing.sum()))
    return values
