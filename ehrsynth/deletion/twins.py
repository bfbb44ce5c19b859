"""Forget patients of a twins' job: the same question again, of a table without them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.deletion.earlier import FORGOTTEN, KEY, Earlier, Ledger
from ehrsynth.deletion.finding import Found
from ehrsynth.deletion.learnt import Sides, behind_the_last_table
from ehrsynth.deletion.relearning import RETRAINED
from ehrsynth.deletion.renewing import Outcome, further_checks, outcome, replaces, write_certificate
from ehrsynth.errors import DataError, RequestError
from ehrsynth.progress import Progress
from ehrsynth.release.manifest import Secrets
from ehrsynth.release.request import load_request
from ehrsynth.release.sealing import INTERNAL
from ehrsynth.release.twin_patients import patients_for_twins
from ehrsynth.release.twin_request import TwinRenewal, Wanted, question_of
from ehrsynth.release.twins import TwinsResult, make_twins
from ehrsynth.release.withdrawal import withdraw
from ehrsynth.report.decision import Decision
from ehrsynth.twins.question import Request, ask


def answer_again(
    earlier: Earlier, found: Found, out: Path, *, seed: int | None, command: str, progress: Progress
) -> tuple[TwinsResult, "Twinning"]:
    """Ask again without the patients: everything that was learnt from them is learnt anew.

    Raises
    ------
    RequestError
        If the cohort were patients of another table (`--target`), who cannot be told by their keys there: the
        job is marked as withdrawn, since it is not to be used, and must be run anew.
    DataError
        If what was asked cannot be read.
    """
    try:
        question, options, wanted = question_of(earlier.request)
        target = wanted.pop("target")
        given = Wanted(options=options, **wanted)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{earlier.folder} does not say what was asked: it is damaged") from error
    if target is not None:
        withdraw(earlier.folder, {}, erase=True)
        raise RequestError(
            f"the cohort of {earlier.folder} was a table of its own (--target), in which patients cannot be "
            "told by their keys: it is withdrawn. Run `ehrsynth twins` anew, without them in either table"
        )
    sides = _sides(earlier, given, question)
    twinning = Twinning(
        earlier, found, seed is not None, behind=behind_the_last_table(earlier, found, sides=sides)
    )
    made = make_twins(
        found.remaining,
        earlier.request.schema,
        question,
        out,
        wanted=given,
        seed=seed,
        key=earlier.split_key,
        policy=earlier.policy,
        train_on_synthetic=earlier.request.options.train_on_synthetic,
        command=command,
        renewal=twinning.renewal(),
        progress=progress,
    )
    return made, twinning


def _sides(earlier: Earlier, wanted: Wanted, request: Request) -> Sides:
    """As a twins' job cuts off patients whom nothing sees, by what the question needs of their rows."""

    def learnt(table: pd.DataFrame) -> NDArray[np.bool_]:
        real = patients_for_twins(
            table,
            ask(request, earlier.request.schema),
            request,
            wanted,
            hidden=Secrets(earlier.split_key, 0, "", 0),
            policy=earlier.policy,
            accepted=earlier.request.options.train_on_synthetic,
            renewed=bool(earlier.ledger.forgotten),
        )
        return np.ones(len(table), np.bool_) if real.cut is None else real.cut.rows

    return learnt


@dataclass(slots=True)
class Twinning:
    """One forgetting under way; `seeded` if somebody knows the seed: no cohort leaves then.

    `behind` are the keyed hashes of those from whom the last cohort that left was learnt.
    """

    earlier: Earlier
    found: Found = field(repr=False)
    seeded: bool
    behind: tuple[bytes, ...] = field(default=(), repr=False)
    outcome: Outcome = "inside"

    def ledger(self, decision: Decision | None) -> Ledger:
        """The ledger after the decision."""
        grown = self.earlier.ledger.with_more(self.found.named.hashes, self.behind)
        return grown.after_a_table() if decision is not None and decision.released else grown

    def renewal(self) -> TwinRenewal:
        """What the job does otherwise."""
        checks = further_checks(self.ledger(None), private=False, seeded=self.seeded)
        return TwinRenewal(checks, self.earlier.attempt, replaces(self.earlier), self._files, self._finish)

    def _files(self, decision: Decision | None) -> dict[str, bytes]:
        self.outcome = "inside" if decision is None else outcome(decision)
        return {
            FORGOTTEN: self.ledger(decision).as_bytes(),
            KEY: self.earlier.key.hex().encode() + b"\n",
        }

    def _finish(self, folder: Path) -> None:
        write_certificate(
            folder,
            self.earlier,
            self.found.tree,
            self.found.named.hashes,
            after=load_request(folder / INTERNAL),
            method=RETRAINED,
            table=self.outcome,
        )
