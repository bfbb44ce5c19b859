"""The simultaneous bound as values: what it says of each statistic, and of all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ehrsynth.evaluation.matrix import Floats, Mask

LEVEL = 0.01
POWER = 0.9
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
    error
        The standard error of `value`, whether or not something leaks.
    spread
        The standard error if nothing leaks. It does not depend on who is a member, and so neither does what
        can be judged.
    p_value
        Against the permutations' largest: at most the level makes it a finding.
    detectable
        The smallest limit that it can be held against: if nothing leaks, all upper ends together stay below
        so much with power 0.9.
    judged
        Whether it was held against its limit. What the table is too small for is left out of the upper ends
        that hold together, and stays in the search for a leak.
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
    error: float
    spread: float
    p_value: float
    detectable: float
    graded: bool
    members: float | None
    non_members: float | None
    n_members: int
    n_non_members: int
    judged: bool = True

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
    drawn
        Permutations x bounds: the statistics when nothing leaks, in their own standard errors. It takes no
        part in equality and is never written anywhere.
    """

    level: float
    attempts: int
    permutations: int
    p_value: float
    bounds: tuple[Bound, ...]
    left_out: tuple[LeftOut, ...]
    drawn: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)

    @property
    def finding(self) -> Bound | None:
        """The clearest leak, when one was shown at the family-wise level."""
        if self.p_value > self.level:
            return None
        return min(self.bounds, key=lambda bound: (bound.p_value, -bound.value / max(bound.spread, 1e-9)))

    def of(self, attack: str) -> tuple[Bound, ...]:
        """Everything that was measured of one attack."""
        return tuple(bound for bound in self.bounds if bound.attack == attack)

    def held(self, limits: Sequence[float]) -> "Simultaneous":
        """The same family held against limits: as many statistics as can be judged together.

        A statistic can be judged where its limit can be told from chance: where, if nothing leaks, the upper
        ends of all that are judged stay below their limits with power 0.9. Which those are follows from the
        permutations and the limits alone. Their upper ends hold together, and for them alone: fewer looks
        need a smaller allowance. The finding stays over the whole family.

        Parameters
        ----------
        limits
            One for each of `bounds`, as exposed shares.
        """
        if not len(self.drawn):
            return self
        chosen = _measurable(self, np.asarray(limits, np.float64))
        return replace(self, bounds=tuple(bounded(self.bounds, self.drawn, chosen, self._share)))

    @property
    def _share(self) -> float:
        return self.level / self.attempts

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


def bounded(bounds: Sequence[Bound], drawn: Floats, chosen: Mask, level: float) -> list[Bound]:
    """The bounds with their upper ends: those chosen hold together, the others together with all.

    Parameters
    ----------
    drawn
        Permutations x bounds, in standard errors.
    level
        The share of such tables in which some upper end may lie below the truth.
    """
    every = _allowance(drawn, level)
    among = _allowance(drawn[:, chosen], level) if chosen.any() else every
    made = []
    for one, judged in zip(bounds, chosen, strict=True):
        upper, above = among if judged else every
        high = min(1.0, max(one.value, one.value + upper * one.error))
        made.append(replace(one, high=high, detectable=(upper + above) * one.spread, judged=bool(judged)))
    return made


def _allowance(drawn: Floats, level: float) -> tuple[float, float]:
    """In standard errors: what the upper ends add, and how far chance alone lifts some statistic."""
    return _quantile((-drawn).max(axis=1), 1 - level), _quantile(drawn.max(axis=1), POWER)


def _measurable(whole: Simultaneous, limits: Floats) -> Mask:
    """The statistics that can be judged together: the most that keep their power, the surest first."""
    spread = np.array([bound.spread for bound in whole.bounds])
    room = np.divide(limits, spread, out=np.full(len(spread), np.inf), where=spread > 0)
    order = np.argsort(-room, kind="stable")
    highest = np.maximum.accumulate(whole.drawn[:, order], axis=1)
    lowest = np.maximum.accumulate(-whole.drawn[:, order], axis=1)
    share = whole.level / whole.attempts
    needed = np.array(
        [
            _quantile(low, 1 - share) + _quantile(high, POWER)
            for low, high in zip(lowest.T, highest.T, strict=True)
        ]
    )
    enough = np.flatnonzero(room[order] >= needed)
    chosen = np.zeros(len(spread), np.bool_)
    chosen[order[: int(enough[-1]) + 1 if len(enough) else 0]] = True
    return chosen


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share, method="higher"))
