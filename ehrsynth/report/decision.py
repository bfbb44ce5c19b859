"""The decision of a gate as values: checks with their limits, and the verdict that follows from them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

Comparison = Literal["at most", "at least"]
Origin = Literal["regulator", "ours"]
Verdict = Literal["released", "blocked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One measured number against one limit.

    Parameters
    ----------
    name
        What was checked, in words that a person reads.
    value
        The measured number; None when it was not computed, which is a no.
    limit
        The number that it is compared with; None when there is none to compare with, which is a no.
    comparison
        "at most" (`value` may not be above `limit`) or "at least" (not below).
    passed
        Whether the check says yes.
    explanation
        One or two plain sentences: what was found and what it means; never a patient's value.
    source
        Who set the limit: "regulator", or "ours".
    citation
        Where the limit comes from.
    outside
        The explanation as it may be shared, where what is found inside names too few patients for that; empty
        where the explanation itself may be.
    """

    name: str
    value: float | None
    limit: float | None
    comparison: Comparison
    passed: bool
    explanation: str
    source: Origin
    citation: str
    outside: str = ""

    def __post_init__(self) -> None:
        """Refuse a yes without a number behind it."""
        if self.passed and (self.value is None or self.limit is None):
            message = f"check {self.name!r} was not computed, so it cannot have passed"
            raise ValueError(message)

    @property
    def computed(self) -> bool:
        """Whether there is a number to compare."""
        return self.value is not None and self.limit is not None

    @property
    def shareable(self) -> "Check":
        """The same check in the words for outside, its value rounded to two digits when it is a share.

        It is rounded towards its limit: from the rounded value no count of patients can be worked back, it
        is never flattered, and never carried over a limit that the value itself keeps. Counts, which are at
        least so much, stay.
        """
        return replace(self, value=self._rounded, explanation=self.outside or self.explanation, outside="")

    @property
    def _rounded(self) -> float | None:
        if self.value is None or self.limit is None:
            return self.value
        if self.comparison == "at least":
            if self.limit >= 1:
                return self.value
            value = math.floor(round(100 * self.value, 6)) / 100
            return max(value, self.limit) if self.passed else value
        value = math.ceil(round(100 * self.value, 6)) / 100
        return min(value, self.limit) if self.passed else value

    def as_json(self) -> dict[str, Any]:
        """Plain values; the words for outside are the explanation of `shareable`."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "outside"}


def compare(  # noqa: PLR0913 - the fields of a check
    name: str,
    value: float | None,
    limit: float | None,
    comparison: Comparison,
    *,
    explanation: str,
    source: Origin,
    citation: str,
    outside: str = "",
) -> Check:
    """A check whose answer follows from the comparison; a number that is missing is a no.

    >>> compare("rows", 900, 1000, "at least", explanation="", source="ours", citation="").passed
    False
    """
    if value is None or limit is None:
        passed = False
    else:
        passed = value <= limit if comparison == "at most" else value >= limit
    return Check(name, value, limit, comparison, passed, explanation, source, citation, outside)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate decided, why, and every check that it made.

    `verdict` is "released" only when there is at least one check and all of them passed; `reasons` holds
    the explanation of each check that did not, so it is empty for a release.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        """Refuse a verdict that its checks do not carry."""
        yes = bool(self.checks) and all(check.passed for check in self.checks)
        if (self.verdict == "released") != yes or yes == bool(self.reasons):
            message = f"verdict {self.verdict!r} does not follow from its checks"
            raise ValueError(message)

    @classmethod
    def from_checks(cls, checks: Iterable[Check]) -> Self:
        """The only decision that these checks allow; no checks at all is a no."""
        checks = tuple(checks)
        if not checks:
            return cls("blocked", ("No check was made, and a check that was not made is a no.",), ())
        reasons = tuple(f"{check.name}: {check.explanation}" for check in checks if not check.passed)
        return cls("blocked" if reasons else "released", reasons, checks)

    @property
    def shareable(self) -> "Decision":
        """The same decision, every share rounded and every explanation for outside (see `Check`)."""
        return Decision.from_checks(check.shareable for check in self.checks) if self.checks else self

    @property
    def released(self) -> bool:
        """Whether the table may leave."""
        return self.verdict == "released"

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that said no."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def sentence(self) -> str:
        """The decision in one sentence."""
        many = len(self.checks)
        if self.released:
            return (
                f"Released: all {many} checks of the policy passed."
                if many > 1
                else "Released: 1 check passed."
            )
        if not many:
            return "Blocked: no check was made."
        few = len(self.failed)
        return f"Blocked: {few} of {many} checks {'says' if few == 1 else 'say'} no."

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "checks": [check.as_json() for check in self.checks],
        }
