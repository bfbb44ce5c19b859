"""What several private releases of the same patients cost together, at one delta.

A patient's rows are a group: what a row's events cost is turned into what all rows of a patient cost, as the
ledger does for one release. In zCDP, k rows cost k^2 times as much (Bun and Steinke 2016, proposition 1.9);
else they are (k e, d (1 + exp(e) + ... + exp((k - 1) e))) (see `Budget.for_a_row`).
"""

import math
from collections.abc import Sequence

from ehrsynth.dp.accounting import epsilon_of_rho, rdp, spent
from ehrsynth.dp.budget import Budget
from ehrsynth.dp.events import Event, Exponential, gathered

Paid = tuple[Sequence[Event], int]  # a release's events, and how many rows of its table may be one patient's

_LARGEST, _BISECTIONS = 600.0, 40


def composed(paid: Sequence[Paid], delta: float) -> float:
    """Epsilon for each patient over all releases.

    Mechanisms are added up anew: in zCDP where all have one, by PRV and PLD where all are Gaussian and every
    patient has one row, else by Rényi, which copes with the tiny deltas of single rows.

    Parameters
    ----------
    delta
        For all releases together, above 0 and below 1.

    Raises
    ------
    MissingPackage
        If opacus or dp-accounting is needed and not installed.
    """
    rhos = [(event.rho, rows) for events, rows in paid for event in events]
    if all(rho is not None for rho, _ in rhos):
        return epsilon_of_rho(sum((rho or 0.0) * rows**2 for rho, rows in rhos), delta)
    events = gathered(event for own, _ in paid for event in own)
    most = max(rows for _, rows in paid)
    if most > 1:
        return _of_groups(events, delta, most)
    if any(isinstance(event, Exponential) for event in events):
        return rdp(events, delta)
    return spent(events, delta, "PRV and PLD").epsilon


def _of_groups(events: Sequence[Event], delta: float, rows: int) -> float:
    """The smallest epsilon that the events keep for patients of so many rows; infinite beyond all use.

    How much of delta a row may have depends on epsilon itself: the larger it is, the less.
    """

    def keeps(epsilon: float) -> bool:
        row = Budget(epsilon, delta, rows).for_a_row
        return rdp(events, row.delta) <= row.epsilon

    if not keeps(_LARGEST):
        return math.inf
    low, high = 0.0, _LARGEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high
