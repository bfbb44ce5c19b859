"""The states of a column by the schema alone: what differentially private generators count in.

A small grid keeps every value. A large one is cut where a person would cut it who knows its bounds and
nothing of the patients: into equal steps, and into steps that grow with the distance from zero, so that both
a body weight and a cost keep their shape; zero is a state of its own. Missing comes last where the schema
allows it.
"""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.states import MISSING, States
from ehrsynth.schema import DateColumn, DatetimeColumn, LearntColumn, Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_OWN = 512  # values of a grid that are all kept
EQUAL_STEPS = 128
GROWTH = 1.1  # from one step to the next, away from zero


def public_states(column: LearntColumn, most_own: int = MOST_OWN) -> States:
    """The states of one column; `share` is that of a uniform distribution, for want of any knowledge.

    Parameters
    ----------
    most_own
        A grid of numbers with more values is cut into ranges; a listed value is always on its own.
    """
    if encoding(column).numeric and column.size > most_own:
        starts = _starts(column)
        low, high = starts, np.append(starts[1:], column.size) - 1
    else:
        low = high = np.arange(column.size)
    if column.missing:
        low, high = np.append(low, MISSING), np.append(high, MISSING)
    return States(low, high, np.full(len(low), 1 / len(low)))


def public_table(schema: Schema, most_own: int = MOST_OWN) -> tuple[States, ...]:
    """The states of all learnt columns."""
    return tuple(public_states(column, most_own) for column in schema.learnt)


def _starts(column: LearntColumn) -> Codes:
    """The first code of each range, ascending from 0."""
    found = np.linspace(0, column.size, EQUAL_STEPS + 1)[:-1].round()
    if not isinstance(column, DateColumn | DatetimeColumn):
        ends = encoding(column).to_values(np.array([0, column.size - 1]))
        step = (ends[1] - ends[0]) / (column.size - 1)
        edges = _growing(ends[0] / step, ends[1] / step) - ends[0] / step
        found = np.concatenate([found, np.round(edges)])
    starts = np.unique(found.astype(np.int64))
    return np.asarray(starts[(starts >= 0) & (starts < column.size)], np.int64)


def _growing(low: float, high: float) -> Floats:
    """Where ranges start, in steps of the grid from zero: zero alone, then wider and wider on both sides."""
    furthest = max(abs(low), abs(high), 2.0)
    many = int(np.ceil(np.log(furthest) / np.log(GROWTH)))
    away = np.unique(np.round(GROWTH ** np.arange(many + 1)))
    # A range on the negative side ends where its mirror image starts.
    return np.concatenate([1 - away[::-1], [0.0], away]) if low < 0 else np.concatenate([[0.0], away])
