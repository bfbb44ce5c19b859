"""`ehrsynth audit`: try to refute what a private generator claims."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import Delta, Generator, Json, PublicRows, SchemaFile, Settings, must_be_there

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATA]",
        help="Patients among whom canaries are put in one fit; without them only made-up ones are used.",
        callback=must_be_there,
    ),
]
Claimed = Annotated[float, typer.Option("--epsilon", help="The epsilon that is claimed, above 0.")]
Runs = Annotated[
    int, typer.Option("--runs", min=10, help="Fits of each of two tiny tables that one patient parts.")
]
Canaries = Annotated[int, typer.Option("--canaries", min=10, help="Made-up patients that a coin puts in.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="A folder to make for report.json.")]
AuditSeed = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal audits.")]


def audit(
    schema: SchemaFile,
    data: Data = None,
    *,
    generator: Generator = "mst",
    epsilon: Claimed = 1.0,
    delta: Delta = None,
    public_rows: PublicRows = None,
    settings: Settings = None,
    runs: Runs = 200,
    canaries: Canaries = 1_000,
    seed: AuditSeed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Try to refute a generator's epsilon: its parts, neighbouring tables, canaries in one real fit.

    A claim that stands has not been broken at the resolution that is printed, no more. One that falls ends
    with exit code 3. An audit looks at DATA without paying for it: its results stay inside.

    Tables alone are audited: a model of images (`images fit --epsilon`) is not covered.
    """
    from ehrsynth.cli.drawing import drawn, show_json, show_table
    from ehrsynth.cli.privacy import known_to_all, with_epsilon
    from ehrsynth.errors import Refused
    from ehrsynth.files import canonical_json, must_be_free, whole_folder
    from ehrsynth.generators.recipes import parse_settings, recipe
    from ehrsynth.generators.trial import try_guarantee
    from ehrsynth.tables import read_table

    if out is not None:
        must_be_free(out)
    chosen = recipe(generator, with_epsilon(generator, parse_settings(settings or []), epsilon, delta))
    meaning = known_to_all(schema, public_rows)
    table = None if data is None else read_table(data, meaning)
    with drawn() as progress:
        trial = try_guarantee(
            chosen, meaning, table, runs=runs, canaries=canaries, seed=seed, progress=progress
        )
    found = trial.as_json() | {"generator": generator, "settings": chosen.model_dump(mode="json")}
    if out is not None:
        with whole_folder(out) as draft:
            (draft / "report.json").write_bytes(canonical_json(found))
    if json:
        show_json(found)
    else:
        parts = [("yes" if one.holds else "NO", one.name, one.detail) for one in trial.findings]
        show_table(("holds", "part", "what was seen"), parts)
        for verdict in trial.verdicts:
            typer.echo(verdict.sentence)
    if trial.broken:
        raise Refused("the guarantee is broken", trial.reasons)
