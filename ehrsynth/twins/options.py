"""How a question is answered: what a person may choose, and what stands where nothing was."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.fitting import FOLDS
from ehrsynth.twins.refutation import REPEATS

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Options:
    """How a question is answered.

    Parameters
    ----------
    level
        Of every interval.
    repeats
        Of each refuter.
    accepted
        Refusals that are overridden, by name.
    individual
        Whether effects of single patients are asked for; where they are not, not having them is no refusal.
    """

    candidates: Candidates = field(default_factory=Candidates)
    level: float = 0.9
    folds: int = FOLDS
    repeats: int = REPEATS
    accepted: frozenset[str] = frozenset()
    individual: bool = True

    def with_generators(self, generators: Mapping[str, AbstractGenerator]) -> "Options":
        """The same with generators among the candidates."""
        return replace(self, candidates=replace(self.candidates, generators=dict(generators)))
