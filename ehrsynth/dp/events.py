"""What happens to raw rows under differential privacy, as values: a ledger is a list of them.

Neighbouring tables differ by one patient, who is added or removed. Noise is given as a multiple of the
sensitivity under that relation, so that an event says everything that an accountant needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

from ehrsynth.errors import ModelError, RequestError


@dataclass(frozen=True, slots=True)
class AbstractEvent(ABC):
    """One mechanism, `count` times."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def times(self) -> int:
        """How often it happens."""

    @property
    @abstractmethod
    def rho(self) -> float | None:
        """What it costs in zero-concentrated differential privacy (Bun and Steinke 2016), or None."""

    @abstractmethod
    def repeated(self, times: int) -> Self:
        """The same mechanism, so often."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Gaussian(AbstractEvent):
    """Gaussian noise, `multiplier` times the L2 sensitivity, `count` times; discrete noise costs no more.

    Discrete: Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy", theorem 4.
    """

    kind: ClassVar[str] = "gaussian"
    multiplier: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        _positive(multiplier=self.multiplier, count=self.count)

    @property
    def times(self) -> int:
        """How often it happens."""
        return self.count

    @property
    def rho(self) -> float:
        """Each costs 1 / (2 multiplier^2)."""
        return self.count / (2 * self.multiplier**2)

    def repeated(self, times: int) -> "Gaussian":
        """The same mechanism, so often."""
        return replace(self, count=times)


@dataclass(frozen=True, slots=True)
class Exponential(AbstractEvent):
    """The exponential mechanism with privacy parameter `epsilon`, `count` times."""

    kind: ClassVar[str] = "exponential"
    epsilon: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        _positive(epsilon=self.epsilon, count=self.count)

    @property
    def times(self) -> int:
        """How often it happens."""
        return self.count

    @property
    def rho(self) -> float:
        """Each costs epsilon^2 / 8, because its privacy loss has a range of epsilon.

        Cesar and Rogers 2021, "Bounding, Concentrating, and Truncating", lemma 3.2.
        """
        return self.count * self.epsilon**2 / 8

    def repeated(self, times: int) -> "Exponential":
        """The same mechanism, so often."""
        return replace(self, count=times)


@dataclass(frozen=True, slots=True)
class SampledGaussian(AbstractEvent):
    """Each patient takes part with probability `rate`, on their own; then Gaussian noise. `count` times."""

    kind: ClassVar[str] = "sampled gaussian"
    rate: float
    multiplier: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no sampling."""
        _positive(rate=self.rate, multiplier=self.multiplier, count=self.count)
        if self.rate > 1:
            raise RequestError(f"a sampling rate is at most 1, not {self.rate:g}")

    @property
    def times(self) -> int:
        """How often it happens."""
        return self.count

    @property
    def rho(self) -> float | None:
        """None: sampling does not amplify in these terms."""
        return None

    def repeated(self, times: int) -> "SampledGaussian":
        """The same mechanism, so often."""
        return replace(self, count=times)


Event = Gaussian | Exponential | SampledGaussian
_KINDS: dict[str, type[Gaussian | Exponential | SampledGaussian]] = {
    kind.kind: kind for kind in (Gaussian, Exponential, SampledGaussian)
}


def event_from(values: Mapping[str, Any]) -> Event:
    """The event that `as_json` wrote.

    Raises
    ------
    ModelError
        If it is none.
    """
    try:
        fields = {name: value for name, value in values.items() if name != "kind"}
        return _KINDS[values["kind"]](**fields)
    except (KeyError, TypeError, RequestError) as error:
        message = "a stored privacy event is none: the file is damaged"
        raise ModelError(message) from error


def gathered(events: Iterable[Event]) -> tuple[Event, ...]:
    """The same events with equal ones counted together, in the order of their first appearance.

    >>> gathered([Gaussian(2.0), Exponential(0.1), Gaussian(2.0, 3)])
    (Gaussian(multiplier=2.0, count=4), Exponential(epsilon=0.1, count=1))
    """
    found: dict[Event, int] = {}
    for event in events:
        one = event.repeated(1)
        found[one] = found.get(one, 0) + event.times
    return tuple(one.repeated(times) for one, times in found.items())


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise RequestError(f"{name} of a privacy event is {number:g}; it must be above 0")
