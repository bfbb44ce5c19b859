"""`ehrsynth evaluate`: measure a synthetic table, whoever made it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ehrsynth.cli.options import (
    EvaluatedRows,
    Json,
    OutFolder,
    PolicyFile,
    Remedies,
    Scheduler,
    SchemaFile,
    SecondOpinion,
    Seed,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    Unencrypted,
    Workers,
    all_must_be_there,
    must_be_there,
)

if TYPE_CHECKING:
    import pandas as pd

    from ehrsynth.release.appraisal import Appraisal
    from ehrsynth.schema import Schema

    Held = tuple[pd.DataFrame, int]

_LONG, _SIDE_BY_SIDE = 5_000, 20  # patients; metrics and attacks

Train = Annotated[
    str,
    typer.Option("--train", help="The patients that the generator learnt from.", callback=must_be_there),
]
Holdout = Annotated[
    str,
    typer.Option("--holdout", help="Patients of the same kind that it never saw.", callback=must_be_there),
]
Synthetic = Annotated[
    list[str],
    typer.Option(
        "--synthetic",
        help="The synthetic patients; repeat it for several copies of one generator.",
        callback=all_must_be_there,
    ),
]

Attempts = Annotated[
    int,
    typer.Option(
        "--attempts", min=1, help="How often these patients were tried, this time included; widens the bound."
    ),
]


def evaluate(
    train: Train,
    holdout: Holdout,
    synthetic: Synthetic,
    schema: SchemaFile,
    out: OutFolder,
    *,
    policy: PolicyFile = None,
    rows: EvaluatedRows = None,
    attempts: Attempts = 1,
    remedies: Remedies = 0.0,
    second_opinion: SecondOpinion = False,
    seed: Seed = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca_file: TlsAuthority = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    unencrypted: Unencrypted = False,
    json: Json = False,
) -> None:
    """Measure a synthetic table and say what the gate would; with --policy, a no ends with exit code 3.

    Of tables that do not fit into memory a uniform subsample is measured, and the report says of how many;
    of synthetic ones all must fit, or the attacks' checks are not computed, which is a no.
    With --remedies a no of the attacks names bands that would pass. Where the schema has bands, all tables
    are put in them first, and OUT also holds the synthetic table in bands.
    """
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.engines import Cluster, engine
    from ehrsynth.files import must_be_free
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.release.appraisal import appraise, write_appraisal
    from ehrsynth.release.policy import load_policy
    from ehrsynth.schema.yaml_files import load_schema

    must_be_free(out)
    meaning, limits = load_schema(schema), load_policy(policy)
    asked = Cluster(scheduler, tls_ca_file, tls_cert, tls_key, unencrypted=unencrypted)
    seed = fresh_seed() if seed is None else seed
    sides, copies = _read((train, holdout), synthetic, meaning, rows, seed=seed)
    (real, trained), (unseen, held_out) = sides
    (made, drawn_rows), *others = copies
    pieces = _SIDE_BY_SIDE if len(real) >= _LONG else 1
    with drawn() as progress, engine(asked, workers, pieces):
        found = appraise(
            real,
            unseen,
            made,
            meaning,
            seed=seed,
            policy=limits,
            rows=rows,
            attempts=attempts,
            copies=[table for table, _ in others],
            given={"train": trained, "holdout": held_out, "synthetic": drawn_rows},
            unread=sum(there - len(table) for table, there in copies),
            remedy_seconds=remedies or 0.0,
            second_opinion=second_opinion,
            progress=progress,
        )
    write_appraisal(found, meaning, out)
    _told(found, out, as_json=json, decides=policy is not None)


def _read(
    real: tuple[str, str], synthetic: list[str], schema: "Schema", rows: int | None, *, seed: int
) -> "tuple[list[Held], list[Held]]":
    """The real tables and the synthetic ones, each with how many rows it has, held or not.

    Patients may be thinned, by one draw: who is in both tables is drawn in both, and seen. Without a key
    equal rows are not drawn alike: the evaluation thins them. What an attacker holds is never thinned, or a
    leak would shrink with it.
    """
    from ehrsynth.randomness import derived_seed
    from ehrsynth.tables.streaming import MOST_CELLS, read_at_most

    most = rows
    if rows is not None and schema.patient_key is None:
        most = max(rows, MOST_CELLS // len(schema.columns))
    one = derived_seed(seed, "evaluate", "real")
    sides = [read_at_most(file, schema, most, seed=one) for file in real]
    copies = [
        read_at_most(file, schema, None, seed=derived_seed(seed, "evaluate", "synthetic", str(place)))
        for place, file in enumerate(synthetic)
    ]
    return sides, copies


def _told(found: "Appraisal", out: Path, *, as_json: bool, decides: bool) -> None:
    """The results, and a no as an error where a policy was named."""
    from ehrsynth.cli.results import show_results
    from ehrsynth.errors import ReleaseBlocked

    show_results(out / "report.json", as_json=as_json)
    if decides and not found.decision.released:
        raise ReleaseBlocked(f"blocked: {found.decision.reasons[0]}", found.decision.reasons[1:])
