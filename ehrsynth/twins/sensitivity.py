"""How strong unmeasured confounding must be to explain an effect away: the E-value.

VanderWeele and Ding (2017, doi 10.7326/M16-2607): the smallest risk ratio that an unmeasured confounder must
have with both the treatment and the outcome, over and above the covariates. 1: nothing is needed.
"""

from dataclasses import dataclass

import numpy as np

from ehrsynth.statistics import normal_quantile
from ehrsynth.twins.average import Average, Effect

_SLOPE = 0.91  # from a standardised difference to a log risk ratio (Chinn 2000, VanderWeele 2017)


@dataclass(frozen=True, slots=True)
class EValue:
    """E-values of the estimate and of its interval's end nearer to no effect, with the ratio used.

    `exact` is False where a difference of means stands in for a risk ratio.
    """

    ratio: float
    low: float
    high: float
    point: float
    limit: float
    exact: bool


def e_value_of(ratio: float) -> float:
    """The E-value of a risk ratio, at least 1.

    >>> round(e_value_of(3.9), 2), e_value_of(1.0)
    (7.26, 1.0)
    """
    larger = max(ratio, 1 / ratio)
    return float(larger + np.sqrt(larger * (larger - 1)))


def e_value(found: Average, number: int, level: float, *, event: bool, spread: float) -> EValue | None:
    """The E-value of one arm against the reference.

    Parameters
    ----------
    event
        Whether means are shares of patients with an event.
    spread
        The standard deviation of the outcome, for numbers.

    Returns
    -------
    EValue or None
        None where a share is 0 or below, or outcomes do not vary: there is no ratio.
    """
    z = normal_quantile(level)
    if event:
        one, reference = float(found.means[number]), float(found.means[0])
        if one <= 0 or reference <= 0:
            return None
        weights = np.zeros(len(found.means))
        weights[number], weights[0] = 1 / one, -1 / reference
        centre, error = float(np.log(one / reference)), float(np.sqrt(found.variance(weights)))
        ends = np.exp([centre, centre - z * error, centre + z * error])
    else:
        if not spread > 0:
            return None
        effect: Effect = found.contrast(number, level)
        ends = np.exp(_SLOPE * np.array([effect.value, effect.low, effect.high]) / spread)
    ratio, low, high = (float(v) for v in ends)
    nearer = 1.0 if low <= 1 <= high else (low if low > 1 else high)
    return EValue(ratio, low, high, e_value_of(ratio), e_value_of(nearer), exact=event)
