"""`ehrsynth release`: the whole job, from a table to two folders, or to a no with its reasons."""

from typing import TYPE_CHECKING, Annotated

import typer

from ehrsynth.cli.command_line import command_line
from ehrsynth.cli.drawing import drawn
from ehrsynth.cli.engines import Cluster, engine
from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    DataFile,
    Delta,
    Epsilon,
    EvaluatedRows,
    Generator,
    Json,
    OutFolder,
    PolicyFile,
    PublicRows,
    Register,
    Remedies,
    Scheduler,
    SchemaFile,
    SecondOpinion,
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
    from ehrsynth.release.job import ReleaseResult

Rows = Annotated[
    int | None,
    typer.Option("--rows", "-n", min=1, help="Synthetic patients. (default: as many as were learnt from)"),
]
Copies = Annotated[
    int,
    typer.Option(
        "--copies",
        min=1,
        help="Synthetic tables drawn from the one model; the attacks look at all of them together.",
    ),
]
SplitKey = Annotated[
    str | None,
    typer.Option(
        "--split-key",
        metavar="HEX",
        help="With --seed, makes an earlier release again: both stand in its internal/manifest.json."
        " (default: that of the earlier releases of this data set, else a fresh one)",
    ),
]
AtMost = Annotated[
    int | None,
    typer.Option(
        "--at-most",
        metavar="PATIENTS",
        min=2,
        help="Of a longer Parquet file or database table take a uniform subsample of so many patients.",
    ),
]
IndexDate = Annotated[
    str | None,
    typer.Option(
        "--index-date",
        metavar="COLUMN",
        help="Count the other dates in days from this one. (default: every date becomes its year)",
    ),
]

_LOOKED_FOR = 600.0  # seconds


def release(
    data: DataFile,
    schema: SchemaFile,
    out: OutFolder,
    *,
    generator: Generator = DEFAULT_GENERATOR,
    settings: Settings = None,
    shards: Shards = None,
    epsilon: Epsilon = None,
    delta: Delta = None,
    public_rows: PublicRows = None,
    register: Register = None,
    policy: PolicyFile = None,
    rows: Rows = None,
    copies: Copies = 1,
    evaluated_rows: EvaluatedRows = None,
    seed: Seed = None,
    split_key: SplitKey = None,
    remedies: Remedies = None,
    second_opinion: SecondOpinion = False,
    train_on_synthetic: TrainOnSynthetic = False,
    at_most: AtMost = None,
    index_date: IndexDate = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca_file: TlsAuthority = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    unencrypted: Unencrypted = False,
    json: Json = False,
) -> None:
    """Check, split, learn, sample, evaluate, decide: OUT/share may leave, OUT/internal may not.

    A no ends with exit code 3 and its reasons, and there is no OUT/share. Of a table that is longer than
    --at-most a uniform subsample is learnt and measured, and the report says of how many. With --epsilon the
    patients are learnt under differential privacy, and OUT/share holds nothing else measured on them.
    """
    from ehrsynth.cli.privacy import known_to_all
    from ehrsynth.release.job import release as make_release
    from ehrsynth.release.policy import load_policy

    chosen, given = _recipe(generator, settings, shards, (epsilon, delta))
    asked = Cluster(scheduler, tls_ca_file, tls_cert, tls_key, unencrypted=unencrypted)
    with drawn() as progress, engine(asked, workers, 1):
        made = make_release(
            data,
            known_to_all(schema, public_rows),
            out,
            generator=chosen,
            settings=given,
            rows=rows,
            copies=copies,
            seed=seed,
            key=_bytes(split_key),
            policy=load_policy(policy),
            evaluated_rows=evaluated_rows,
            remedy_seconds=_looked_for(remedies, given.get("epsilon")),
            second_opinion=second_opinion,
            train_on_synthetic=train_on_synthetic,
            at_most=at_most,
            index_date=index_date,
            register=register,
            command=command_line(),
            progress=progress,
        )
    _told(made, as_json=json)


def _recipe(
    generator: str,
    settings: Settings,
    shards: int | None,
    private: tuple[float | None, float | None],
) -> tuple[str, dict[str, object]]:
    """Who learns, and with which settings."""
    from ehrsynth.cli.privacy import with_epsilon
    from ehrsynth.generators.recipes import parse_settings, sharded

    return sharded(generator, with_epsilon(generator, parse_settings(settings or []), *private), shards)


def _told(made: "ReleaseResult", *, as_json: bool) -> None:
    """The results, and a no as an error."""
    from ehrsynth.cli.results import show_results

    if made.note:
        typer.echo(made.note, err=True)
    if made.decision.released or as_json:
        show_results(made.folder / "internal" / "report.json", as_json=as_json)
    made.raise_if_blocked()


def _looked_for(remedies: float | None, epsilon: object) -> float:
    """Seconds for remedies. Every remedy looks at the patients again: under an epsilon none is looked for."""
    return remedies if remedies is not None else 0.0 if epsilon else _LOOKED_FOR


def _bytes(split_key: str | None) -> bytes | None:
    try:
        return None if split_key is None else bytes.fromhex(split_key)
    except ValueError:
        raise typer.BadParameter("give hexadecimal digits", param_hint="--split-key") from None
