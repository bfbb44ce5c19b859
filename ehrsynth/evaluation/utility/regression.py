"""Linear, logistic and Cox regression: coefficients with their standard errors, and nothing else.

Written out here, since the effects are estimated dozens of times for one interval and no optional package
should be needed for it; the tests hold them against statsmodels and lifelines.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["linear", "logistic", "cox"]

_STEPS = 40
_CLOSE = 1e-10
_RANK = 1e-7
# Columns are standardised: a log odds of 10 for one of them is separation, not an effect.
_SEPARATED = 10.0
_FLAT = 1e-12


class Fit(NamedTuple):
    """Coefficients and their standard errors, one for each column; both NaN where they do not exist."""

    coefficients: Floats
    errors: Floats


def fit(kind: Kind, design: Floats, outcome: Floats, time: Floats | None = None) -> Fit:
    """Fit one regression.

    Parameters
    ----------
    kind
        "linear": least squares; "logistic": maximum likelihood; "cox": partial likelihood with ties after
        Efron (1977, doi 10.1080/01621459.1977.10480613).
    design
        n x p without missing values, columns of about unit spread and of full rank; without an intercept,
        which linear and logistic regression add and do not report.
    outcome
        A number; 0 or 1; 1 where the event was seen.
    time
        Follow-up, for Cox only.

    Returns
    -------
    Fit
        NaN for all columns when there is no maximum, and for single ones that separate the outcome.
    """
    if kind == "linear":
        return _linear(design, outcome)
    if kind == "logistic":
        whole = np.column_stack([np.ones(len(design)), design])
        found = _maximum(lambda b: _logistic(whole, outcome, b), whole.shape[1])
        return Fit(found.coefficients[1:], found.errors[1:])
    if time is None:
        message = "a Cox regression needs the time of follow-up"
        raise ValueError(message)
    order = np.argsort(-time, kind="stable")
    centred, event, until = (design - design.mean(axis=0))[order], outcome[order] > 0, time[order]
    return _maximum(lambda b: _cox(centred, event, until, b), design.shape[1])


def independent(design: Floats) -> NDArray[np.bool_]:
    """Which columns are no linear combination of an intercept and the columns before them."""
    kept = np.zeros(design.shape[1], np.bool_)
    basis = [np.full(len(design), 1 / np.sqrt(max(1, len(design))))]
    for place, column in enumerate(design.T):
        left = column - sum(b * (b @ column) for b in basis)
        left -= sum(b * (b @ left) for b in basis)  # once more, against rounding
        length = float(np.linalg.norm(left))
        if length > _RANK * max(float(np.linalg.norm(column)), 1.0):
            kept[place] = True
            basis.append(left / length)
    return kept


def _linear(design: Floats, outcome: Floats) -> Fit:
    whole = np.column_stack([np.ones(len(design)), design])
    free = len(whole) - whole.shape[1]
    if free < 1:
        return _nothing(design.shape[1])
    inverse = np.linalg.pinv(whole.T @ whole)
    b = inverse @ (whole.T @ outcome)
    variance = ((outcome - whole @ b) ** 2).sum() / free
    return Fit(b[1:], np.sqrt(variance * np.diag(inverse))[1:])


def _nothing(columns: int) -> Fit:
    return Fit(np.full(columns, np.nan), np.full(columns, np.nan))


def _maximum(likelihood: Callable[[Floats], tuple[float, Floats, Floats]], columns: int) -> Fit:
    """Newton's method with halved steps; `likelihood` gives value, gradient and information."""
    b = np.zeros(columns)
    value, gradient, information = likelihood(b)
    for _ in range(_STEPS):
        step = np.linalg.lstsq(information, gradient, rcond=None)[0]
        size, new = 1.0, likelihood(b + step)
        while not new[0] >= value - _CLOSE * abs(value) and size > _FLAT:
            size /= 2
            new = likelihood(b + size * step)
        b, gain = b + size * step, float(gradient @ step)
        value, gradient, information = new
        if gain < _CLOSE or np.abs(b).max(initial=0.0) > 3 * _SEPARATED:
            break
    else:
        return _nothing(columns)
    variance = np.diag(np.linalg.pinv(information))
    errors = np.sqrt(np.where(variance > 0, variance, np.nan))
    strange = (np.abs(b) > _SEPARATED) | (errors > _SEPARATED) | ~np.isfinite(errors)
    return Fit(np.where(strange, np.nan, b), np.where(strange, np.nan, errors))


def _logistic(design: Floats, outcome: Floats, b: Floats) -> tuple[float, Floats, Floats]:
    eta = design @ b
    p = 1 / (1 + np.exp(-np.clip(eta, -500, 500)))
    value = float((outcome * eta - np.logaddexp(0, eta)).sum())
    return value, design.T @ (outcome - p), (design * (p * (1 - p))[:, None]).T @ design


def _cox(design: Floats, event: NDArray[np.bool_], time: Floats, b: Floats) -> tuple[float, Floats, Floats]:
    """Efron's partial likelihood; rows by falling time."""
    eta = design @ b
    shift = eta.max(initial=0.0)
    r = np.exp(eta - shift)
    starts = np.flatnonzero(np.diff(time, prepend=np.inf) != 0)
    ends = np.append(starts[1:], len(time)) - 1  # the last row of each tie is still at risk
    s0, s1 = np.cumsum(r)[ends], np.cumsum(r[:, None] * design, axis=0)[ends]
    d = np.add.reduceat(event.astype(np.int64), starts)
    d0 = np.add.reduceat(r * event, starts)
    d1 = np.add.reduceat((r * event)[:, None] * design, starts, axis=0)
    tie = np.repeat(np.arange(len(starts)), d)
    part = (np.arange(len(tie)) - np.repeat(np.cumsum(d) - d, d)) / d[tie]
    below = s0[tie] - part * d0[tie]
    mean = (s1[tie] - part[:, None] * d1[tie]) / below[:, None]
    seen = design[event]
    value = float(eta[event].sum() - (np.log(below) + shift).sum())
    # The squares at risk are summed by patient: each counts at every event up to their own time.
    a, c = (np.bincount(tie, w, minlength=len(starts)) for w in (1 / below, part / below))
    at = np.repeat(np.arange(len(starts)), ends - starts + 1)
    weight = r * (np.cumsum(a[::-1])[::-1][at] - event * c[at])
    return value, seen.sum(axis=0) - mean.sum(axis=0), (design * weight[:, None]).T @ design - mean.T @ mean
