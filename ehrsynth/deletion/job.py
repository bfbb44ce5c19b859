"""Forget patients: make a release or a model again without them, certify it, and withdraw the old one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ehrsynth.deletion.certificate import certified
from ehrsynth.deletion.earlier import CERTIFICATE, Earlier, read_earlier, succeeds
from ehrsynth.deletion.finding import Found, find
from ehrsynth.deletion.learnt import behind_the_last_table
from ehrsynth.deletion.models import forget_from_model
from ehrsynth.deletion.naming import hashes_of_keys
from ehrsynth.deletion.relearning import RETRAINED, Relearning
from ehrsynth.deletion.renewing import Outcome, Renewing, outcome
from ehrsynth.deletion.twins import answer_again
from ehrsynth.errors import NotEnoughData, OutputError, RequestError
from ehrsynth.files import must_be_free, sha256
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, silent
from ehrsynth.release.job import release as make_release
from ehrsynth.release.withdrawal import withdraw
from ehrsynth.report.decision import Decision
from ehrsynth.tables.unheld import without_unheld

FEWEST = 2  # patients of whom anything can be learnt


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of it.

    Parameters
    ----------
    decision
        The gate's, about a new table; None for a model that stands alone, and twins of real patients.
    folder
        The new release or model.
    patients
        How many were forgotten this time.
    method
        How the model came about, in words.
    table
        "published": a new table may leave. "waits": until more are forgotten together. "blocked": the gate
        says no. "none": a model stands alone. "inside": twins of real patients, which stay.
    pending
        From how many forgotten patients the last table that left was learnt.
    erased
        Files of the old one that were erased.
    never_drawn
        Patients who were named too and had never been drawn into a subsample (`release --at-most`): nothing
        was learnt from them, and the certificate proves their absence.
    still_listed
        Columns of a model that stands alone whose list of values was read off the data, and names what
        nobody holds any more.
    """

    decision: Decision | None
    folder: Path
    patients: int
    method: str
    table: Outcome
    pending: int
    erased: tuple[str, ...]
    never_drawn: int = 0
    still_listed: tuple[str, ...] = ()


