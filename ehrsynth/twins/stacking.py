"""Convex combinations: how much of each candidate, so that the squared error on patients not seen is least.

Weights at least 0 that sum to 1 (Breiman 1996, doi 10.1007/BF00117832; van der Laan, Polley and Hubbard 2007,
doi 10.2202/1544-6115.1309). A combination follows the best candidate where one is clearly best, and is safer
than a choice of one where none is.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

_STRICT = 1e4  # how heavily the sum counts against the errors


def convex(candidates: Floats, wanted: Floats, weights: Floats) -> Floats:
    """The weights of the candidates.

    Parameters
    ----------
    candidates
        n x candidates: what each says of each row, by a model that did not see the row.
    wanted
        n: what is to be met.
    weights
        n: how much a row counts.

    Returns
    -------
    array
        One weight for each candidate, 0 to 1, which sum to 1; the first gets all where nothing tells.
    """
    count = candidates.shape[1]
    root = np.sqrt(weights / weights.mean()) if weights.sum() > 0 else weights
    # Around the candidates' mean, so that only what they differ in is compared.
    middle = candidates.mean(axis=1)
    scale = float(np.sqrt(np.mean(((wanted - middle) * root) ** 2))) or 1.0
    apart = (candidates - middle[:, None]) * root[:, None] / scale
    strict = _STRICT * np.sqrt(max(1, len(wanted)))
    design = np.vstack([apart, np.full((1, count), strict)])
    found, _ = nnls(design, np.append((wanted - middle) * root / scale, strict))
    total = float(found.sum())
    return np.asarray(found / total if total > 0 else np.eye(count)[0])
