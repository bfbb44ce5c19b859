"""From a list of events to an epsilon at a delta, by several accountants that must agree.

Zero-concentrated privacy (zCDP) adds up by itself and allows noise that is chosen as one goes along (Feldman
and Zrnic 2021, "Individual Privacy Accounting via a Rényi Filter"); it is our own arithmetic and is checked
against dp-accounting's Rényi accountant. Sampled Gaussian noise is added up by two libraries, opacus (PRV:
Gopi, Lee and Wutschitz 2021) and dp-accounting (PLD: Doroshenko et al. 2022); the larger counts.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from ehrsynth.dp.events import Event, Exponential, Gaussian, SampledGaussian, gathered
from ehrsynth.errors import MissingPackage, RequestError

Accountant = Literal["zCDP", "PRV and PLD"]

AGREEMENT = 0.02  # PRV adds its own error of 0.01 to be safe
_ORDERS = tuple(1 + 0.05 * 1.08**k for k in range(190))
_WHOLE_ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)
_BISECTIONS = 80
_ENOUGH = 1e-3
_LARGEST, _LEAST_MULTIPLIER = 1e6, 0.5


@dataclass(frozen=True, slots=True)
class Spent:
    """What a list of events costs at a delta: `epsilon` counts, `by` says what each accountant finds."""

    epsilon: float
    delta: float
    accountant: str
    by: dict[str, float] = field(default_factory=dict)


def spent(events: Sequence[Event], delta: float, accountant: Accountant) -> Spent:
    """What events cost together.

    Parameters
    ----------
    delta
        Above 0 and below 1.

    Raises
    ------
    RequestError
        If zCDP is asked to add up sampled noise, or PRV and PLD an exponential mechanism.
    MissingPackage
        If opacus or dp-accounting is needed and not installed.
    """
    events = gathered(events)
    if not events:
        return Spent(0.0, delta, accountant, {})
    if accountant == "zCDP":
        found = epsilon_of_rho(sum(_rho(event) for event in events), delta)
        return Spent(found, delta, "zCDP", {"zCDP": found})
    by = {"PRV": prv(events, delta), "PLD": pld(events, delta)}
    apart = abs(by["PRV"] - by["PLD"])
    doubt = f"; they are {apart:.2f} apart" if apart > AGREEMENT else ""
    return Spent(max(by.values()), delta, f"PRV and PLD, the larger{doubt}", by)


def epsilon_of_rho(rho: float, delta: float) -> float:
    """The epsilon that rho-zCDP implies at a delta.

    Canonne, Kamath and Steinke 2020, proposition 12, minimised over the order by golden section.

    >>> round(epsilon_of_rho(0.5, 1e-6), 3)
    5.222
    """
    if rho <= 0:
        return 0.0

    def at(log_order: float) -> float:
        order = 1 + math.exp(log_order)
        return rho * order + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)

    low, high, ratio = -12.0, 25.0, (math.sqrt(5) - 1) / 2
    for _ in range(_BISECTIONS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if at(left) < at(right) else (left, high)
    return max(0.0, at((low + high) / 2))


def rho_of_epsilon(epsilon: float, delta: float) -> float:
    """The largest rho whose zCDP implies (epsilon, delta).

    >>> round(epsilon_of_rho(rho_of_epsilon(1.0, 1e-6), 1e-6), 9) <= 1.0
    True
    """
    low, high = 0.0, epsilon + 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of_rho(middle, delta) <= epsilon else (low, middle)
    return low


def _rho(event: Event) -> float:
    if event.rho is None:
        raise RequestError("zCDP cannot add up sampled noise: use the accountant 'PRV and PLD'")
    return event.rho


@lru_cache(maxsize=64)
def prv(events: tuple[Event, ...], delta: float) -> float:
    """The upper end that opacus' PRV accountant gives."""
    try:
        from opacus.accountants import PRVAccountant
    except ImportError as error:
        raise MissingPackage("differential privacy", "dp") from error
    accountant = PRVAccountant()
    accountant.history = [_history(event) for event in events]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it takes the logarithm of 0 where everybody takes part
        return float(accountant.get_epsilon(delta))


