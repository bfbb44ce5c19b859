"""The main job: a patient table in, a release out: `share/`, which may leave, and `internal/`, which may not.

Everything is computed first and written last, whole or not at all: a full disk or an error leaves nothing
behind, an interrupt nothing but, of a long fit, what the same command goes on from (`going_on`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from ehrsynth.errors import ReleaseBlocked, RequestError
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.files import must_be_free
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.private import BROKEN_OFF, paying
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, part, silent
from ehrsynth.release.books import Books, owing
from ehrsynth.release.folders import write_release
from ehrsynth.release.gate import decide
from ehrsynth.release.going_on import going_on
from ehrsynth.release.looks import enter_look
from ehrsynth.release.policy import Policy, load_policy
from ehrsynth.release.reading import check_at_most
from ehrsynth.release.real_table import RealTable
from ehrsynth.release.register import place_of
from ehrsynth.release.renewal import Renewal, with_checks
from ehrsynth.release.request import Options
from ehrsynth.release.steps import Order, account, draw, gather, learn, measure, mend, read_real
from ehrsynth.release.together import earlier_copies
from ehrsynth.release.unseen import unseen
from ehrsynth.report.decision import Decision
from ehrsynth.schema import Schema


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What came of it: the gate's decision, and the folder that was written either way."""

    decision: Decision
    folder: Path
    note: str = ""  # what is not in a register that was begun anew

    def raise_if_blocked(self) -> None:
        """Raise unless the gate said yes.

        Raises
        ------
        ReleaseBlocked
            Its first line names the first reason; all reasons are listed.
        """
        if not self.decision.released:
            first = self.decision.reasons[0]
            raise ReleaseBlocked(
                f"blocked: {first}", (*self.decision.reasons, f"see {self.folder / 'internal'}")
            )


