"""What a fitted model can do that knows the probability of each row: score, complete, find rare patients."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import RequestError, SamplingExhausted
from ehrsynth.generators.base import AbstractFitted, Sample
from ehrsynth.progress import Progress, silent
from ehrsynth.schema import IdentifierColumn, Schema

_MOST_ROWS = 10  # named in an error


@dataclass(frozen=True, slots=True)
class Completions:
    """Partial patients with their unknown cells filled, `draws` rows for each, one after the other.

    `patient` is the number of the partial row (from 0) that each row completes, `effective_sample_size` how
    many independent draws each partial row's completions are worth (n numbers), `log_probability` the
    estimated log probability of what is known of each under the model, in nats (n numbers). The known cells
    are real: the table is marked as completed, so that nothing learns from it, and is not for sharing.
    """

    table: pd.DataFrame
    patient: NDArray[np.int64]
    effective_sample_size: NDArray[np.float64]
    log_probability: NDArray[np.float64]


class AbstractDensity(ABC):
    """What a fitted model can do besides that knows the probability of each row."""

    __slots__ = ()

    @abstractmethod
    def log_prob(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """The log probability of each row, in nats; at most 0 and higher is likelier."""

    def complete(
        self, rows: pd.DataFrame, *, draws: int, seed: int, progress: Progress | None = None
    ) -> Completions:
        """Fill the missing cells of partial patients, each patient under its own evidence.

        A missing cell is unknown: it gets a present value, drawn from what the model knows of such patients.
        It stays missing where a rule of the schema says that such patients have no value, or where the model
        gives a value less than one chance in a hundred to be present. Where a rule decides whether there is a
        value, by columns of which one is unknown too, missing is drawn as often as the model has it.
        Identifiers that are known stay, and a blank one stays blank; where nobody has one, all get new ones.

        Parameters
        ----------
        rows
            Partial patients with the schema's columns and dtypes; missing cells are allowed in every column.
        draws
            How many completions of each patient, at least 1.

        Raises
        ------
        RequestError
            If some patients lack an identifier that others have and that may not be missing.
        SamplingExhausted
            If for some patients nothing valid was found: what is known of them breaks the schema's rules, or
            the model gives it no chance.
        """
        if draws < 1 or not len(rows):
            raise RequestError(
                f"{draws} draws of {len(rows)} patients were asked for; at least 1 can be made"
            )
        found = self._complete(rows, draws, seed, progress or silent)
        failed = np.flatnonzero(found.effective_sample_size == 0)
        if len(failed):
            raise SamplingExhausted(
                f"{len(failed)} of {len(rows)} patients cannot be completed: nothing is returned",
                [
                    f"they are rows {_ordinals(failed)}, counted from 1: leave them out",
                    "what is known of them breaks a rule of the schema, or the model gives it no chance",
                    "leave a computed column open where one that it is computed from is unknown",
                ],
            )
        return found

    @abstractmethod
    def _complete(self, rows: pd.DataFrame, draws: int, seed: int, progress: Progress) -> Completions:
        """Completions of each patient; those that cannot be completed are worth 0."""

    @abstractmethod
    def edge(
        self, n: int, *, where: str | None = None, seed: int, progress: Progress | None = None
    ) -> Sample:
        """Draw valid patients of low density, for testing edge cases."""


def known_identifiers(rows: pd.DataFrame, schema: Schema) -> list[str]:
    """The identifiers of which at least one is known in partial patients.

    Raises
    ------
    RequestError
        If one that may not be missing is known of some patients only.
    """
    found = []
    for column in schema.columns:
        if not isinstance(column, IdentifierColumn) or not rows[column.name].notna().any():
            continue
        blank = int(rows[column.name].isna().sum())
        if blank and ("patient_key" in column.roles or not column.missing):
            raise RequestError(
                f"{blank:,} of {len(rows):,} patients have no {column.name!r}, which others have: nothing "
                "is returned",
                ["fill them in, leave these patients out, or leave the whole column out for new ones"],
            )
        found.append(column.name)
    return found


def _ordinals(places: NDArray[np.int64]) -> str:
    """The first rows at some places, counted from 1, and how many more."""
    said = ", ".join(f"{place + 1:,}" for place in places[:_MOST_ROWS])
    return said + (f" and {len(places) - _MOST_ROWS:,} more" if len(places) > _MOST_ROWS else "")


def knows_density(fitted: AbstractFitted) -> AbstractDensity:
    """The same model, if it can complete patients, score them and find those of low density.

    Raises
    ------
    RequestError
        If it cannot; names a generator that can.
    """
    if not isinstance(fitted, AbstractDensity):
        raise RequestError(
            f"{fitted.recipe.name} does not know the density of a patient, which this needs: "
            "fit with --generator autoregressive"
        )
    return fitted