def forget(  # noqa: PLR0913 - one argument for each thing that a person decides
    release: Path | str,
    patients: Path | str | Sequence[str],
    data: Path | str,
    out: Path | str,
    *,
    keep_old_model: bool = False,
    seed: int | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Forgotten:
    """Forget patients, exactly and at once, whether they had been learnt from or held out.

    The new release is what the old one would have been had they never been in the table, with a fresh seed;
    its evaluation and its gate are new. The old release is marked as withdrawn and its model erased. A new
    table is only published when at least 11 patients were forgotten from whom the last one was learnt (the
    difference of two tables can expose one person), or under differential privacy, where epsilon adds up. Of
    a model that `ehrsynth fit` made, the model alone is made again; of a twins' job, its question is answered
    again.

    Parameters
    ----------
    release
        A release, a model folder or a twins' job, with its internal folder.
    patients
        Patient keys, or a file of them: see `ehrsynth.deletion.naming.named`.
    data
        The table that it was made of. Patients who are to be forgotten, or were before, may be in it
        or not.
    out
        The folder of the new release or model.
    keep_old_model
        Leave the old release's model on the disk: the patients are then not forgotten where it lies.
    seed
        For tests: with the old release's seed the model has the bytes of a fit that never saw the patients.
        No table is published then.
    command
        How this was asked for, without identifiers; shown inside only.

    Raises
    ------
    DataError
        If the table is not the one that was learnt, or some patients are not in it.
    RequestError
        If the release cannot be read, or was withdrawn already.
    ReleaseBlocked, NotEnoughData, OutputError
        As `ehrsynth.release.job.release`. Nothing is written then, and the old release stays; where fewer
        than two patients remain it is withdrawn.
    """
    earlier, out = read_earlier(Path(release)), Path(out)
    if succeeds(out, earlier):
        # It was written whole, and the run ended before the old one was marked.
        _withdraw(earlier, out, erase=not keep_old_model)
        said = _done(earlier, patients, out)
        raise OutputError(f"{out} took the place of {release} before: that is withdrawn now, {said}")
    must_be_free(out)
    _check_register(earlier)
    found = find(earlier, patients, data)
    if len(found.remaining) < FEWEST:
        withdraw(earlier.folder, {}, erase=not keep_old_model)
        kept = "its model stays, as you asked" if keep_old_model else "its model is erased"
        raise NotEnoughData(
            f"fewer than {FEWEST} patients remain, and nothing can be learnt from them: {release} is"
            f" withdrawn, {kept}, and nothing takes its place"
        )
    if earlier.kind == "twins":
        twins, under_way = answer_again(
            earlier, found, out, seed=seed, command=command, progress=progress or silent
        )
        erased = _withdraw(earlier, out, erase=True)
        pending = len(under_way.ledger(twins.decision).pending)
        asked = len(found.named.hashes)
        return Forgotten(twins.decision, out, asked, RETRAINED, under_way.outcome, pending, erased)
    if earlier.kind == "model":
        said = forget_from_model(earlier, found, out, seed=seed, progress=progress or silent)
        erased = _withdraw(earlier, out, erase=not keep_old_model)
        schema = earlier.request.schema
        cut = without_unheld(found.remaining, schema)[1]
        listed = tuple(c.name for c in schema.columns if c != cut.column(c.name))
        asked = len(found.named.hashes)
        return Forgotten(None, out, asked, said, "none", 0, erased, still_listed=listed)
    return _released_again(
        earlier, found, out, keep_old_model=keep_old_model, seed=seed, command=command, progress=progress
    )


def _released_again(  # noqa: PLR0913 - what a person decided
    earlier: Earlier,
    found: Found,
    out: Path,
    *,
    keep_old_model: bool,
    seed: int | None,
    command: str,
    progress: Progress | None,
) -> Forgotten:
    relearning = Relearning(earlier, found.before, found.named.rows, test=seed is not None)
    who, seeded = found.named, seed is not None
    renewing = Renewing(
        earlier,
        relearning,
        who.hashes,
        found.tree,
        seeded,
        behind=behind_the_last_table(earlier, found),
        bystanders=who.bystanders,
    )
    made = make_release(
        found.remaining,
        earlier.request.schema,
        out,
        generator=earlier.request.generator,
        settings=earlier.request.settings,
        **asdict(earlier.request.options) | {"register": earlier.register, "at_most": None},
        seed=seed,
        key=earlier.split_key,
        policy=earlier.policy,
        command=command,
        renewal=renewing.renewal(),
        progress=progress,
    )
    erased = _withdraw(earlier, out, erase=not keep_old_model)
    table, ledger = outcome(made.decision), renewing.ledger(made.decision)
    return Forgotten(
        made.decision,
        out,
        len(who.hashes),
        relearning.said,
        table,
        len(ledger.pending),
        erased,
        never_drawn=len(who.bystanders),
    )


def _check_register(earlier: Earlier) -> None:
    """Epsilon adds up over the register: where that is not found, it must not begin anew."""
    request = earlier.request
    if earlier.kind == "twins":
        return
    private = recipe(request.generator, request.settings).asked is not None
    if private and not earlier.seeded and not earlier.register.is_file():
        raise RequestError(
            f"the register {request.options.register} is not where it was written: put it back, since "
            "epsilon adds up over all that was learnt from these patients"
        )


def _done(earlier: Earlier, patients: Path | str | Sequence[str], out: Path) -> str:
    """Whether those who are named now are those whom a killed run had forgotten, in words."""
    column = earlier.request.schema.patient_key
    if column is None:  # whole rows: which of equal ones are meant, only the table can say
        return f"and those are forgotten who were named then. Forget others from {out}"
    given = Path(patients) if isinstance(patients, str) else patients
    asked = hashes_of_keys(given, column, earlier.key)
    missing = len(asked - certified((out / CERTIFICATE).read_bytes(), earlier.key))
    if not missing:
        return "and all is done"
    return f"but {missing} of the {len(asked)} patients named are not forgotten: forget them from {out}"


def _withdraw(earlier: Earlier, out: Path, *, erase: bool) -> tuple[str, ...]:
    record = {"successor": out.name, "certificate_sha256": sha256(out / CERTIFICATE)}
    return withdraw(earlier.folder, record, erase=erase)
