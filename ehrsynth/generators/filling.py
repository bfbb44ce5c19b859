"""What stands in a number's place where there is no number, so that the packages can be given a full table.

The model says by a word that the value is missing, and never shows what stands there. Yet it learns from
it: another patient's value at random would wash out the correlations with the other numbers. So each gap
gets a present value, chosen as a linear regression on the most correlated numbers and its residuals say.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_PREDICTORS = 20
_FEWEST_PER_PREDICTOR = 10
_RIDGE = 1e-3


def fill(numbers: Floats, gaps: Mask, rng: np.random.Generator) -> Floats:
    """The numbers (n x k) with present values of the same column in the gaps; each column has some."""
    filled = numbers.copy()
    present = np.where(gaps, np.nan, numbers)
    spread = np.nanstd(present, axis=0)
    scaled = np.nan_to_num((present - np.nanmean(present, axis=0)) / np.where(spread > 0, spread, 1.0))
    closeness = np.abs(scaled.T @ scaled)  # gaps stand at the mean and add nothing
    np.fill_diagonal(closeness, -1.0)
    for column in np.flatnonzero(gaps.any(axis=0)):
        known = ~gaps[:, column]
        most = min(MOST_PREDICTORS, int(known.sum()) // _FEWEST_PER_PREDICTOR, len(closeness) - 1)
        predictors = scaled[:, np.argsort(-closeness[column], kind="stable")[:most]]
        filled[~known, column] = _chosen(predictors, numbers[known, column], known, rng)
    return filled


def _chosen(predictors: Floats, values: Floats, known: Mask, rng: np.random.Generator) -> Floats:
    inputs = predictors[known]
    middle = values.mean()
    gram = inputs.T @ inputs + _RIDGE * len(inputs) * np.eye(inputs.shape[1])
    slope = np.linalg.solve(gram, inputs.T @ (values - middle))
    residuals = values - middle - inputs @ slope
    wanted = middle + predictors[~known] @ slope + rng.choice(residuals, int((~known).sum()))
    ordered = np.sort(values)
    return np.asarray(ordered[np.clip(np.searchsorted(ordered, wanted), 0, len(ordered) - 1)], np.float64)
