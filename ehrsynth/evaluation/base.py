"""What metrics and attacks return: values with their intervals, never a bare number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["higher", "lower", "half"]


@dataclass(frozen=True, slots=True)
class Score:
    """A fidelity or utility score with its 95 % interval, and the same score of real against real.

    `better` says which way is good: "higher", "lower", or "half" (0.5 is perfect). `reference` is the
    score of the training table against the holdout: what a perfect generator would get. `value` is None
    when the score cannot be measured here; `reason` then says why. `details` holds plain JSON values
    (per column, per class), with column names and never a patient's value.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    reference: float | None
    better: Direction
    details: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Risk:
    """Excess success of an attack over its control: (attack - control) / (1 - control), with a 95 % interval.

    `value` is 0 (the attack does no better on members than on non-members) to 1; lower is safer.
    `attack` and `control` are success rates on members and non-members; `baseline` that of a guess that
    ignores the synthetic table. `value` is None when the risk cannot be measured here; see `reason`.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    attack: float | None
    control: float | None
    baseline: float | None
    n_attacks: int
    n_control: int
    details: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
