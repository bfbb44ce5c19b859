"""How a differentially private generator gets at patients: through a till, which hands out ledgers.

What must be public is checked before anything is spent. The recipe never holds the table: rows come encoded
by the schema alone, from `Ledger.open`, for a named event.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.dp.accounting import Accountant
from ehrsynth.dp.budget import Budget, check_public, checked_delta, public_rows
from ehrsynth.dp.events import Event
from ehrsynth.dp.ledger import Account, Ledger, watched
from ehrsynth.dp.noise import NoiseStream
from ehrsynth.encoding import encode
from ehrsynth.errors import DataError, RequestError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, PrivacySpent
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]

BROKEN_OFF = "broken off"
SEEDED = "the noise came from a seed that is known, so that it can be taken off again"


@dataclass(frozen=True, eq=False)
class Till:
    """What a private fit may use.

    `rows` is how many rows the public expects in the table; `stream` where all noise comes from; `void` why
    the guarantee does not hold, if it does not.
    """

    budget: Budget
    rows: int
    stream: NoiseStream
    void: str
    _read: Callable[[], Codes] = field(repr=False)

    def ledger(self, accountant: Accountant, plan: Sequence[Event] = ()) -> Ledger[Codes]:
        """A ledger over the encoded rows (n x learnt columns, -1 for missing) with the whole budget."""
        return Ledger(self._read, self.budget, accountant=accountant, plan=plan)

    def receipt(self, account: Account) -> PrivacySpent:
        """What a closed ledger says, for the fitted model."""
        return receipt(account, self.budget, self.void)


def receipt(account: Account, budget: Budget, void: str) -> PrivacySpent:
    """What a closed ledger says, for a fitted model; `void`: why it does not hold, if it does not."""
    return PrivacySpent(
        account.epsilon,
        account.delta,
        account.accountant,
        account.by,
        tuple(event.as_json() for event in account.events),
        budget.rows_per_patient,
        void,
    )


@contextmanager
def paying(enter: Callable[[PrivacySpent], object]) -> Iterator[None]:
    """Where a fit in the block breaks off after patients were looked at, hand over what it was allowed.

    Its events are those that were paid for until then; the epsilon is the one that was asked for.
    """
    with watched() as ledgers:
        try:
            yield
        except BaseException:
            for ledger in ledgers:
                if ledger.events:
                    enter(_allowed(ledger.budget, ledger.events))
            raise


def _allowed(budget: Budget, events: Sequence[Event]) -> PrivacySpent:
    paid, rows = tuple(event.as_json() for event in events), budget.rows_per_patient
    return PrivacySpent(budget.epsilon, budget.delta, f"{BROKEN_OFF}: what was asked for", {}, paid, rows)


def admitted(
    recipe: AbstractGenerator, table: pd.DataFrame, schema: Schema, seed: int | None, *, share: float = 1.0
) -> Till:
    """Check what must be public, and lock the table away.

    Parameters
    ----------
    share
        Of the public rows, how many are expected in the table: a release holds out the others.

    Raises
    ------
    SchemaError
        If items of the schema were guessed from the data; all are listed.
    RequestError
        If the public number of patients is not declared, or delta is too large for it.
    DataError
        If a patient has more rows than the schema declares, or rows have no patient key.
    """
    if recipe.asked is None:
        raise RequestError(f"{recipe.name} was asked for no epsilon")
    check_public(schema)
    epsilon, delta = recipe.asked
    patients = public_rows(schema)
    budget = Budget(epsilon, checked_delta(delta, patients), schema.rows_per_patient)
    _check_unit(table, schema)
    return Till(
        budget,
        max(1, round(patients * share)),
        NoiseStream(seed, recipe.name, "noise"),
        "" if seed is None else SEEDED,
        lambda: encode(table, schema),
    )


def _check_unit(table: pd.DataFrame, schema: Schema) -> None:
    key, most = schema.patient_key, schema.rows_per_patient
    if key is None:
        return
    empty = int(table[key].isna().sum())
    if empty:
        raise DataError(
            f"the unit of privacy is the patient, and {empty:,} row(s) have no patient key: fill it in, or "
            "leave these rows out"
        )
    held = table[key].value_counts()
    many = int((held > most).sum())
    if many:
        raise DataError(
            f"the unit of privacy is the patient, and {many:,} patients have more than {most} row(s): keep "
            "fewer rows of each, or declare rows_per_patient in the schema"
        )


class AbstractPrivateGenerator(AbstractGenerator):
    """What recipes share that exist only under differential privacy."""

    fitted: ClassVar[type[AbstractFitted]]

    epsilon: float = Field(default=1.0, gt=0, le=1000, description="what one patient may change: the most")
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="chance of more; default and most: 1 / (10 x public rows)"
    )

    @property
    def asked(self) -> tuple[float, float | None]:
        """Epsilon and delta."""
        return self.epsilon, self.delta

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> AbstractFitted:
        message = f"{self.name} learns through a ledger only"
        raise RequestError(message)
