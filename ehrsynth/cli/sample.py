"""`ehrsynth sample`: draw synthetic patients from a model."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import Json, Seed

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A folder that `fit` made.", exists=True, file_okay=False)
]
Rows = Annotated[
    int, typer.Option("--rows", "-n", min=1, help="How many patients: exactly so many are drawn.")
]
OutTable = Annotated[Path, typer.Option("--out", "-o", help="A .csv, .csv.gz or .parquet file.")]
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
    json: Json = False,
) -> None:
    """Draw synthetic patients, all of them, or only those that meet a condition."""
    from ehrsynth.cli.bulk import Facts, drawn_in_parts
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.places import must_be_table
    from ehrsynth.generators.base import knows_density
    from ehrsynth.generators.storage import load_model
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.tables.writing import write_tables

    must_be_table(out)
    fitted = load_model(model)
    seed = fresh_seed() if seed is None else seed
    with drawn() as progress:
        draw = knows_density(fitted).edge if edge else fitted.sample
        if where is None and not edge:
            parts = drawn_in_parts(fitted, rows, seed=seed, progress=progress)
        else:
            parts = iter([draw(rows, where=where, seed=seed, progress=progress)])
        found = Facts()
        write_tables(found.tables(parts), fitted.schema, out, origin_column=origin_column)
    facts = {
        "table": str(out),
        "patients": rows,
        "where": where,
        "edge": edge,
        "effective_sample_size": found.effective_sample_size,
        "acceptance": found.acceptance,
        "probability": found.probability,
        "seed": seed,
    }
    show_facts(facts, as_json=json)
