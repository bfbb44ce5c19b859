"""One estimate from several synthetic copies, and what it may be used to infer."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ehrsynth.errors import RequestError
from ehrsynth.statistics import normal_quantile

Floats = NDArray[np.float64]
Inference = Literal["original", "population"]


class Combined(NamedTuple):
    """Estimates with standard errors and 95 % intervals, and what the intervals are for."""

    estimate: Floats
    error: Floats
    low: Floats
    high: Floats
    inference: Inference


def combine(
    estimates: ArrayLike,
    errors: ArrayLike,
    *,
    original_rows: int,
    synthetic_rows: int,
    inference: Inference,
) -> Combined:
    """Pool the same analysis of m synthetic copies (Raab, Nowok and Dibben 2016).

    "Practical Data Synthesis for Large Samples", Journal of Privacy and Confidentiality 7(3),
    doi 10.29012/jpc.v7i3.407. With q the mean estimate, v the mean squared standard error of the copies,
    n original and k synthetic rows of each copy:

    - "original": what the same analysis of the original patients would give; variance v / m;
    - "population": the population that these came from; variance v (k / n + 1 / m).

    Both hold for copies drawn from one fitted generator (not from a posterior of generators) whose model is
    right for the analysis; then one copy is enough. A generator that smooths or overfits breaks them: the
    simulation in scripts/benchmark/copies.py shows for which generators the intervals cover as they should.

    Parameters
    ----------
    estimates, errors
        m x p, or m numbers: estimates and their standard errors as if the copy were real.

    Raises
    ------
    RequestError
        If the shapes differ, there is no copy, or a number of rows is below 1.

    >>> combine([1.0, 3.0], [1.0, 1.0], original_rows=9, synthetic_rows=9, inference="population").error
    array([1.22474487])
    """
    q, s = (np.asarray(values, dtype=np.float64) for values in (estimates, errors))
    if q.shape != s.shape or not q.size or q.ndim > 2:  # noqa: PLR2004 - copies x coefficients
        message = (
            f"estimates have shape {q.shape}, errors {s.shape}; both are copies x coefficients, 1 x 1 or more"
        )
        raise RequestError(message)
    if original_rows < 1 or synthetic_rows < 1:
        message = (
            f"{original_rows} original and {synthetic_rows} synthetic rows were given; at least 1 is needed"
        )
        raise RequestError(message)
    q, s = q.reshape(len(q), -1), s.reshape(len(s), -1)
    factor = 1 / len(q) + (synthetic_rows / original_rows if inference == "population" else 0.0)
    error = np.sqrt((s**2).mean(axis=0) * factor)
    half, mean = normal_quantile(0.95) * error, q.mean(axis=0)
    return Combined(mean, error, mean - half, mean + half, inference)
