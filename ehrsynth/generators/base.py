"""What every generator promises: a frozen recipe that fits, and a fitted model that samples.

A recipe's `fit` returns another type than the recipe, so that "not fitted" cannot happen. Subclasses
write `_fit` and `_draw`; the checks around them are written once, here: a table that is itself
synthetic is refused, and no sample leaves that is short, invalid or outside its condition.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.conditions import Condition
from ehrsynth.encoding import codes_to_values, decode
from ehrsynth.errors import NotEnoughData, RequestError, SamplingExhausted
from ehrsynth.generators.coverage import Coverage, part_of
from ehrsynth.generators.forbidden import refuse_forbidden
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import fresh_seed
from ehrsynth.schema import Schema
from ehrsynth.schema.columns import Strict
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.origin import mark_as, mark_synthetic, refuse_synthetic
from ehrsynth.tables.streaming import TableStream

if TYPE_CHECKING:
    from ehrsynth.generators.private import Till

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrivacySpent:
    """The differential-privacy guarantee of a fitted model: patient-level, add or remove one.

    Parameters
    ----------
    epsilon, delta
        What one patient's presence can change at most.
    accountant
        Who added up; `by` holds what each accountant found, Rényi's beside them.
    events
        Every mechanism that touched raw rows, as plain values: any accountant can replay them.
    rows_per_patient
        How many rows may be one patient's.
    void
        Why the guarantee does not hold (the noise came from a seed that somebody knows); empty where it does.
    """

    epsilon: float
    delta: float
    accountant: str
    by: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
    rows_per_patient: int = 1
    void: str = ""

    @property
    def sentence(self) -> str:
        """The guarantee in a sentence."""
        if self.void:
            return f"none: {self.void}"
        return f"epsilon {self.epsilon:.4g}, delta {self.delta:.3g} for each patient, by {self.accountant}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "accountant": self.accountant,
            "by": dict(self.by),
            "events": [dict(event) for event in self.events],
            "rows_per_patient": self.rows_per_patient,
            "void": self.void,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        given = dict(values)
        given["events"] = tuple(given.get("events", ()))
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows as codes (n x learnt columns, -1 for missing) with what is known about how they came.

    `acceptance` is the share of proposals that were valid and met the condition, 0 to 1;
    `probability` the estimated probability of the condition under the model, 0 to 1;
    `effective_sample_size` how many independent rows the rows are worth, at most n.
    """

    codes: Codes
    effective_sample_size: float
    acceptance: float
    probability: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Synthetic patients, marked as such, and what is known about how they came (see `Draw`)."""

    table: pd.DataFrame
    effective_sample_size: float
    acceptance: float
    probability: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What a fitted model stores: plain JSON values and arrays; never a row, an id or a dotted name."""

    values: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class AbstractFitted(ABC):
    """A fitted model. It holds its schema and the recipe that made it.

    `coverage` is None where the whole table was learnt in memory.
    """

    schema: Schema
    recipe: "AbstractGenerator"
    coverage: Coverage | None = field(default=None, kw_only=True)

    @property
    def privacy(self) -> PrivacySpent | None:
        """The guarantee under differential privacy, or None when there is none."""
        return None

    @property
    def decided(self) -> str:
        """What the data decided before anything was learnt, in words; empty where it decided nothing."""
        return ""

    def sample(
        self, n: int, *, where: str | None = None, seed: int, progress: Progress | None = None
    ) -> Sample:
        """Draw synthetic patients.

        Parameters
        ----------
        n
            Number of rows, at least 1: exactly this many are returned.
        where
            A condition that every row meets, for instance ``'age >= 80 and sex == "F"'``.
        seed
            0 or larger; equal seeds give equal rows on the same machine.

        Raises
        ------
        ConditionError
            If no patient can meet the condition under the schema, its rules between columns included.
        SamplingExhausted
            If bounded sampling ended before n valid rows were found.
        """
        if n < 1:
            message = f"{n} rows were asked for; at least 1 can be drawn"
            raise RequestError(message)
        condition = None if where is None else Condition.parse(where, self.schema)
        if condition is not None:
            refuse_forbidden(condition)
        draw = self._draw(n, condition, seed, progress or silent)
        self._check(draw, n, condition)
        table = mark_synthetic(decode(draw.codes, self.schema))
        return Sample(table, draw.effective_sample_size, draw.acceptance, draw.probability)

    def _check(self, draw: Draw, n: int, condition: Condition | None) -> None:
        valid = satisfied(codes_to_values(draw.codes, self.schema), self.schema)
        if condition is not None:
            valid = valid & condition.mask(draw.codes)
        if len(draw.codes) != n or not valid.all():
            good = int(valid.sum())
            summary = f"{self.recipe.name} drew {good} valid rows of {n} asked for: nothing is returned"
            raise SamplingExhausted(summary)

    @abstractmethod
    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        """Draw n valid rows that meet the condition, or raise SamplingExhausted in bounded time."""

    @abstractmethod
    def parts(self) -> Parts:
        """What `save` writes and `from_parts` reads."""

    @classmethod
    @abstractmethod
    def from_parts(cls, schema: Schema, recipe: "AbstractGenerator", parts: Parts) -> Self:
        """Rebuild a fitted model from its parts."""

    def save(self, folder: Path | str) -> None:
        """Write the model as a sealed folder of JSON and safetensors; see `ehrsynth.generators.storage`."""
        from ehrsynth.generators.storage import save_model

        save_model(self, Path(folder))


