"""What every method promises: it takes the patients to learn from and a plan, and gives a treatment.

A treatment is any of a table (real and made rows, marked in `_origin`), weights for its rows, and a predictor
that has learnt already. A method sees training patients alone; nothing of what it is tested on.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.rebalance.plan import Plan
from ehrsynth.schema import Schema
from ehrsynth.schema.columns import Strict
from ehrsynth.tables.origin import COLUMN, REAL, SYNTHETIC, mark_synthetic

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
REPEATED = "repeated"
ORIGINS = (REAL, REPEATED, SYNTHETIC)


class Predictor(Protocol):
    """What has learnt to predict the event."""

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""


class AbstractDecider(ABC):
    """A predictor that also says who is to be called high-risk."""

    @abstractmethod
    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""

    @abstractmethod
    def decisions(self, table: pd.DataFrame) -> Mask:
        """Who is called high-risk."""


@dataclass(frozen=True, slots=True, eq=False)
class Treatment:
    """What a method does to a table.

    Parameters
    ----------
    method
        The method with its settings, as a person writes it.
    table
        Rows to learn from; None: the training patients as they are. Its column `_origin` says "real",
        "repeated" (a real patient once more) or "synthetic". Only real rows are evidence of representation.
    weights
        One for each row of `table` (of the training patients where it is None), mean 1; None: all alike.
    predictor
        A model that has learnt already; None: the plan's learner learns from table and weights.
    notes
        Plain JSON values: what was done (imputation, rows added and taken away), never a patient's value.
    warnings
        Sentences that whoever uses the treatment must read.
    """

    method: str
    table: pd.DataFrame | None = None
    weights: Floats | None = None
    predictor: Predictor | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def made(self) -> pd.DataFrame | None:
        """The synthetic rows alone, marked as such; None where there are none."""
        if self.table is None:
            return None
        rows = self.table[self.table[COLUMN] == SYNTHETIC]
        return mark_synthetic(rows.drop(columns=COLUMN).reset_index(drop=True)) if len(rows) else None


class AbstractMethod(Strict, ABC):
    """A frozen recipe of a method; calling it is the method's one interface.

    `quick` says whether it takes seconds on a few thousand patients, `needs` which optional package it
    imports.
    """

    name: ClassVar[str]
    quick: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Treat the patients to learn from.

        Parameters
        ----------
        train
            In memory as `ehrsynth.tables.read_table` gives them for `schema`; the outcome is known for all.
        seed
            0 or larger; equal seeds give equal treatments on the same machine.

        Raises
        ------
        RequestError
            If the method does not fit the plan or the columns; says which one does.
        NotEnoughData
            If a group has too few patients for it.
        """

    @property
    def text(self) -> str:
        """The method as a person writes it: its name and the settings that are not the default."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        return " ".join([self.name, *(f"{key}={value}" for key, value in changed.items())])


def with_origin(table: pd.DataFrame, origins: "NDArray[Any] | str") -> pd.DataFrame:
    """The table with its last column `_origin`; marked as synthetic as soon as one row is."""
    marked = table.copy(deep=False)
    marked[COLUMN] = pd.Categorical(
        np.broadcast_to(np.asarray(origins, dtype=object), (len(table),)), categories=list(ORIGINS)
    )
    marked.attrs = dict(table.attrs)
    return mark_synthetic(marked) if (marked[COLUMN] == SYNTHETIC).any() else marked