def release(  # noqa: PLR0913 - one argument for each thing that a person decides
    data: Path | str | pd.DataFrame,
    schema: Schema,
    out: Path | str,
    *,
    generator: str = "autoregressive",
    settings: Mapping[str, object] | None = None,
    rows: int | None = None,
    copies: int = 1,
    seed: int | None = None,
    key: bytes | None = None,
    policy: Policy | None = None,
    evaluated_rows: int | None = None,
    remedy_seconds: float = 0.0,
    second_opinion: bool = False,
    train_on_synthetic: bool = False,
    at_most: int | None = None,
    index_date: str | None = None,
    register: Path | None = None,
    command: str = "",
    renewal: Renewal | None = None,
    progress: Progress | None = None,
) -> ReleaseResult:
    """Make a release: check, generalise, scan, split, fit, sample, evaluate, decide, write two folders.

    Parameters
    ----------
    data
        A patient table as a file, or as a frame that is checked in the same way.
    out
        The folder to make: `internal/` always, `share/` only when the gate says yes.
    generator, settings
        A registered generator and the fields of its recipe that differ from the defaults.
    rows
        Synthetic patients to draw; default as many as were learnt from, and under differential privacy the
        schema's public row count.
    copies
        So many tables are drawn from the one model, for inference that combines them. The attacks look at
        all of them together: whoever gets one gets all.
    seed, key
        None: fresh, but for the key where tables of this data set left before without a guarantee: theirs is
        taken again, so that the same patients stay unseen. The split is keyed by a secret apart from the
        seed, because a seed can be guessed; both stand in the internal manifest, and giving both makes the
        same table again. Under differential
        privacy a seed is refused, and the noise can never be made again.
    policy
        The gate's limits; default `schemas/policy.yaml`.
    evaluated_rows
        Measure on so many patients of each side; None uses the protocol's own. No synthetic row is left out.
    remedy_seconds
        After a no of the attacks, look for so long for a small change that would pass, and name it; none is
        applied. 0 does not look.
    second_opinion
        Also ask the package anonymeter about three of the risks; shown inside, decides nothing.
    train_on_synthetic
        Accept a table that is itself synthetic; the report says so.
    at_most
        Of a longer Parquet file or database table take a uniform subsample of so many patients; the report
        says so.
    index_date
        A date column from which the other dates are counted in days; None: each date becomes its year.
    register
        The register of what was learnt from this data set; default beside `out`.
    command
        How this was asked for; shown inside only.
    renewal
        Where this takes the place of an earlier release (`ehrsynth.deletion`): what is done otherwise.

    Raises
    ------
    DataError
        If the table does not fit the schema, or has fewer than two patients.
    OutputError
        If `out` is taken or cannot be written; nothing is left behind.
    RequestError
        If `copies` is below 1, or `index_date` is no date column.
    ReleaseBlocked
        Before anything is learnt, if columns look like identifiers or hold too few patients to be merged:
        all are listed, and nothing is written.
    BudgetExceeded
        If epsilon over all that was learnt from this data set would pass the policy's cap; nothing is
        written.
    """
    out, report = Path(out), progress or silent
    if copies < 1:
        raise RequestError(f"copies is {copies}; at least 1 can be drawn")
    must_be_free(out)
    policy = load_policy() if policy is None else policy
    chosen = recipe(generator, settings)
    books = Books(place_of(out, register), schema, policy)
    renewed, private = renewal is not None, chosen.asked is not None
    books.check(chosen, seed, remedies=remedy_seconds > 0, renewed=renewed)
    check_at_most(schema, at_most, private=private)
    report(0.0, "reading the table")
    place = str(books.register.absolute())
    options = Options(
        rows, copies, evaluated_rows, second_opinion, train_on_synthetic, place, at_most, index_date
    )
    order = Order(schema, chosen, options, policy, remedy_seconds, command, renewal)
    earlier, _ = books.earlier(private=private, renewed=renewed)
    with going_on(out, chosen, data, _asked(order, earlier), seed=seed, key=key) as drawing:
        real = read_real(data, out, drawing, order)
        books = replace(books, marks=real.marks)
        begun = books.begun(private=private)
        with drawing.learning(), paying(partial(books.enter, BROKEN_OFF, out)):
            model = learn(real, order, part(report, 0.05, 0.5))
        books.check_learnt(model)
        with owing(books, out, model):
            drawn, evaluation, decision = _judged(real, model, books, order, report)
        report(0.95, "writing the release" if decision.released else "writing why it is blocked")
        composed = books.enter_private(out, model, released=decision.released)
        where = account(real, model, order, drawn=drawn, evaluation=evaluation, composed=composed)
        said = (decision, replace(where, register=begun), evaluation)
        write_release(out, gather(real, model, order, drawn=drawn, said=said))
        enter_look(books.register, real.marks, out, released=decision.released)
        if decision.released:
            books.enter_tables(out, model, copies)
        report(1.0, decision.sentence)
        return ReleaseResult(decision, out, begun)


def _asked(order: Order, earlier: Iterable[Path]) -> dict[str, object]:
    """What is asked; the earlier tables too, for they decide who is learnt from.

    A run that was cut off goes on only where all of it is still the same.
    """
    return order.as_json() | {"earlier": [str(path) for path in earlier]}


def _judged(
    real: RealTable, model: AbstractFitted, books: Books, order: Order, report: Progress
) -> tuple[tuple[pd.DataFrame, ...], Evaluation, Decision]:
    """The tables drawn from a model, what was measured on them, and what the gate says of it."""
    drawn = draw(real, model, order.options, part(report, 0.5, 0.55))
    private, renewed = model.privacy is not None, order.renewal is not None
    earlier, missing = books.earlier(private=private, renewed=renewed)
    tables = drawn, earlier_copies(earlier, drawn, real.schema)
    evaluation = measure(real, tables, order, part(report, 0.55, 0.94))
    found = decide(evaluation, order.policy, rows=real.facts, privacy=model.privacy)
    found = Decision.from_checks([*found.checks, *unseen(real.unknown)])
    decision = with_checks(found, order.renewal, missing=missing)
    return drawn, evaluation, mend(decision, real, tables, order, progress=part(report, 0.94, 0.95))
