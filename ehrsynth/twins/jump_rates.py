"""How often intervals of conditional effects hold, as `scripts/benchmark/twins jumps` measured, in words."""

from functools import cache

from pydantic import Field

from ehrsynth.files import shipped_yaml
from ehrsynth.schema.columns import Strict


class Held(Strict):
    """Of effects of one form: simulated studies that told effects of single patients, and coverage in them.

    `held` is the mean share of patients, 0 to 1, whose true effect lay inside; `least` that of the kind of
    study where it was least.
    """

    effect: str = Field(min_length=1)
    jumps: bool
    studies: int = Field(ge=1)
    held: float = Field(ge=0, le=1)
    least: float = Field(ge=0, le=1)


class JumpRates(Strict):
    """What `scripts/benchmark/twins/jumps.py` measured, of intervals of one level."""

    date: str
    version: str
    level: float = Field(gt=0, lt=1)
    measured: tuple[Held, ...] = Field(min_length=1)


@cache
def jump_rates() -> JumpRates | None:
    """The rates that ship with this version; None where none were measured yet."""
    found = shipped_yaml("ehrsynth.twins", "jump_rates.yaml")
    return None if found is None else JumpRates.model_validate(found)


def measured_jumps() -> str:
    """How often an interval of a conditional effect holds it where the effect jumps, in one sentence."""
    known = jump_rates()
    if known is None or not any(one.jumps for one in known.measured):
        return "how often it holds an effect that jumps was not measured yet"
    said = [
        f"{one.held:.0%} of patients where it is {one.effect} ({one.least:.0%} in the worst kind of study)"
        for one in known.measured
    ]
    studies = sum(one.studies for one in known.measured)
    return (
        f"in {studies} simulated studies intervals of {known.level:.0%} held the effect of {'; '.join(said)}"
    )
