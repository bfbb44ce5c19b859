"""`ehrsynth fit`: learn a table."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    DataFile,
    Generator,
    Json,
    SchemaFile,
    Seed,
    Settings,
    Shards,
    TrainOnSynthetic,
)

OutModel = Annotated[Path, typer.Option("--out", "-o", help="The model folder to make.")]


def fit(
    data: DataFile,
    schema: SchemaFile,
    out: OutModel,
    *,
    generator: Generator = DEFAULT_GENERATOR,
    settings: Settings = None,
    shards: Shards = None,
    seed: Seed = None,
    train_on_synthetic: TrainOnSynthetic = False,
    json: Json = False,
) -> None:
    """Learn a table and save the model as a folder."""
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.places import must_be_free
    from ehrsynth.generators.recipes import parse_settings, recipe, sharded
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.schema.yaml_files import load_schema
    from ehrsynth.tables import accept_synthetic, read_table

    must_be_free(out)
    generator, given = sharded(generator, parse_settings(settings or []), shards)
    chosen = recipe(generator, given)
    meaning = load_schema(schema)
    table = read_table(data, meaning)
    if train_on_synthetic:
        table = accept_synthetic(table)
    seed = fresh_seed() if seed is None else seed
    with drawn() as progress:
        model = chosen.fit(table, meaning, seed=seed, progress=progress)
    model.save(out)
    facts = {"model": str(out), "generator": generator, "patients": len(table), "seed": seed}
    if model.decided:
        facts["decided"] = model.decided
    show_facts(facts | {"settings": chosen.model_dump(mode="json")}, as_json=json)
