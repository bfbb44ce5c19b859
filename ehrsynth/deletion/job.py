"""Forget patients: make a release again without them, certify it, and withdraw the old one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.deletion.earlier import CERTIFICATE, Earlier, read_earlier, succeeds
from ehrsynth.deletion.naming import Named, named
from ehrsynth.deletion.relearning import Relearning
from ehrsynth.deletion.renewing import Outcome, Renewing, outcome
from ehrsynth.errors import DataError, OutputError
from ehrsynth.files import sha256
from ehrsynth.progress import Progress
from ehrsynth.release.census import hashed_patients, take_census
from ehrsynth.release.job import release as make_release
from ehrsynth.release.merkle import Tree
from ehrsynth.release.withdrawal import withdraw
from ehrsynth.report.decision import Decision
from ehrsynth.tables import read_table


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of it.

    Parameters
    ----------
    decision
        The gate's, about a new table.
    folder
        The new release.
    patients
        How many were forgotten this time.
    method
        How the model came about, in words.
    table
        "published": a new table may leave. "waits": until more are forgotten together. "blocked": the gate
        says no.
    pending
        How many forgotten patients are still behind the last table that left.
    erased
        Files of the old release that were erased.
    """

    decision: Decision
    folder: Path
    patients: int
    method: str
    table: Outcome
    pending: int
    erased: tuple[str, ...]


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
    table is only published when at least 11 patients were forgotten since the last one (the difference of
    two tables can expose one person), or under differential privacy, where epsilon adds up.

    Parameters
    ----------
    release
        A release with its internal folder.
    patients
        Patient keys, or a file of them: see `ehrsynth.deletion.naming.named`.
    data
        The table that the release was made of. Patients who are to be forgotten, or were before, may be in it
        or not.
    out
        The folder of the new release.
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
        As `ehrsynth.release.job.release`. Nothing is written then, and the old release stays.
    """
    earlier, out = read_earlier(Path(release)), Path(out)
    if succeeds(out, earlier):
        # It was written whole, and the run ended before the old one was marked.
        _withdraw(earlier, out, erase=not keep_old_model)
        raise OutputError(f"{out} took the place of {release} before: that is withdrawn now, and all is done")
    found = _found(earlier, patients, data)
    relearning = Relearning(earlier, found.before, found.named.rows, test=seed is not None)
    renewing = Renewing(earlier, relearning, found.named.hashes, found.tree, seeded=seed is not None)
    made = make_release(
        found.remaining,
        earlier.request.schema,
        out,
        generator=earlier.request.generator,
        settings=earlier.request.settings,
        **asdict(earlier.request.options) | {"register": earlier.register},
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
        made.decision, out, len(found.named.hashes), relearning.said, table, len(ledger.pending), erased
    )


def _withdraw(earlier: Earlier, out: Path, *, erase: bool) -> tuple[str, ...]:
    record = {"successor": out.name, "certificate_sha256": sha256(out / CERTIFICATE)}
    return withdraw(earlier.folder, record, erase=erase)


@dataclass(frozen=True, slots=True)
class _Found:
    """The patients, the table without them, and the table as the old release saw it, where it can be had."""

    named: Named
    remaining: pd.DataFrame
    before: pd.DataFrame | None
    tree: Tree


def _found(earlier: Earlier, patients: Path | str | Sequence[str], data: Path | str) -> _Found:
    schema, key = earlier.request.schema, earlier.key
    table = read_table(data, schema)
    hashed, forgotten = hashed_patients(table, schema, key), {*earlier.ledger.forgotten}
    there = np.array([one.hex() not in forgotten for one in hashed], np.bool_)
    table = _part(table, there)
    if isinstance(patients, str):
        patients = Path(patients)
    who = named(patients, table, schema, key)
    known = [one for one, kept in zip(hashed, there, strict=True) if kept]
    _check_same_patients(earlier, who, known)
    unchanged = not who.absent and take_census(table, schema, key).content == earlier.request.census.content
    remaining = _part(table, ~who.rows)
    tree = Tree(one for one, gone in zip(known, who.rows, strict=True) if not gone)
    return _Found(who, remaining, table if unchanged else None, tree)


def _part(table: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.DataFrame:
    part = table.loc[rows].reset_index(drop=True)
    part.attrs = dict(table.attrs)
    return part


def _check_same_patients(earlier: Earlier, who: Named, known: Sequence[bytes]) -> None:
    """The patients of the table, with those named who are no longer in it, must be those of the release."""
    root, asked = earlier.request.census.root, len(who.hashes)
    again = sum(one.hex() in {*earlier.ledger.forgotten} for one in who.hashes)
    if again:
        raise DataError(f"{again} of the {asked} patients named were forgotten before: leave them out")
    if Tree([*known, *who.hashes]).root.hex() == root:
        return
    if who.absent and Tree(known).root.hex() == root:
        raise DataError(
            f"{who.absent} of the {asked} patients named are not in the table, nor in the release: check the "
            "spelling of their keys"
        )
    raise DataError(
        f"the table does not hold the patients of the release: it has {len(known):,} rows, and the release "
        f"was made of {earlier.request.census.rows:,}. Give the table that it was made of; of its patients "
        "only those who are named, or were forgotten before, may be missing"
    )