def _history(event: Event) -> tuple[float, float, int]:
    if isinstance(event, Exponential):
        raise RequestError("PRV and PLD know no exponential mechanism: use the accountant 'zCDP'")
    rate = event.rate if isinstance(event, SampledGaussian) else 1.0
    return (event.multiplier, rate, event.count)


@lru_cache(maxsize=64)
def pld(events: tuple[Event, ...], delta: float) -> float:
    """What dp-accounting's PLD accountant gives."""
    import_dp_accounting()
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE)
    for event in events:
        accountant.compose(_dp_event(event), event.count)
    return float(accountant.get_epsilon(delta))


def rdp(events: Sequence[Event], delta: float) -> float:
    """What dp-accounting's Rényi accountant gives; it knows every kind of event, and is not the tightest."""
    import_dp_accounting()
    from dp_accounting import NeighboringRelation
    from dp_accounting.rdp import RdpAccountant

    # Its series for fractional orders does not converge where many patients take part.
    sampled = any(isinstance(event, SampledGaussian) for event in events)
    orders = _WHOLE_ORDERS if sampled else _ORDERS
    accountant = RdpAccountant(orders, NeighboringRelation.ADD_OR_REMOVE_ONE)
    for event in events:
        accountant.compose(_dp_event(event), event.count)
    return float(accountant.get_epsilon(delta))


def import_dp_accounting() -> None:
    """Raise `MissingPackage` if dp-accounting is not installed."""
    try:
        import dp_accounting  # noqa: F401 - whether it can be imported is the question
    except ImportError as error:
        raise MissingPackage("differential privacy", "dp") from error


def _dp_event(event: Event) -> Any:
    import dp_accounting

    if isinstance(event, SampledGaussian):
        inner = dp_accounting.GaussianDpEvent(event.multiplier)
        return dp_accounting.PoissonSampledDpEvent(event.rate, inner)
    if isinstance(event, Gaussian):
        return dp_accounting.GaussianDpEvent(event.multiplier)
    return dp_accounting.ZCDpEvent(event.repeated(1).rho)


def multiplier_for(events: Sequence[Event], sampled: SampledGaussian, epsilon: float, delta: float) -> float:
    """The smallest noise multiplier for `sampled` that keeps it and the other events within (epsilon, delta).

    Parameters
    ----------
    events
        What else is spent.
    sampled
        Rate and count; its multiplier is where the search begins.

    Raises
    ------
    RequestError
        If the other events leave nothing, or no noise is large enough.
    """

    def with_noise(multiplier: float) -> tuple[Event, ...]:
        return gathered([*events, SampledGaussian(sampled.rate, multiplier, sampled.count)])

    # PRV is the quicker one, and above PLD by its own error; the larger of both has the last word.
    found = _smallest(lambda m: prv(with_noise(m), delta), sampled.multiplier, epsilon)
    while spent(with_noise(found), delta, "PRV and PLD").epsilon > epsilon:
        found *= 1 + _ENOUGH
    return found


def _smallest(cost: Callable[[float], float], start: float, epsilon: float) -> float:
    """The smallest multiplier at which a falling cost is at most epsilon, to within a thousandth."""
    high = start
    while (above := cost(high)) > epsilon:
        high *= 2
        if high > _LARGEST:
            message = f"epsilon {epsilon:g} is too small for so many steps: take fewer, or more epsilon"
            raise RequestError(message)
    low = high / 2
    while (below := cost(low)) <= epsilon:
        if low <= _LEAST_MULTIPLIER:
            return low  # less noise has no use, and accountants no grip on it
        low, high, above = low / 2, low, below
    for _ in range(_BISECTIONS):
        if high / low <= 1 + _ENOUGH:
            break
        middle = _between(low, high, (below, above), epsilon)
        found = cost(middle)
        if found <= epsilon:
            high, above = middle, found
        else:
            low, below = middle, found
    return high


def _between(low: float, high: float, costs: tuple[float, float], epsilon: float) -> float:
    """A multiplier between two, where the cost would be epsilon if it were a straight line in logarithms."""
    below, above = (math.log(max(cost, 1e-12)) for cost in costs)
    share = (below - math.log(epsilon)) / max(below - above, 1e-12)
    return float(low * (high / low) ** min(max(share + 0.02, 0.05), 0.95))
