"""`ehrsynth fit`: learn a table."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    AtMost,
    DataFile,
    Generator,
    Json,
    Scheduler,
    SchemaFile,
    Seed,
    Settings,
    Shards,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    TrainOnSynthetic,
    Unencrypted,
    Workers,
)

Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed", help="This is one of the processes that torchrun started to train a network."
    ),
]
OutModel = Annotated[Path, typer.Option("--out", "-o", help="The model folder to make.")]


def fit(
    data: DataFile,
    schema: SchemaFile,
    out: OutModel,
    *,
    generator: Generator = DEFAULT_GENERATOR,
    settings: Settings = None,
    shards: Shards = None,
    at_most: AtMost = None,
    seed: Seed = None,
    train_on_synthetic: TrainOnSynthetic = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca_file: TlsAuthority = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    unencrypted: Unencrypted = False,
    distributed: Distributed = False,
    json: Json = False,
) -> None:
    """Learn a table and save the model as a folder.

    A table that does not fit into memory is read piece by piece. A long fit that was killed goes on from
    what was learnt when it is given the same command again.
    """
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.engines import Cluster, engine
    from ehrsynth.cli.places import must_be_free
    from ehrsynth.generators.learning import Lesson, learn, learn_together
    from ehrsynth.generators.recipes import parse_settings, recipe, sharded
    from ehrsynth.schema.yaml_files import load_schema

    must_be_free(out)
    generator, given = sharded(generator, parse_settings(settings or []), shards)
    chosen = recipe(generator, given)
    lesson = Lesson(data, load_schema(schema), chosen, at_most, accepted=train_on_synthetic)
    asked = Cluster(scheduler, tls_ca_file, tls_cert, tls_key, unencrypted=unencrypted)
    with drawn() as progress, engine(asked, workers, 1):
        model, patients, seed = (learn_together if distributed else learn)(
            lesson, out, seed=seed, progress=progress
        )
    facts = {"model": str(out), "generator": generator, "patients": patients, "seed": seed}
    if model.decided:
        facts["decided"] = model.decided
    if model.coverage is not None:
        facts |= {"learnt_from": model.coverage.learnt_from, "how": model.coverage.how}
    show_facts(facts | {"settings": chosen.model_dump(mode="json")}, as_json=json)
