"""`ehrsynth sample`: draw synthetic patients from a model."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import (
    Json,
    Scheduler,
    Seed,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    Unencrypted,
    Workers,
)

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A folder that `fit` made.", exists=True, file_okay=False)
]
Rows = Annotated[
    int, typer.Option("--rows", "-n", min=1, help="How many patients: exactly so many are drawn.")
]
OutTable = Annotated[
    str,
    typer.Option(
        "--out", "-o", help="A .csv, .csv.gz or .parquet file, or the URL of a new table in a database."
    ),
]
Where = Annotated[
    str | None,
    typer.Option("--where", help="Only such patients, for instance 'age >= 80 and sex == \"F\"'."),
]
Edge = Annotated[
    bool,
    typer.Option("--edge", help="Valid patients of low density, for testing edge cases."),
]
OriginColumn = Annotated[
    bool,
    typer.Option("--origin-column", help="Also mark each row as synthetic, in a last column _origin."),
]


def sample(
    model: Model,
    rows: Rows,
    out: OutTable,
    *,
    where: Where = None,
    edge: Edge = False,
    origin_column: OriginColumn = False,
    seed: Seed = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca_file: TlsAuthority = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    unencrypted: Unencrypted = False,
    json: Json = False,
) -> None:
    """Draw synthetic patients, all of them, or only those that meet a condition.

    Many are drawn in pieces, side by side; equal seeds give equal bytes however many work. A run that was
    killed goes on from the pieces that were done when it is given the same command again.
    """
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.engines import Cluster, engine
    from ehrsynth.cli.places import must_be_table
    from ehrsynth.errors import RequestError
    from ehrsynth.generators.bulk import PART, Facts, Wish, draw_table
    from ehrsynth.generators.density import knows_density
    from ehrsynth.generators.storage import load_model
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.tables import write_table

    place = must_be_table(out)
    where_to_work = Cluster(scheduler, tls_ca_file, tls_cert, tls_key, unencrypted=unencrypted)
    if edge and (workers is not None or where_to_work != Cluster(None)):
        raise RequestError(
            "--edge draws in this process alone: leave --workers, --scheduler and --tls-... out"
        )
    with drawn() as progress:
        if edge:
            fitted, seed = load_model(model), fresh_seed() if seed is None else seed
            made = knows_density(fitted).edge(rows, where=where, seed=seed, progress=progress)
            write_table(made.table, fitted.schema, place, origin_column=origin_column)
            facts = Facts.of(made)
        else:
            wish = Wish(rows, where, seed, origin_column=origin_column)
            with engine(where_to_work, workers, -(-rows // PART)):
                facts, seed = draw_table(model, wish, place, progress)
    shown = {
        "table": str(place),
        "patients": rows,
        "where": where,
        "edge": edge,
        "effective_sample_size": facts.effective_sample_size,
        "acceptance": facts.acceptance,
        "probability": facts.probability,
        "seed": seed,
    }
    show_facts(shown, as_json=json)
