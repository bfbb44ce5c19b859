"""What a release asks of the register: whether it may begin, what left before, and to be written down."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ehrsynth.dp.budget import check_public, checked_delta, public_rows
from ehrsynth.errors import RequestError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, PrivacySpent
from ehrsynth.generators.private import BROKEN_OFF
from ehrsynth.release.folders import table_names
from ehrsynth.release.looks import Marks
from ehrsynth.release.policy import Policy
from ehrsynth.release.register import (
    Entry,
    Marking,
    add,
    check_asked,
    check_cap,
    earlier_tables,
    entries,
    likeness,
    tables_there,
)
from ehrsynth.release.sealing import SHARE
from ehrsynth.schema import Schema


@dataclass(frozen=True, slots=True)
class Books:
    """The register of one data set under one policy.

    It is known by its schema's name, by an equal schema, and once the table was read by `marks`: by what it
    holds, whatever a schema says of it.
    """

    register: Path
    schema: Schema
    policy: Policy
    marks: Marks | None = None

    def check(
        self, chosen: AbstractGenerator, seed: int | None, *, remedies: bool, renewed: bool = False
    ) -> None:
        """Raise before anything is read, where a release cannot be allowed.

        Parameters
        ----------
        renewed
            Whether patients are forgotten, which no lost table may hinder.

        Raises
        ------
        SchemaError, RequestError
            If a private release has items that are not public (all are listed), no public number of
            patients, a seed, or remedies to look for; or if earlier tables are not where they were written.
        BudgetExceeded
            If the cap is already reached, or the epsilon asked for is above it.
        """
        if chosen.asked is None:
            if not renewed:
                earlier_tables(*self._known)
            return
        if seed is not None:
            raise RequestError(
                "a release under differential privacy takes no seed: who knows it can take the noise off "
                "again. Leave --seed out"
            )
        if remedies:
            raise RequestError(
                "every remedy tried looks at the patients again and costs epsilon: leave --remedies out"
            )
        check_public(self.schema)
        epsilon, delta = chosen.asked
        checked_delta(delta, public_rows(self.schema))
        check_asked(self._kept, epsilon, self._delta, self._cap)

    def check_learnt(self, model: AbstractFitted) -> None:
        """Raise before a model is measured whose release the cap forbids.

        Raises
        ------
        BudgetExceeded
            If epsilon over all that was learnt would pass the cap.
        """
        if model.privacy is not None:
            entry = Entry.now("release", Path(), None, model.privacy)
            check_cap(self._kept, entry, self._delta, self._cap)

    def begun(self, *, private: bool) -> str:
        """What is not in a register that is new, or new to this data set; empty where it is neither."""
        if not self.register.is_file():
            return new_register(self.register, private=private)
        if private and not self._kept:
            return (
                f"the register {self.register.absolute()} holds nothing of {self.schema.name!r} yet: epsilon "
                "that was spent elsewhere, or with another schema, is not in it"
            )
        return ""

    @property
    def _alike(self) -> str:
        return likeness(self.schema)

    @property
    def _known(self) -> tuple[Path, str, str, Marking | None]:
        return self.register, self.schema.name, self._alike, self._marking

    @property
    def _marking(self) -> Marking | None:
        return None if self.marks is None else self.marks.kept

    @property
    def _kept(self) -> tuple[Entry, ...]:
        return entries(*self._known)

    @property
    def _delta(self) -> float:
        return checked_delta(None, public_rows(self.schema))

    @property
    def _cap(self) -> float:
        return self.policy.epsilon_cap.value

    def earlier(self, *, private: bool, renewed: bool = False) -> tuple[tuple[Path, ...], int]:
        """The tables that left before without a guarantee; none where what is learnt now has one.

        Returns
        -------
        tables, missing
            Those at hand, and how many are not: none, unless patients are forgotten (`renewed`).

        Raises
        ------
        RequestError
            If one of them is not at hand, and nobody is forgotten.
        """
        if private:
            return (), 0
        if not renewed:
            return earlier_tables(*self._known), 0
        there, gone = tables_there(*self._known)
        readable = tuple(table for table in there if (table.parent / "schema.yaml").is_file())
        return readable, len(there) + len(gone) - len(readable)

    def enter_private(self, out: Path, model: AbstractFitted, *, released: bool) -> float | None:
        """Write down what a private model cost, before anything of it is shown; epsilon over all so far.

        None where there is no guarantee: then nothing is written down yet.

        Raises
        ------
        BudgetExceeded
            If it passes the policy's cap: then nothing may be written.
        """
        return self.enter("release" if released else "blocked", out, model.privacy)

    def enter(self, what: str, out: Path, spent: PrivacySpent | None) -> float | None:
        """The same for a model folder that stands alone ("model"), or for a fit that broke off.

        Of the latter it is too late to refuse anything: it is written down whatever the cap.
        """
        entry = Entry.now(what, out, None, spent, schema=self._alike)
        if entry.spent is None:
            return None
        return self._add(entry, self._delta, math.inf if what == BROKEN_OFF else self._cap)

    def enter_tables(self, out: Path, model: AbstractFitted, copies: int) -> None:
        """Write down where tables lie that left without a guarantee."""
        if model.privacy is None:
            for table in table_names(copies):
                entry = Entry.now("release", out, out / SHARE / f"{table}.parquet", None, schema=self._alike)
                self._add(entry, 1.0, self._cap)

    def _add(self, entry: Entry, delta: float, cap: float) -> float:
        name, marking = self.schema.name, self._marking
        return add(self.register, name, entry, delta=delta, cap=cap, marking=marking).epsilon


def new_register(register: Path, *, private: bool) -> str:
    """What is not in a register that is not there yet."""
    unknown = "epsilon that was spent elsewhere is" if private else "tries and tables elsewhere are"
    return f"new register begun at {register.absolute()}: {unknown} not in it"


@contextmanager
def owing(books: Books, out: Path, model: AbstractFitted) -> Iterator[None]:
    """Where the block breaks off, write down what its model cost: spent is spent, an interruption too."""
    try:
        yield
    except BaseException:
        books.enter_private(out, model, released=False)
        raise
