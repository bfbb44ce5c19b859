"""`ehrsynth schema`: propose a schema for a table, and check one."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.guard import guarded
from ehrsynth.cli.options import DataFile, Json, must_be_there

app = typer.Typer(
    help="Propose what a table means, or check it.", no_args_is_help=True, pretty_exceptions_enable=False
)
OutSchema = Annotated[Path, typer.Option("--out", "-o", help="The YAML file to write.")]
Given = Annotated[Path, typer.Argument(metavar="SCHEMA", exists=True, dir_okay=False)]
GivenData = Annotated[
    str | None,
    typer.Argument(metavar="[DATA]", help="A table to check as well.", callback=must_be_there),
]
Name = Annotated[str, typer.Option("--name", help="The schema's name. (default: the file's)")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")]
Metadata = Annotated[
    Path | None,
    typer.Option("--sdv", help="SDV's metadata (JSON): it wins over a guess.", exists=True, dir_okay=False),
]
OutMetadata = Annotated[Path, typer.Option("--out", "-o", help="The JSON file to write.")]


@app.command("infer")
@guarded
def infer(
    data: DataFile,
    out: OutSchema,
    *,
    sdv: Metadata = None,
    name: Name = "",
    force: Force = False,
    json: Json = False,
) -> None:
    """Propose a schema: each guess is marked `source: data`, with a comment to check it by."""
    from ehrsynth.cli.drawing import show_facts
    from ehrsynth.cli.places import must_be_new
    from ehrsynth.schema.sdv_metadata import load_sdv
    from ehrsynth.schema.yaml_files import save_schema
    from ehrsynth.tables.databases import located
    from ehrsynth.tables.infer import infer_schema

    must_be_new(out, force=force)
    name = name or located(data).name.rpartition("/")[2].partition(".")[0]
    known = None if sdv is None else load_sdv(sdv, name=name)
    schema, comments = infer_schema(data, name=name, known=known)
    save_schema(schema, out, comments=comments)
    facts: dict[str, object] = {"schema": str(out), "columns": len(schema.columns), "comments": len(comments)}
    facts["left_out"] = {c.name: c.reason for c in schema.left_out} if json else len(schema.left_out)
    show_facts(facts, as_json=json)
    if not json:
        for column in schema.left_out:
            typer.echo(f"  - {column.name!r} is left out: {column.reason}")


@app.command("check")
@guarded
def check(schema: Given, data: GivenData = None, *, json: Json = False) -> None:
    """Check a schema, and a table against it: every violation is listed by column and count."""
    from ehrsynth.cli.drawing import show_facts
    from ehrsynth.schema.yaml_files import load_schema

    meaning = load_schema(schema)
    facts: dict[str, object] = {"schema": str(schema), "columns": len(meaning.columns)}
    facts["constraints"] = len(meaning.constraints)
    facts["guessed_from_data"] = len(meaning.guessed())
    if data is not None:
        from ehrsynth.tables import read_table
        from ehrsynth.tables.databases import located

        facts |= {"table": str(located(data)), "patients": len(read_table(data, meaning)), "violations": 0}
    show_facts(facts, as_json=json)


@app.command("sdv")
@guarded
def sdv(schema: Given, out: OutMetadata, *, force: Force = False, json: Json = False) -> None:
    """Write a schema as SDV's metadata (JSON), for its tools. The way back: schema infer --sdv.

    Roles, units, rules, code systems, missing codes and sources are lost: the metadata has no place for them.
    """
    from ehrsynth.cli.drawing import show_facts
    from ehrsynth.cli.places import must_be_new
    from ehrsynth.schema.sdv_metadata import save_sdv
    from ehrsynth.schema.yaml_files import load_schema

    must_be_new(out, force=force)
    meaning = load_schema(schema)
    save_sdv(meaning, out)
    show_facts({"metadata": str(out), "columns": len(meaning.columns)}, as_json=json)
