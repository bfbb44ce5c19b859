"""`ehrsynth fit`: learn a table."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    DataFile,
    Delta,
    Epsilon,
    Generator,
    Json,
    PolicyFile,
    PublicRows,
    Register,
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
    epsilon: Epsilon = None,
    delta: Delta = None,
    public_rows: PublicRows = None,
    register: Register = None,
    policy: PolicyFile = None,
    seed: Seed = None,
    train_on_synthetic: TrainOnSynthetic = False,
    json: Json = False,
) -> None:
    """Learn a table and save the model as a folder.

    With --epsilon it is learnt under differential privacy, and entered in the register of the data set. A
    --seed is for trying things out: who knows it can take the noise off again, and the model says so.
    """
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.places import must_be_free
    from ehrsynth.cli.privacy import known_to_all, with_epsilon
    from ehrsynth.generators.recipes import parse_settings, recipe, sharded
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.release.books import Books
    from ehrsynth.release.policy import load_policy
    from ehrsynth.release.register import place_of
    from ehrsynth.schema.yaml_files import load_schema
    from ehrsynth.tables import accept_synthetic, read_table

    must_be_free(out)
    given = with_epsilon(generator, parse_settings(settings or []), epsilon, delta)
    chosen = recipe(*sharded(generator, given, shards))
    meaning = known_to_all(load_schema(schema), public_rows)
    books = Books(place_of(out, register), meaning, load_policy(policy))
    if chosen.asked is not None and seed is None:
        books.check(chosen, None, remedies=False)
    table = read_table(data, meaning)
    if train_on_synthetic:
        table = accept_synthetic(table)
    if chosen.asked is None and seed is None:
        seed = fresh_seed()
    with drawn() as progress:
        model = chosen.fit(table, meaning, seed=seed, progress=progress)
    composed = books.enter_model(out, model)
    model.save(out)
    facts = {"model": str(out), "generator": generator, "patients": len(table), "seed": seed}
    if model.decided:
        facts["decided"] = model.decided
    if model.privacy is not None:
        facts["guarantee"] = model.privacy.sentence
        facts["epsilon_of_the_data_set"] = composed
    show_facts(facts | {"settings": chosen.model_dump(mode="json")}, as_json=json)
