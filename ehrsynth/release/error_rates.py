"""How often the gate is wrong, as measured by `scripts/benchmark/gate.py`, in one sentence."""

from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field

from ehrsynth.schema.columns import Strict


class Runs(Strict):
    """Tables of one kind that were put before the gate, and in how many a leak was found."""

    what: str = Field(min_length=1)
    leaks: bool
    runs: int = Field(ge=1)
    found: int = Field(ge=0)


class ErrorRates(Strict):
    """What the script wrote; `level` is the family-wise level that it was measured at."""

    date: str
    version: str
    level: float = Field(gt=0, lt=1)
    measured: tuple[Runs, ...] = Field(min_length=1)

    @property
    def sentence(self) -> str:
        """In words, false alarms last."""
        parts = [f"{_share(r)} with {r.what}" for r in self.measured if r.leaks]
        parts += [f"{_share(r)} of {r.what} by mistake" for r in self.measured if not r.leaks]
        return f"In trials this test flagged {'; '.join(parts)}."


def _share(runs: Runs) -> str:
    return f"{runs.found} of {runs.runs} tables"


@cache
def error_rates() -> ErrorRates | None:
    """The rates that ship with this version; None where none were measured yet."""
    place = files("ehrsynth.release").joinpath("error_rates.yaml")
    if not place.is_file():
        return None
    return ErrorRates.model_validate(yaml.safe_load(place.read_text(encoding="utf-8")))


def measured_error_rates() -> str:
    """The sentence that stands beside the decision; that they are not known, where they are not."""
    known = error_rates()
    return "How often this test errs was not measured yet." if known is None else known.sentence
