"""How much each size of leaf counts: as much as patients whom the trees did not see bear it out.

A leaf of ten patients says much where the state follows from the earlier columns, and repeats its ten
patients where it does not; a leaf of many says less and repeats nobody. Trees of several sizes are mixed with
the weights that make the patients outside of their bags likeliest: stacked density estimation (Smyth and
Wolpert 1999, "Linearly Combining Density Estimators via Stacking", Machine Learning 36) on out-of-bag
patients (Breiman 2001, "Random Forests", Machine Learning 45).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 60
_FEWEST = 10


def stacked(unseen: Floats) -> Floats:
    """The weights of several densities that make unseen patients likeliest, by expectation maximisation.

    Parameters
    ----------
    unseen
        n x densities: the probability of each patient's state where that patient was not learnt from, 0 to 1;
        NaN where there is no such density.

    Returns
    -------
    weights
        One for each density, at least 0; they add up to 1. Equal where fewer than 10 patients tell.
    """
    weights = np.full(unseen.shape[1], 1.0 / unseen.shape[1])
    known = unseen[np.isfinite(unseen).all(axis=1) & (np.nansum(unseen, axis=1) > 0)]
    if len(known) < _FEWEST:
        return weights
    for _ in range(_STEPS):
        owed = known * weights
        weights = (owed / owed.sum(axis=1, keepdims=True)).mean(axis=0)
    return weights
