"""What is left of the outcomes of patients after what was said of them by models that did not see them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.patients import Patients

Floats = NDArray[np.float64]


class RLoss(NamedTuple):
    """The R-loss among some patients: ``residual = slope x (what the effect missed) + noise``.

    `weights` have mean 1; `rows` are the patients' places in the study.
    """

    slope: Floats
    residual: Floats
    weights: Floats
    rows: NDArray[np.int64]


def r_loss(fitted: Crosswise, patients: Patients, arm: int) -> RLoss:
    """Slope and residual of the R-loss among the patients of an arm and of the reference."""
    said, target = fitted.said, fitted.target
    of_pair = (patients.arm == 0) | (patients.arm == arm)
    rows = np.flatnonzero(of_pair & (target.weights > 0))
    e = said.chances[rows]
    share = e[:, arm] / np.maximum(e[:, arm] + e[:, 0], 1e-12)
    centre = share * said.plain[rows, arm] + (1 - share) * said.plain[rows, 0]
    slope = (patients.arm[rows] == arm) - share
    residual = target.values[rows] - centre - slope * said.effects[rows, arm - 1]
    return RLoss(slope, residual, target.weights[rows] / target.weights[rows].mean(), rows)
