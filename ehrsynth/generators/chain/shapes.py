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

    These are the cells' normal scores and their squares. A cell of missing values alone, the last one, has no
    part in it.

    Parameters
    ----------
    cell
        The cell of each state.
    """
    known = ~states.is_missing if len(states) > 1 else np.ones(1, np.bool_)
    at, share = cell[known], states.share[known]
    cells = int(at.max()) + 1
    if not ordered or cells < _FEWEST:
        return np.eye(cells)
    middle = np.bincount(at, share * states.place[known]) / np.maximum(np.bincount(at, share), 1e-300)
    score = ndtri(np.clip(middle, _OUTERMOST, 1 - _OUTERMOST))
    return np.stack([score, (score**2 - 1) / 2])
