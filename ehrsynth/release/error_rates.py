"""How often the gate is wrong, as measured by `scripts/benchmark/gate.py`, in words."""

from functools import cache

from pydantic import Field

from ehrsynth.evaluation.protocol import protocol
from ehrsynth.files import shipped_yaml
from ehrsynth.release.attack_code import attack_code
from ehrsynth.schema.columns import Strict


class Runs(Strict):
    """Tables of one kind that were put before the gate: how many were flagged, and how many got a yes."""

    what: str = Field(min_length=1)
    leaks: bool
    runs: int = Field(ge=1)
    found: int = Field(ge=0)
    yes: int = Field(ge=0)


class ErrorRates(Strict):
    """What the script wrote; `level`, `protocol`, `policy` and `attacks` say what it was measured with.

    `attacks` is `attack_code`; empty in a file that is older than it.
    """

    date: str
    version: str
    level: float = Field(gt=0, lt=1)
    protocol: str
    policy: str
    attacks: str = ""
    measured: tuple[Runs, ...] = Field(min_length=1)

    @property
    def sentence(self) -> str:
        """In words, false alarms last."""
        leaky, safe = ([r for r in self.measured if r.leaks is leaks] for leaks in (True, False))
        parts = [f"{r.found} of {r.runs} tables with {r.what}" for r in leaky]
        parts += [f"{r.found} of {r.runs} tables of {r.what} by mistake" for r in safe]
        found = f"In trials this test flagged {'; '.join(parts)}."
        passed = "; ".join(f"{r.yes} of {r.runs} tables of {r.what}" for r in safe)
        return f"{found} All checks of the attacks said yes to {passed}." if passed else found


@cache
def error_rates() -> ErrorRates | None:
    """The rates that ship with this version; None where none were measured yet."""
    found = shipped_yaml("ehrsynth.release", "error_rates.yaml")
    return None if found is None else ErrorRates.model_validate(found)


def measured_error_rates(policy: str) -> str:
    """What stands beside the decision; that the rates are not known, where they are not.

    Parameters
    ----------
    policy
        Hash of the limits of the policy that decided.
    """
    known = error_rates()
    if known is None:
        return "How often this test errs was not measured yet."
    if known.protocol != protocol().hash:
        return f"{known.sentence} That was with another protocol than the present one."
    if not known.attacks or known.attacks != attack_code():
        return f"{known.sentence} That was with earlier attacks."
    if known.policy != policy:
        return f"{known.sentence} That was with the limits of the default policy."
    return known.sentence
