"""The chance of each arm, given covariates: known by design, or estimated."""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.twins.learners import Predictor, learn_classes

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def fit_propensity(
    rows: Matrix, arm: Whole, arms: int, *, known: tuple[float, ...] | None, randomised: bool, seed: int
) -> tuple[Predictor, ...]:
    """One or two answers, each n x arms with rows that sum to 1.

    Randomised: the known probabilities, or the shares of the arms, which no covariate changes. Otherwise
    logistic regression and boosted trees, to be combined by how well they tell patients not seen.
    """
    if randomised:
        shares = np.bincount(arm, minlength=arms) / max(1, len(arm)) if known is None else np.array(known)
        return (lambda others: np.tile(shares, (len(others), 1)),)
    return (
        learn_classes("linear", rows, arm, arms, seed=seed),
        learn_classes("boosted", rows, arm, arms, seed=seed),
    )


def lowest_chance(patients: int) -> float:
    """The chance of an arm below which a patient counts as outside common support: 0.01 to 0.05.

    ``5 / (sqrt(n) log n)`` after Gruber et al. (2022, doi 10.1093/aje/kwac087), kept within these ends.
    Nothing is clipped to it: who lies below is counted, and left out of averages.

    >>> round(lowest_chance(672), 3), lowest_chance(20_000)
    (0.03, 0.01)
    """
    n = max(3, patients)
    return float(np.clip(5 / (np.sqrt(n) * np.log(n)), 0.01, 0.05))
