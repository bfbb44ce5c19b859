"""What metrics and attacks return: values with their intervals, never a bare number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
class Evidence:
    """What one variant of an attack says of each patient; larger means likelier a member, or a success.

    How a value comes about does not depend on who is a member: labels may be permuted, jointly over all
    attacks. Where an attack is made on a draw of the patients, every attack draws in the same order, so that
    the patients attacked by a dearer one are among those attacked by a cheaper one; permute labels among
    patients who were attacked. Never serialised: it is told per patient.

    Parameters
    ----------
    attack
        Registered name.
    variant
        What varies: a column, a kind of distance; a name of the schema, never a value.
    graded
        True for a score to be ranked (AUROC, true-positive rate at a fixed false-positive rate), False for
        success from 0 to 1 (rates).
    members, non_members
        One value for each row in the order of the tables given, NaN where the patient was not attacked.
    reference
        The same for the reference, from an attack that learns nothing from it: there its patients are further
        non-members. None from an attack that does learn from it: what it says of its teachers is no control.
    """

    attack: str
    variant: str
    graded: bool
    members: NDArray[np.float64]
    non_members: NDArray[np.float64]
    reference: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """Excess success of an attack over its control: (attack - control) / (1 - control), with a 95 % interval.

    `value` is 0 (the attack does no better on members than on non-members) to 1; lower is safer.
    `attack` and `control` are success rates on members and non-members; `baseline` that of a guess that
    ignores the synthetic table. `value` is None when the risk cannot be measured here; see `reason`.
    `evidence` says the same for each patient; it takes no part in equality and is never written anywhere.
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
    evidence: tuple[Evidence, ...] = field(default=(), repr=False, compare=False)
