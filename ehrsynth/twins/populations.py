"""Whom averages are about: the study's own patients, some of them, or those of another table."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import NotEnoughData, Refused, RequestError
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import derived_seed
from ehrsynth.tables.origin import is_synthetic
from ehrsynth.twins.average import Population, density_ratio, study_population
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.overlap import Support, Supported
from ehrsynth.twins.patients import Patients, covariates_of, members
from ehrsynth.twins.question import Question

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Outsiders:
    """Patients of another table to whom averages are standardised.

    `outside` marks those outside common support, who are counted and left out; None: nobody.
    """

    rows: Matrix
    synthetic: bool
    outside: Mask | None = None

    @property
    def supported(self) -> Matrix:
        """The patients whom averages are over."""
        return self.rows if self.outside is None else self.rows.rows(~self.outside)


def of_population(target: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Those of a target table who are of the population that was asked for.

    Parameters
    ----------
    target
        With the columns of `Question.target_schema`.

    Raises
    ------
    NotEnoughData
        If there are none.
    """
    found = target[members(target, question.where, question.schema)].reset_index(drop=True)
    found.attrs = dict(target.attrs)
    if found.empty:
        raise NotEnoughData(
            "no patient of the target table is in the population asked for: ask for a wider --population, or"
            " give another --target"
        )
    return found


def outsiders(target: pd.DataFrame | None, question: Question) -> Outsiders | None:
    """Another table's patients of the population that was asked for; None where there is no table.

    Raises
    ------
    RequestError
        If averages are to be about the treated or the untreated: a target table is a population of its own.
    NotEnoughData
        If nobody of the table is in the population that was asked for.
    """
    if target is None:
        return None
    if question.estimand != "all":
        raise RequestError(
            f"averages are over the {question.estimand} or over --target: leave --estimand or --target out"
        )
    rows = of_population(target, question)
    return Outsiders(covariates_of(rows, question.covariate_schema), is_synthetic(target))


def with_support(found: Outsiders | None, supported: Supported, fitted: Crosswise) -> Outsiders | None:
    """The same patients, those outside common support marked.

    Raises
    ------
    Refused
        If all of them are: nothing can be averaged, and no override helps.
    """
    if found is None:
        return None
    chances = np.mean([said.chances for said in fitted.by_fold(found.rows)], axis=0)
    outside = supported.of(found.rows, chances).outside
    if outside.all():
        raise Refused(
            f"refused: all {len(outside):,} patients of the target table lie outside the support of some arm,"
            " so that nothing can be averaged: give another --target"
        )
    return replace(found, outside=outside)


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
            self._ratio = density_ratio(patients.covariates, outsiders.supported, seed=seed) * inside

    def of(self, fitted: Crosswise, arm: int) -> Population:
        """The population of one arm against the reference."""
        chances, estimand = fitted.said.chances, self.question.estimand
        if self.outsiders is None or self._ratio is None:
            return study_population(self.patients, chances, self.inside, estimand, arm=arm)
        said = fitted.by_fold(self.outsiders.supported)
        plain = np.mean([one.plain for one in said], axis=0)
        # However many synthetic patients were drawn, they know no more than those learnt from.
        independent = min(len(plain), len(self.patients)) if self.outsiders.synthetic else len(plain)
        return Population(self._ratio, self._ratio, plain, independent)


def outside(support: Support, population: Populations) -> Mask:
    """Of the population that was asked for, who is outside common support."""
    if population.outsiders is not None and population.outsiders.outside is not None:
        return population.outsiders.outside
    if population.question.estimand == "all":
        return support.outside
    treated = population.patients.arm > 0
    return support.outside[treated if population.question.estimand == "treated" else ~treated]
