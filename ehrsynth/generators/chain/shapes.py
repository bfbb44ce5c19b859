"""What the points of a score card may look like over a column's cells.

A multinomial regression gives each cell points of its own: of a number's eight cells eight times as many
weights as there are inputs. Few patients cannot bear them, and the ridge that they need draws what columns
tell of each other towards nothing. So the cells of a number share two shapes, their normal score and its
square: an input moves the number up or down, and spreads or gathers it. One shape alone would be the
stereotype model (Anderson 1984, "Regression and Ordered Categorical Variables", JRSS B 46).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_FEWEST = 4  # ordered cells: of three, two shapes say all
_OUTERMOST = 0.005  # the normal score of a tail's cell is not larger than that of this share


def card_shapes(states: States, cell: Codes, *, ordered: bool) -> Floats:
    """Shapes x cells: the identity, or where the cells have an order fewer.

    These are the cells' normal scores, their squares, and where there is a cell of missing values that one.

    Parameters
    ----------
    cell
        The cell of each state.
    """
    missing = np.zeros(int(cell.max()) + 1)
    missing[cell[states.is_missing]] = 1.0
    if not ordered or len(missing) - missing.sum() < _FEWEST:
        return np.eye(len(missing))
    held = np.bincount(cell, states.share, minlength=len(missing))
    middle = np.bincount(cell, states.share * states.place) / np.maximum(held, 1e-300)
    score = np.where(missing > 0, 0.0, ndtri(np.clip(middle, _OUTERMOST, 1 - _OUTERMOST)))
    shapes = [score, np.where(missing > 0, 0.0, (score**2 - 1) / 2)]
    return np.stack([*shapes, missing] if missing.any() else shapes)
