"""`ehrsynth fit`: learn a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    AtMost,
    DataFile,
    Delta,
    Epsilon,
    Generator,
    Json,
    PolicyFile,
    PublicRows,
    Register,
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

if TYPE_CHECKING:
    from ehrsynth.generators.base import AbstractFitted

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
    epsilon: Epsilon = None,
    delta: Delta = None,
    public_rows: PublicRows = None,
    register: Register = None,
    policy: PolicyFile = None,
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

    With --epsilon it is learnt under differential privacy, and entered in the register of the data set. A
    --seed is for trying things out: who knows it can take the noise off again, and the model says so.
    """
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.engines import Cluster, engine
    from ehrsynth.cli.privacy import known_to_all, with_epsilon
    from ehrsynth.files import must_be_free
    from ehrsynth.generators.learning import Lesson, learn, learn_together
    from ehrsynth.generators.recipes import parse_settings, recipe, sharded
    from ehrsynth.release.books import Books
    from ehrsynth.release.model_record import ModelRecord
    from ehrsynth.release.policy import load_policy
    from ehrsynth.release.register import place_of

    must_be_free(out)
    given = with_epsilon(generator, parse_settings(settings or []), epsilon, delta)
    chosen = recipe(*sharded(generator, given, shards))
    meaning = known_to_all(schema, public_rows)
    books = Books(place_of(out, register), meaning, load_policy(policy))
    if chosen.asked is not None and seed is None:
        books.check(chosen, None, remedies=False)
        if begun := books.begun(private=True):
            typer.echo(begun, err=True)
    lesson = Lesson(data, meaning, chosen, at_most, accepted=train_on_synthetic)
    asked = Cluster(scheduler, tls_ca_file, tls_cert, tls_key, unencrypted=unencrypted)
    record = ModelRecord(books, chosen, out, accepted=train_on_synthetic, seeded=seed is not None)
    with drawn() as progress, engine(asked, workers, 1):
        model, patients, seed = (learn_together if distributed else learn)(
            lesson,
            out,
            seed=seed,
            witness=record,
            progress=progress,
        )
    counted = "patients" if meaning.rows_per_patient == 1 else "rows"
    facts = {"model": str(out), "generator": generator, "seed": seed}
    told = _told(model, record.composed, {counted: patients})
    show_facts(facts | told | {"settings": chosen.model_dump(mode="json")}, as_json=json)


def _told(model: "AbstractFitted", composed: float | None, counted: dict[str, object]) -> dict[str, object]:
    """What a model says of itself, and how many were learnt: under a guarantee that holds, it is a secret."""
    holds = model.privacy is not None and not model.privacy.void
    facts: dict[str, object] = {} if holds else {**counted}
    if model.decided:
        facts["decided"] = model.decided
    if model.coverage is not None:
        facts |= {"learnt_from": model.coverage.learnt_from, "how": model.coverage.how}
    if model.privacy is not None:
        facts |= {"guarantee": model.privacy.sentence, "epsilon_of_the_data_set": composed}
    return facts
