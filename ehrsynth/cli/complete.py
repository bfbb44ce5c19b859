"""`ehrsynth complete`: fill the unknown cells of partial patients."""

from typing import Annotated

import typer

from ehrsynth.cli.options import TABLE_KINDS, Json, Seed, must_be_there
from ehrsynth.cli.sample import Model, OutTable

Partial = Annotated[
    str,
    typer.Argument(
        metavar="PARTIAL",
        help=f"Patients of whom some cells are empty or some columns absent: {TABLE_KINDS}.",
        callback=must_be_there,
    ),
]
Draws = Annotated[
    int, typer.Option("--draws", min=1, help="How many completions of each patient, one below the other.")
]


def complete(
    model: Model, partial: Partial, out: OutTable, *, draws: Draws = 1, seed: Seed = None, json: Json = False
) -> None:
    """Fill the unknown cells of partial patients, each patient under what is known of it.

    The known cells stay as they are: if they are real, the result is not for sharing.
    """
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.places import must_be_table
    from ehrsynth.generators.density import knows_density
    from ehrsynth.generators.storage import load_model
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.tables import write_table
    from ehrsynth.tables.partial import read_partial

    place = must_be_table(out)
    fitted = load_model(model)
    able = knows_density(fitted)
    rows = read_partial(partial, fitted.schema)
    seed = fresh_seed() if seed is None else seed
    with drawn() as progress:
        found = able.complete(rows, draws=draws, seed=seed, progress=progress)
    write_table(found.table, fitted.schema, place)
    facts = {
        "table": str(place),
        "sharing": "not for sharing: real patients whose unknown cells were filled",
        "patients": len(rows),
        "draws": draws,
        "least_effective_sample_size": float(found.effective_sample_size.min()),
        "seed": seed,
    }
    show_facts(facts, as_json=json)
