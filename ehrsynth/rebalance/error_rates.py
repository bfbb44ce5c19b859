"""How often the verdict is wrong, as measured by `scripts/benchmark/rebalance/errors.py`, in one sentence."""

from functools import cache

from pydantic import Field

from ehrsynth.files import shipped_yaml
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.schema.columns import Strict


class Runs(Strict):
    """Simulated tables of one kind, and in how many the verdict named a gain."""

    what: str = Field(min_length=1)
    effect: bool
    runs: int = Field(ge=1)
    named: int = Field(ge=0)


class VerdictErrorRates(Strict):
    """What the script wrote; `protocol` is the hash that it was measured under."""

    date: str
    version: str
    protocol: str
    methods: tuple[str, ...] = Field(min_length=1)
    measured: tuple[Runs, ...] = Field(min_length=1)

    @property
    def sentence(self) -> str:
        """In words, false alarms first."""
        wrong = [f"{r.named} of {r.runs} {r.what}" for r in self.measured if not r.effect]
        missed = [f"{r.runs - r.named} of {r.runs} {r.what}" for r in self.measured if r.effect]
        parts = [f"it named a gain where there is none in {'; '.join(wrong)}"] if wrong else []
        parts += [f"it missed one that is there in {'; '.join(missed)}"] if missed else []
        said = f"In simulated trials of this verdict {', and '.join(parts)}."
        if self.protocol != rebalance_protocol().hash:
            said += " They were made with other settings than this version's: take them with care."
        return said


@cache
def verdict_error_rates() -> VerdictErrorRates | None:
    """The rates that ship with this version; None where none were measured yet."""
    found = shipped_yaml("ehrsynth.rebalance", "error_rates.yaml")
    return None if found is None else VerdictErrorRates.model_validate(found)


def measured_error_rates() -> str:
    """The sentence that stands beside the verdict; that they are not known, where they are not."""
    known = verdict_error_rates()
    return "How often this verdict errs was not measured yet." if known is None else known.sentence
