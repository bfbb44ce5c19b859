"""`ehrsynth demo`: the main job on the bundled stroke trial."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    EvaluatedRows,
    Generator,
    Json,
    Remedies,
    Seed,
    Settings,
)

# The trial is public: its split need not be secret, and so the same seed gives the same demo.
KEY = b"the International Stroke Trial is public"
# Fitted to five minutes on two cores; a real release takes the generator's own default.
EPOCHS = "epochs=15"
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="A folder to make. (default: demo-release/1, or the next free number)"),
]


def demo(
    *,
    out: Out = None,
    generator: Generator = DEFAULT_GENERATOR,
    settings: Settings = None,
    evaluated_rows: EvaluatedRows = None,
    remedies: Remedies = 0.0,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Release 30 columns of the International Stroke Trial (19,435 patients, bundled): some minutes.

    Whatever the gate says is shown; the exit code is 0 when the report was made.
    """
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.results import show_results
    from ehrsynth.conditions import Condition
    from ehrsynth.encoding import encode
    from ehrsynth.generators.recipes import parse_settings
    from ehrsynth.release.job import release
    from ehrsynth.tables import read_table
    from ehrsynth.tables.bundled import bundled

    trial = bundled("ist")
    schema = trial.demo_schema
    table = read_table(trial.path, schema)
    if trial.demo_where:
        table = table[Condition.parse(trial.demo_where, schema).mask(encode(table, schema))]
    out = _next_free(Path("demo-release")) if out is None else out
    given = settings or ([EPOCHS] if generator in {"tvae", "ctgan"} else [])
    # The trial is public: what left of it before needs no account.
    with drawn() as progress, TemporaryDirectory() as nowhere:
        made = release(
            table,
            schema,
            out,
            generator=generator,
            settings=parse_settings(given),
            evaluated_rows=evaluated_rows,
            remedy_seconds=remedies or 0.0,
            seed=seed,
            key=KEY,
            register=Path(nowhere) / "register.json",
            command="ehrsynth demo",
            progress=progress,
        )
    show_results(out / "internal" / "report.json", as_json=json)
    if not json:
        for reason in made.decision.reasons:
            typer.echo(f"  - {reason}")
        _where(out, released=made.decision.released)
        if not (made.decision.released or remedies):
            typer.echo("To look ten minutes for a small change that would pass: ehrsynth demo --remedies 600")


def _next_free(folder: Path) -> Path:
    number = 1
    while (folder / str(number)).exists():
        number += 1
    return folder / str(number)


def _where(out: Path, *, released: bool) -> None:
    if released:
        typer.echo(f"{out / 'share'} may leave; {out / 'internal'} may not.")
    else:
        typer.echo(f"There is no {out / 'share'}: a blocked release leaves nothing to pass on.")
