"""From counts of successes to a `Risk`: one rule for all attacks, and for when nothing was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.statistics import Estimate, residual_risk


@dataclass(frozen=True, slots=True)
class Successes:
    """How often an attack succeeded on members, how often on non-members.

    Parameters
    ----------
    what
        The variant: the attacked column, or the kind of query. A name of the schema, never a value.
    attack, control
        Numbers of successes; may be expected numbers.
    baseline
        Success rate, 0 to 1, of a guess that ignores the synthetic table.
    reach
        Share of the members against whom the attack could succeed, above 0 to 1: the excess is divided by it.
    spread
        By how much the variance exceeds that of independent attacks, at least 1: they are worth fewer.
    """

    what: str
    attack: float
    n_attacks: int
    control: float
    n_control: int
    baseline: float | None
    reach: float = 1.0
    spread: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict)


def rates(what: str, attack: Floats, control: Floats, baseline: float | None) -> Successes:
    """Successes counted from one value, 0 to 1, for each patient; NaN was not attacked."""
    sides = [side[~np.isnan(side)] for side in (attack, control)]
    return Successes(
        what, float(sides[0].sum()), len(sides[0]), float(sides[1].sum()), len(sides[1]), baseline
    )


def excess(successes: Successes) -> Estimate | None:
    """The excess risk with its interval, not cut at 0; None without an attack or a control."""
    if not successes.n_attacks or not successes.n_control:
        return None
    fewer = min(successes.spread, successes.n_attacks, successes.n_control)
    found = residual_risk(
        successes.attack / fewer,
        successes.n_attacks / fewer,
        successes.control / fewer,
        successes.n_control / fewer,
    )
    return Estimate(*(min(1.0, part / successes.reach) for part in found))


def why_not(successes: Successes) -> str:
    """Why these attacks measure nothing; empty when they do.

    An interval that holds 0 says something about a limit only if it could lie below it: then it reaches at
    most the limit above the value. One that lies above 0 counts however wide it is: a leak that was found is
    a leak.
    """
    settings, found = protocol().attacks, excess(successes)
    if found is None:
        return "no attack could be mounted"
    if found.low > 0:
        return ""
    if min(successes.n_attacks, successes.n_control) < settings.minimum:
        return f"{settings.minimum} attacks on each side are needed"
    if found.high - found.value > settings.widest / 2:
        cause = "too few patients, or the control succeeds too often"
        return f"{cause}, for an interval that reaches at most {settings.widest / 2:g} up"
    return ""


def worst(name: str, attempts: list[Successes], *, if_none: str, evidence: Sequence[Evidence] = ()) -> Risk:
    """The risk of one of the variants that measure something.

    It is the one with the largest upper end, since a gate looks at that: no surer but smaller leak may hide a
    larger possible one. `details["variants"]` lists all of them, `details["left_out"]` says of those that
    measure nothing why. `evidence` is handed on.
    """
    left_out = {a.what: why for a in attempts if (why := why_not(a))}
    details = {"variants": [_as_json(attempt) for attempt in attempts], "left_out": left_out}
    measured = [(found, a) for a in attempts if a.what not in left_out and (found := excess(a)) is not None]
    if not measured:
        reasons = [f"{what}: {why}" for what, why in sorted(left_out.items())] or [if_none]
        reason = f"not measurable here: {'; '.join(reasons[:3])}"
        return Risk(name, None, None, None, None, None, None, 0, 0, details, reason, tuple(evidence))
    found, chosen = max(measured, key=lambda pair: (pair[0].high, pair[1].what))
    return Risk(
        name=name,
        value=max(0.0, found.value),
        low=max(0.0, found.low),
        high=max(0.0, found.high),
        attack=chosen.attack / chosen.n_attacks,
        control=chosen.control / chosen.n_control,
        baseline=chosen.baseline,
        n_attacks=chosen.n_attacks,
        n_control=chosen.n_control,
        details={"variant": chosen.what, "signed": found.value} | details,
        evidence=tuple(evidence),
    )


def _as_json(attempt: Successes) -> dict[str, Any]:
    found = excess(attempt)
    rates = {
        "attack": attempt.attack / attempt.n_attacks if attempt.n_attacks else None,
        "control": attempt.control / attempt.n_control if attempt.n_control else None,
        "baseline": attempt.baseline,
    }
    beats = (
        rates["attack"] is not None and attempt.baseline is not None and rates["attack"] > attempt.baseline
    )
    return {
        "what": attempt.what,
        "n_attacks": attempt.n_attacks,
        "n_control": attempt.n_control,
        **rates,
        "beats_baseline": beats,
        "variance_beyond_independence": attempt.spread,
        "excess": None if found is None else found._asdict(),
        **attempt.details,
    }
