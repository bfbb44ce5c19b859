"""A quick estimate of an average effect, made thousands of times: linear models, no folds.

Augmented inverse probability weighting of one arm against another, with ridge regression in each arm and,
unless arms were randomised, ridge-penalised logistic regression for the chance of the arm.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_RIDGE = 1.0
_STEPS = 12
_CLOSE = 1e-6
_FEWEST = 5


class Quick(NamedTuple):
    """An estimate and its standard error; NaN where an arm is too small."""

    value: float
    error: float


def quick_effect(
    design: Floats, treated: Mask, values: Floats, weights: Floats, *, randomised: bool
) -> Quick:
    """Estimate the average effect.

    Parameters
    ----------
    design
        n x p, standardised, without an intercept.
    weights
        0 where the value is not known.
    """
    known = weights > 0
    if min((treated & known).sum(), (~treated & known).sum()) < _FEWEST:
        return Quick(float("nan"), float("nan"))
    whole = np.column_stack([np.ones(len(design)), design])
    e = np.full(len(design), treated.mean()) if randomised else chance(whole, treated)
    means = [_ridge(whole, values, weights * arm) for arm in (~treated, treated)]
    parts, value = [], 0.0
    for sign, arm, mean, share in ((-1, ~treated, means[0], 1 - e), (1, treated, means[1], e)):
        pull = np.where(arm & known, weights / np.maximum(share, 1e-12), 0.0)
        residual = np.where(known, values - mean, 0.0)
        correction = float(pull @ residual / pull.sum())
        value += sign * (float(mean.mean()) + correction)
        parts.append(sign * (mean - mean.mean() + len(mean) * pull * (residual - correction) / pull.sum()))
    psi = parts[0] + parts[1]
    return Quick(value, float(psi.std(ddof=1) / np.sqrt(len(psi))))


def _ridge(whole: Floats, values: Floats, weights: Floats) -> Floats:
    """What ridge regression on some patients says of all."""
    used = weights > 0
    rows, w = whole[used], weights[used]
    gram = (rows * w[:, None]).T @ rows
    penalty = np.full(len(gram), _RIDGE)
    penalty[0] = 1e-9
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(whole @ np.linalg.solve(gram, rows.T @ (w * values[used])))


def chance(whole: Floats, treated: Mask) -> Floats:
    """The chance of being treated, by penalised logistic regression (Newton's method)."""
    b = np.zeros(whole.shape[1])
    share = float(np.clip(treated.mean(), 1e-6, 1 - 1e-6))
    b[0] = np.log(share / (1 - share))
    penalty = np.full(len(b), _RIDGE)
    penalty[0] = 1e-9
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(whole @ b, -30, 30)))
        gradient = whole.T @ (treated - p) - penalty * b
        information = (whole * (p * (1 - p))[:, None]).T @ whole
        information[np.diag_indices_from(information)] += penalty
        step = np.linalg.solve(information, gradient)
        b += step
        if np.abs(step).max() < _CLOSE:
            break
    return np.asarray(1 / (1 + np.exp(-np.clip(whole @ b, -30, 30))))
