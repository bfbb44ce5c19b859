"""What can be learnt exactly of a table that is read piece by piece."""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.encoding import encode
from ehrsynth.errors import NotEnoughData
from ehrsynth.generators.counting import Counts
from ehrsynth.progress import Progress
from ehrsynth.tables.streaming import TableStream

Codes = NDArray[np.int64]


def counted(table: TableStream, progress: Progress) -> Counts:
    """How many patients hold each code of each column, over all pieces: as of one table in memory.

    Memory grows with the number of different codes, which the schema's grids bound, and not with the rows.

    Raises
    ------
    NotEnoughData
        If the table has fewer than two rows.
    """
    found, seen = None, 0
    for piece in table:
        own = Counts.of(encode(piece, table.schema))
        found = own if found is None else together(found, own)
        seen += len(piece)
        progress(min(1.0, seen / table.rows), f"{seen} of {table.rows} patients counted")
    if found is None or seen < 2:  # noqa: PLR2004 - one patient is no distribution
        raise NotEnoughData(f"at least 2 patients are needed; the table has {seen}")
    return found


def together(one: Counts, other: Counts) -> Counts:
    """The counts of two tables as of one below the other."""
    values, held = [], []
    for place in range(len(one.values)):
        codes, at = np.unique(np.concatenate([one.values[place], other.values[place]]), return_inverse=True)
        times = np.concatenate([one.held[place], other.held[place]])
        total = np.zeros(len(codes), np.int64)
        np.add.at(total, at, times)
        values.append(codes)
        held.append(total)
    return Counts(tuple(values), tuple(held))