class AbstractGenerator(Strict, ABC):
    """A frozen recipe: all settings of a fit, and nothing that was learnt."""

    name: ClassVar[str]
    fitted: ClassVar[type[AbstractFitted]]

    @property
    def asked(self) -> tuple[float, float | None] | None:
        """The epsilon and delta that the fit must keep (delta None: the largest allowed), or None."""
        return None

    def fit(
        self,
        table: pd.DataFrame,
        schema: Schema,
        *,
        seed: int | None,
        progress: Progress | None = None,
        share: float = 1.0,
    ) -> AbstractFitted:
        """Learn a patient table.

        Parameters
        ----------
        table
            One row per patient, in memory as `ehrsynth.tables.read_table` gives it for `schema`.
        seed
            0 or larger; equal seeds give equal models on the same machine. None: fresh. Under differential
            privacy a seed that somebody knows voids the guarantee, and the model says so.
        share
            Of the schema's public rows, how many are expected in the table, above 0, at most 1; only
            differential privacy asks.

        Raises
        ------
        NotEnoughData
            If the table has fewer than two rows.
        RequestError
            If the table is itself synthetic (see `ehrsynth.tables.origin`).
        """
        refuse_synthetic(table)
        if len(table) < 2:  # noqa: PLR2004 - one patient is no distribution
            summary = f"{self.name} needs at least 2 patients; the table has {len(table)}"
            raise NotEnoughData(summary)
        if self.asked is not None:
            from ehrsynth.generators.private import admitted

            till = admitted(self, table, schema, seed, share=share)
            return self._fit_private(till, schema, progress or silent)
        self._refuse_several_rows(schema)
        return self._fit(table, schema, fresh_seed() if seed is None else seed, progress or silent)

    def require(self) -> None:
        """Look whether an optional package that learning needs is installed, before any work.

        Raises
        ------
        MissingPackage
            If it is not.
        """

    def _refuse_several_rows(self, schema: Schema) -> None:
        if schema.rows_per_patient > 1:
            summary = f"{self.name} takes one row per patient; the schema allows {schema.rows_per_patient}"
            raise RequestError(f"{summary}: keep one row of each, or learn with --epsilon")

    def _fit_private(self, till: "Till", schema: Schema, progress: Progress) -> AbstractFitted:
        """Learn under differential privacy: raw rows come from a ledger of the till alone."""
        raise RequestError(f"{self.name} has no differentially private form")

    def fit_stream(
        self, table: TableStream, *, seed: int, most: int, progress: Progress | None = None
    ) -> AbstractFitted:
        """Learn a patient table that need not fit into memory; the model's `coverage` says from what.

        Every row is read and checked. What can be counted is counted over all of them, exactly; else the
        model is learnt from a uniform subsample of the patients.

        Parameters
        ----------
        seed
            0 or larger; equal seeds give equal models, whatever the size of the pieces.
        most
            How many patients may be held in memory, at least 2. A table that has no more gives the model
            that `fit` gives.

        Raises
        ------
        DataError
            If the table does not fit its schema, or has fewer than two rows.
        RequestError
            If the table is itself synthetic (see `ehrsynth.tables.origin`).
        """
        if most < 2:  # noqa: PLR2004 - one patient is no distribution
            raise RequestError(f"{most} patients at most are no distribution: allow at least 2")
        if not table.accepted:
            refuse_synthetic(mark_as(pd.DataFrame(), table.made))
        if self.asked is not None:
            # Who leaves a subsample of fixed size lets another in: that is more than one patient's influence.
            raise RequestError("a guarantee needs every patient: read the table whole, and use fit")
        self._refuse_several_rows(table.schema)
        return self._fit_stream(table, seed, most, progress or silent)

    def _fit_stream(self, table: TableStream, seed: int, most: int, progress: Progress) -> AbstractFitted:
        drawn, coverage = part_of(table, most, seed=seed, progress=part(progress, 0.0, 0.3))
        model = self.fit(drawn, table.schema, seed=seed, progress=part(progress, 0.3, 1.0))
        return replace(model, coverage=coverage)

    @abstractmethod
    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> AbstractFitted:
        """Learn a checked table."""
