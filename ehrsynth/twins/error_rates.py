"""How often refusals and the trial check err, as measured by `scripts/benchmark/twins refusals`, in words."""

from functools import cache

from pydantic import Field

from ehrsynth.files import shipped_yaml
from ehrsynth.schema.columns import Strict


class Rates(Strict):
    """Of one refusal: simulated studies in which it was right to refuse (or not), and how often it did."""

    refusal: str = Field(min_length=1)
    what: str = Field(min_length=1)
    wrong: bool
    runs: int = Field(ge=1)
    refused: int = Field(ge=0)


class ErrorRates(Strict):
    """What `scripts/benchmark/twins/refusals.py` measured."""

    date: str
    version: str
    measured: tuple[Rates, ...] = Field(min_length=1)


@cache
def error_rates() -> ErrorRates | None:
    """The rates that ship with this version; None where none were measured yet."""
    found = shipped_yaml("ehrsynth.twins", "error_rates.yaml")
    return None if found is None else ErrorRates.model_validate(found)


def measured_error_rates(name: str) -> str:
    """How often a refusal errs, in one sentence."""
    known = error_rates()
    mine = [one for one in known.measured if one.refusal == name] if known is not None else []
    if not mine:
        return "How often it errs was not measured yet."
    right = [f"{o.refused} of {o.runs} with {o.what}" for o in mine if not o.wrong]
    wrong = [f"{o.refused} of {o.runs} with {o.what}" for o in mine if o.wrong]
    said = (
        f"In simulated studies it refused {'; '.join(right)}" if right else "In simulated studies it refused"
    )
    return f"{said}{' and by mistake ' if wrong else ''}{'; '.join(wrong)}."
