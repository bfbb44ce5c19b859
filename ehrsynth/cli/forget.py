"""`ehrsynth forget`: make a release again as if some patients had never been in the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ehrsynth.cli.options import (
    Json,
    OutFolder,
    Scheduler,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    Unencrypted,
    Workers,
    must_be_there,
)

if TYPE_CHECKING:
    from ehrsynth.deletion.job import Forgotten

Release = Annotated[
    Path,
    typer.Argument(
        metavar="RELEASE",
        help="A folder that `release`, `forget` or `twins` made, or a model that `fit` made.",
        exists=True,
        file_okay=False,
    ),
]
Patients = Annotated[
    Path,
    typer.Option(
        "--patients",
        "-p",
        metavar="IDS",
        help="A file with one patient key a line, or with a column of the key's name. Without a patient key"
        " in the schema: a table with the patients' rows.",
        exists=True,
        dir_okay=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        "-d",
        help="The table that it was made of; the patients to forget may be in it or not.",
        callback=must_be_there,
    ),
]
KeepOldModel = Annotated[
    bool,
    typer.Option(
        "--keep-old-model",
        help="Leave the old model on the disk: it has not forgotten the patients.",
    ),
]
TestSeed = Annotated[
    int | None,
    typer.Option(
        "--test-seed",
        min=0,
        help="For tests, instead of a fresh one: with the old release's seed, the bytes of a fit that never"
        " saw the patients. No table is published then.",
    ),
]


def forget(
    release: Release,
    patients: Patients,
    data: Data,
    out: OutFolder,
    *,
    keep_old_model: KeepOldModel = False,
    test_seed: TestSeed = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca_file: TlsAuthority = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    unencrypted: Unencrypted = False,
    json: Json = False,
) -> None:
    """Forget patients, exactly: OUT is RELEASE as it would have been had they never been in the table.

    The model forgets at once, also a single patient; RELEASE is marked as withdrawn and its model erased. OUT
    has a certificate, which `verify` checks. A new table is published when 11 patients or more were forgotten
    from whom the last one was learnt, or under differential privacy: else it waits. Ends with 3 when the
    patients are forgotten and the gate says no to a new table. Of a model that `fit` made, the model alone is
    made again; of a twins' job, its question is answered again.
    """
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.engines import Cluster, engine
    from ehrsynth.deletion.job import forget as make_forget

    asked = Cluster(scheduler, tls_ca_file, tls_cert, tls_key, unencrypted=unencrypted)
    with drawn() as progress, engine(asked, workers, 1):
        made = make_forget(
            release,
            patients,
            data,
            out,
            keep_old_model=keep_old_model,
            seed=test_seed,
            command="ehrsynth forget",
            progress=progress,
        )
    _told(made, release, as_json=json)


def _told(made: "Forgotten", old: Path, *, as_json: bool) -> None:
    """What came of it, and a no to a new table as an error."""
    from ehrsynth.cli.drawing import show_facts
    from ehrsynth.errors import ReleaseBlocked

    reasons = made.decision.reasons if made.decision is not None else ()
    facts: dict[str, object] = {
        "verdict": "forgotten",
        "model" if made.table == "none" else "release": str(made.folder),
        "certificate": str(made.folder / "certificate.json"),
        "patients_forgotten": made.patients,
        **({"named_and_never_drawn": made.never_drawn} if made.never_drawn else {}),
        **({"schema_still_lists": _still_listed(made, as_json=as_json)} if made.still_listed else {}),
        "method": made.method,
        "table": made.table,
        "forgotten_since_the_last_table": made.pending,
        "withdrawn": str(old),
        "files_erased": len(made.erased),
    }
    if made.decision is not None:
        said = list(reasons) if as_json else " ".join(reasons) or None
        facts |= {"decision": made.decision.verdict, "reasons": said}
    show_facts(facts, as_json=as_json)
    if made.table == "blocked":
        raise ReleaseBlocked(
            "the patients are forgotten; a new table is blocked",
            (*reasons, f"see {made.folder / 'internal'}"),
        )


def _still_listed(made: "Forgotten", *, as_json: bool) -> object:
    """Columns whose list names what nobody holds; for a person with the remedy."""
    names = ", ".join(made.still_listed)
    remedy = "their lists, read off the data, name values that nobody holds any more. Before the model is"
    remedy += " handed on, take these out of the schema and fit again"
    return list(made.still_listed) if as_json else f"{names}: {remedy}"
