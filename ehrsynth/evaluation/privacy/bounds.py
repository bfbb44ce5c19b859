"""The simultaneous bound as values: what it says of each statistic, and of all of them together."""

from dataclasses import dataclass
from typing import Any, Literal

LEVEL = 0.01
ALL, ISOLATED = "all patients", "the most isolated patients"
Statistic = Literal["success", "AUROC", "TPR at 1 % FPR", "TPR at 10 % FPR"]


@dataclass(frozen=True, slots=True)
class Bound:
    """One statistic of one attack in one group, with its simultaneous upper end; all as exposed shares.

    Parameters
    ----------
    attack, variant, stratum, statistic
        Which it is.
    value, high
        The share of members exposed beyond what chance exposes of unseen patients, and the upper end.
        At most 1, lower is safer; a value below 0 is chance.
    p_value
        Against the permutations' largest: at most the level makes it a finding.
    detectable
        The smallest exposed share that would be found with power 0.9: a limit below it cannot be judged.
    graded
        Whether the attack guesses membership (a ranking) rather than something of the patient.
    members, non_members
        Rates of success, or true- and false-positive rates; None for an AUROC, which is (1 + value) / 2.
    n_members, n_non_members
        Attacked patients.
    """

    attack: str
    variant: str
    stratum: str
    statistic: Statistic
    value: float
    high: float
    p_value: float
    detectable: float
    graded: bool
    members: float | None
    non_members: float | None
    n_members: int
    n_non_members: int

    @property
    def name(self) -> str:
        """In words: the statistic, the attack and the group."""
        variant = f" ({self.variant})" if self.variant else ""
        return f"{self.statistic} of {self.attack.replace('_', ' ')}{variant}, {self.stratum}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was too small to look at, and why."""

    attack: str
    stratum: str
    statistic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Simultaneous:
    """The whole family: one p-value for all of it, and an upper end for each statistic.

    Parameters
    ----------
    level
        Family-wise level of the finding: the chance of one when nothing leaks.
    attempts
        How often this data was tried, this time included: all upper ends hold at 1 - level / attempts.
    p_value
        The smallest of all `bounds`; at most `level` is a finding.
    """

    level: float
    attempts: int
    permutations: int
    p_value: float
    bounds: tuple[Bound, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def finding(self) -> Bound | None:
        """The clearest leak, when one was shown at the family-wise level."""
        if self.p_value > self.level:
            return None
        return min(self.bounds, key=lambda bound: (bound.p_value, -bound.value / bound.detectable))

    def of(self, attack: str) -> tuple[Bound, ...]:
        """Everything that was measured of one attack."""
        return tuple(bound for bound in self.bounds if bound.attack == attack)

    def as_json(self) -> dict[str, Any]:
        """Plain values; internal, for they describe real patients."""
        return {
            "level": self.level,
            "attempts": self.attempts,
            "permutations": self.permutations,
            "p_value": self.p_value,
            "bounds": [{name: getattr(b, name) for name in b.__slots__} for b in self.bounds],
            "left_out": [{name: getattr(o, name) for name in o.__slots__} for o in self.left_out],
        }
