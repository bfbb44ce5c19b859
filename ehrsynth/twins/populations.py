"""Whom averages are about: the study's own patients, some of them, or those of another table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import derived_seed
from ehrsynth.tables.origin import is_synthetic
from ehrsynth.twins.average import Population, density_ratio, study_population
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.overlap import Support, Supported
from ehrsynth.twins.patients import Patients, covariates_of
from ehrsynth.twins.question import Question

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Outsiders:
    """Patients of another table to whom averages are standardised."""

    rows: Matrix
    synthetic: bool


def outsiders(target: pd.DataFrame | None, question: Question) -> Outsiders | None:
    """Another table's patients; None where there is none."""
    if target is None:
        return None
    return Outsiders(covariates_of(target, question.covariate_schema), is_synthetic(target))


class Populations:
    """The population of each contrast, for each outcome's models."""

    def __init__(
        self,
        patients: Patients,
        question: Question,
        inside: Mask,
        outsiders: Outsiders | None,
        seed: int,
    ) -> None:
        self.patients, self.question, self.inside, self.outsiders = patients, question, inside, outsiders
        self._ratio = None
        if outsiders is not None:
            seed = derived_seed(seed, "density ratio")
            self._ratio = density_ratio(patients.covariates, outsiders.rows, seed=seed) * inside

    def of(self, fitted: Crosswise, arm: int) -> Population:
        """The population of one arm against the reference."""
        chances, estimand = fitted.said.chances, self.question.estimand
        if self.outsiders is None or self._ratio is None:
            return study_population(self.patients, chances, self.inside, estimand, arm=arm)
        said = fitted.by_fold(self.outsiders.rows)
        plain = np.mean([one.plain for one in said], axis=0)
        # However many synthetic patients were drawn, they know no more than those learnt from.
        independent = len(self.patients) if self.outsiders.synthetic else len(plain)
        return Population(self._ratio, self._ratio, plain, min(independent, len(plain) + len(self.patients)))


def outside(support: Support, supported: Supported, population: Populations, fitted: Crosswise) -> Mask:
    """Of the population that was asked for, who is outside common support."""
    if population.outsiders is not None:
        rows = population.outsiders.rows
        chances = np.mean([said.chances for said in fitted.by_fold(rows)], axis=0)
        return supported.of(rows, chances).outside
    if population.question.estimand == "all":
        return support.outside
    treated = population.patients.arm > 0
    return support.outside[treated if population.question.estimand == "treated" else ~treated]
