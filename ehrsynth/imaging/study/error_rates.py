"""How often the verdict is wrong, as measured by `scripts/benchmark/imaging/errors.py`, in one sentence."""

from functools import cache

from pydantic import Field

from ehrsynth.files import shipped_yaml
from ehrsynth.schema.columns import Strict


class Runs(Strict):
    """Simulated studies of one kind, and in how many synthetic images were recommended."""

    what: str = Field(min_length=1)
    gain: bool
    runs: int = Field(ge=1)
    recommended: int = Field(ge=0)


class StudyErrorRates(Strict):
    """What the script wrote."""

    date: str
    version: str
    folds: int
    seeds: int
    measured: tuple[Runs, ...] = Field(min_length=1)

    @property
    def sentence(self) -> str:
        """In words, false alarms first."""
        wrong = [f"{r.recommended} of {r.runs} {r.what}" for r in self.measured if not r.gain]
        missed = [f"{r.runs - r.recommended} of {r.runs} {r.what}" for r in self.measured if r.gain]
        return (
            f"In simulated studies of {self.folds} folds by {self.seeds} seeds this verdict recommended by "
            f"mistake in {'; '.join(wrong)}; it missed a gain in {'; '.join(missed)}."
        )


@cache
def study_error_rates() -> StudyErrorRates | None:
    """The rates that ship with this version; None where none were measured yet."""
    found = shipped_yaml("ehrsynth.imaging.study", "error_rates.yaml")
    return None if found is None else StudyErrorRates.model_validate(found)


def measured_error_rates() -> str:
    """The sentence that stands beside the verdict; that they are not known, where they are not."""
    known = study_error_rates()
    return "How often this verdict errs was not measured yet." if known is None else known.sentence
