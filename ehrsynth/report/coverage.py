"""Whether intervals of several copies hold for the population, as scripts/benchmark/copies.py measured it."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field

from ehrsynth.errors import EhrSynthError
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema.columns import Strict

LOWEST, HIGHEST = 0.93, 0.97
_FEWEST = 1_000


class Coverage(Strict):
    """How often the 95 % intervals of one generator held a known coefficient: the least and the most.

    `settings` are those in which its recipe differed from the defaults.
    """

    generator: str
    settings: dict[str, Any] = Field(default_factory=dict)
    copies: int = Field(ge=1)
    runs: int = Field(ge=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @property
    def valid(self) -> bool:
        """Whether each coefficient was held in 93 to 97 % of at least 1,000 runs."""
        return self.runs >= _FEWEST and self.low >= LOWEST and self.high <= HIGHEST

    def holds_for(self, settings: Mapping[str, Any]) -> bool:
        """Whether these settings, all of a recipe, are those that were measured."""
        try:
            measured = recipe(self.generator, self.settings)
        except EhrSynthError:
            return False  # a recipe of another version
        return measured.model_dump(mode="json") == dict(settings)


class Coverages(Strict):
    """What the script wrote."""

    date: str
    version: str
    measured: tuple[Coverage, ...] = ()


@cache
def coverages() -> Coverages | None:
    """The coverages that ship with this version; None where none were measured."""
    place = files("ehrsynth.report").joinpath("coverage.yaml")
    if not place.is_file():
        return None
    return Coverages.model_validate(yaml.safe_load(place.read_text(encoding="utf-8")))


def population_inference(generator: str, settings: Mapping[str, Any]) -> str:
    """What the intervals for the population may be used for, in words.

    Parameters
    ----------
    settings
        Every setting of the generator's recipe: what was measured holds for the same ones only.
    """
    known = coverages()
    named = [one for one in known.measured if one.generator == generator] if known else []
    if not named:
        return (
            "No valid population inference: no simulation has shown that intervals from this generator hold "
            "a true effect as often as they say."
        )
    found = next((one for one in named if one.holds_for(settings)), None)
    if found is None:
        return (
            "No valid population inference: not shown for these settings. The simulations of this generator "
            "were made with others."
        )
    said = (
        f"in {found.runs:,} simulated studies with {found.copies} copies each, their 95 % intervals held the "
        f"true coefficients in {100 * found.low:.1f} to {100 * found.high:.1f} % of them"
    )
    if found.valid:
        return f"Valid population inference, where the generator's model fits the analysis: {said}."
    return f"No valid population inference from this generator: {said}; 93 to 97 % are asked for."
