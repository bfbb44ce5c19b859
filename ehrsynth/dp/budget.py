"""What may be spent, whose presence is hidden, and what must be public before anything is spent."""

import math
from dataclasses import dataclass

from ehrsynth.dp.accounting import rho_of_epsilon
from ehrsynth.errors import RequestError, SchemaError
from ehrsynth.schema import Schema

_ROWS_PER_DELTA = 10
_REMEDY = (
    "write each from a documentation, with `source: public` and its citation, or leave the column out "
    "(left_out): what is read off the data says something of the patients"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent on one patient: epsilon above 0, delta above 0 and below 1.

    `rows_per_patient` is how many rows of the table may be one patient's.
    """

    epsilon: float
    delta: float
    rows_per_patient: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no budget."""
        if not 0 < self.epsilon < math.inf or not 0 < self.delta < 1 or self.rows_per_patient < 1:
            raise RequestError(
                f"epsilon {self.epsilon:g}, delta {self.delta:g}, {self.rows_per_patient} rows per patient:"
                " epsilon is above 0, delta above 0 and below 1, rows at least 1"
            )

    @property
    def rho(self) -> float:
        """What may be spent in zCDP on each row: a patient of k rows pays k^2 times as much."""
        return rho_of_epsilon(self.epsilon, self.delta) / self.rows_per_patient**2

    @property
    def for_a_row(self) -> "Budget":
        """What may be spent on each row, so that all rows of a patient stay within this budget.

        Group privacy: k rows of (e, d) are (k e, d (1 + exp(e) + ... + exp((k - 1) e))) (Vadhan 2017, "The
        Complexity of Differential Privacy", lemma 2.2).
        """
        epsilon = self.epsilon / self.rows_per_patient
        spread = math.fsum(math.exp(epsilon * k) for k in range(self.rows_per_patient))
        return Budget(epsilon, self.delta / spread)


def public_rows(schema: Schema) -> int:
    """How many patients there are, as far as the public knows.

    Raises
    ------
    RequestError
        If the schema does not say.
    """
    if schema.rows is None:
        raise RequestError(
            "differential privacy needs a number of patients that is known without the data, because the "
            "true number is a secret: declare `rows` in the schema, with its citation, or give --public-rows"
        )
    return schema.rows.value


def checked_delta(delta: float | None, rows: int) -> float:
    """The delta asked for, or the largest that is allowed: 1 / (10 x public rows).

    Raises
    ------
    RequestError
        If it is larger.
    """
    most = 1 / (_ROWS_PER_DELTA * rows)
    if delta is None:
        return most
    if delta > most:
        raise RequestError(
            f"delta {delta:g} is too large for {rows:,} patients: a mechanism that publishes one patient in "
            f"{_ROWS_PER_DELTA * rows:,} would be within it; at most {most:.3g} is allowed"
        )
    return delta


def check_public(schema: Schema) -> None:
    """Raise unless every item of the schema is public.

    Raises
    ------
    SchemaError
        Lists every item that was guessed from the data.
    """
    guessed = schema.guessed()
    if guessed:
        summary = (
            f"under differential privacy the whole schema must be public; {len(guessed)} item(s) of "
            f"{schema.name!r} come from the data: {_REMEDY}"
        )
        raise SchemaError(summary, guessed)
