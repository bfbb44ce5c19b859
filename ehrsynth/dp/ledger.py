"""The ledger: raw rows are given out for a paid event and in no other way.

A function that learns under differential privacy is handed a ledger and no table. Each `open` names the
mechanism that will be applied to the rows; it is refused before the rows are seen if the sum would pass the
budget. The list of events can be replayed by any accountant.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ehrsynth.dp.accounting import Accountant, Spent, epsilon_of_rho, rdp, spent
from ehrsynth.dp.budget import Budget
from ehrsynth.dp.events import Event, gathered
from ehrsynth.errors import BudgetExceeded, MissingPackage, RequestError

Rows = TypeVar("Rows")

_ROUNDING = 1e-9
_watching: ContextVar[list["Ledger[Any]"] | None] = ContextVar("watching", default=None)


@dataclass(frozen=True, slots=True)
class Account:
    """A closed ledger: what was spent on a patient, by which accountants, for which events.

    `epsilon` is what counts; `by` says what each accountant finds, Rényi's beside it.
    """

    epsilon: float
    delta: float
    accountant: str
    by: dict[str, float]
    events: tuple[Event, ...]


class Ledger(Generic[Rows]):
    """Raw rows behind a till.

    Parameters
    ----------
    read
        Gives the rows; called once, when the first event has been paid.
    budget
        What may be spent; `rows_per_patient` makes each row's part smaller.
    accountant
        Who adds up.
    plan
        Events that were added up beforehand: those within it need no new sum.
    """

    def __init__(
        self,
        read: Callable[[], Rows],
        budget: Budget,
        *,
        accountant: Accountant,
        plan: Sequence[Event] = (),
    ) -> None:
        self.budget, self._read, self._accountant = budget, read, accountant
        self._rho = budget.rho
        self._rows: list[Rows] = []
        self._paid: dict[Event, int] = {}
        self._closed = False
        self._planned = {event.repeated(1): event.times for event in gathered(plan)}
        if plan:
            self._check(gathered(plan))
        if (watching := _watching.get()) is not None:
            watching.append(self)

    @property
    def events(self) -> tuple[Event, ...]:
        """What was paid for so far, equal events counted together."""
        return tuple(one.repeated(times) for one, times in self._paid.items())

    @property
    def rho_left(self) -> float:
        """What zCDP still allows for a row."""
        return max(0.0, self._rho - sum(event.rho or 0.0 for event in self.events))

    def open(self, event: Event) -> Rows:
        """The raw rows, for one event.

        Raises
        ------
        BudgetExceeded
            If the sum would pass the budget: nothing is given out and nothing is spent.
        RequestError
            If the ledger is closed.
        """
        if self._closed:
            raise RequestError("the ledger is closed: what follows may not look at the patients again")
        one = event.repeated(1)
        already = self._paid.get(one, 0)
        planned = self._paid.keys() <= self._planned.keys()
        if not planned or already + event.times > self._planned.get(one, 0):
            self._check(gathered([*self.events, event]))
        self._paid[one] = already + event.times
        if not self._rows:
            try:
                self._rows.append(self._read())
            except BaseException:
                self._paid.clear()  # nothing was given out: this was the first event
                raise
        return self._rows[0]

    def _check(self, events: Sequence[Event]) -> None:
        if self._accountant == "zCDP":
            # In zCDP itself: the noise may be chosen as one goes along (a filter; Feldman and Zrnic 2021).
            found = sum(event.rho if event.rho is not None else float("inf") for event in events)
            over = found > self._rho * (1 + _ROUNDING)
            said = self._epsilon_of_rho(found) if over else 0.0
        else:
            row = self.budget.for_a_row
            said = spent(events, row.delta, self._accountant).epsilon * self.budget.rows_per_patient
            over = said > self.budget.epsilon * (1 + _ROUNDING)
        if over:
            summary = (
                f"this step would bring epsilon to {said:.4g}, and {self.budget.epsilon:g} is allowed: "
                "it was not taken"
            )
            raise BudgetExceeded(summary)

    def _epsilon_of_rho(self, rho: float) -> float:
        return epsilon_of_rho(rho * self.budget.rows_per_patient**2, self.budget.delta)

    def close(self) -> Account:
        """End all access; what was spent."""
        self._closed = True
        self._rows.clear()
        events = self.events
        found = self._total(events)
        by = dict(found.by)
        if events:
            with suppress(MissingPackage):  # beside the accountant that counts, where it can be had
                by["RDP"] = self._rdp(events)
        return Account(found.epsilon, self.budget.delta, found.accountant, by, events)

    def _total(self, events: Sequence[Event]) -> Spent:
        k, delta = self.budget.rows_per_patient, self.budget.delta
        if self._accountant == "zCDP":
            found = self._epsilon_of_rho(sum(event.rho or 0.0 for event in events))
            return Spent(found, delta, "zCDP", {"zCDP": found} if events else {})
        one = spent(events, self.budget.for_a_row.delta, self._accountant)
        return Spent(one.epsilon * k, delta, one.accountant, {name: e * k for name, e in one.by.items()})

    def _rdp(self, events: Sequence[Event]) -> float:
        if self.budget.rows_per_patient == 1:
            return rdp(events, self.budget.delta)
        return rdp(events, self.budget.for_a_row.delta) * self.budget.rows_per_patient


@contextmanager
def watched() -> Iterator[list[Ledger[Any]]]:
    """The ledgers that are begun in the block, whoever begins them."""
    found: list[Ledger[Any]] = []
    token = _watching.set(found)
    try:
        yield found
    finally:
        _watching.reset(token)
