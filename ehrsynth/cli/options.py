"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_GENERATOR = "autoregressive"
TABLE_KINDS = "CSV (plain or .gz), Parquet, or a URL such as 'postgresql://reader@host/db?table=patients'"


def must_be_there(given: str | None) -> str | None:
    """A table to read: a file that exists, or a URL, which is looked at when it is read."""
    if given is not None and "://" not in given and not Path(given).is_file():
        what = "is a directory" if Path(given).is_dir() else "does not exist"
        raise typer.BadParameter(f"File {given!r} {what}.")
    return given


def all_must_be_there(given: list[str]) -> list[str]:
    """Several tables to read."""
    for each in given:
        must_be_there(each)
    return given


DataFile = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help=f"A table with one row per patient: {TABLE_KINDS}.", callback=must_be_there
    ),
]
SchemaFile = Annotated[
    Path,
    typer.Option("--schema", "-s", help="What the table means (YAML).", exists=True, dir_okay=False),
]
Generator = Annotated[
    str, typer.Option("--generator", "-g", help="Who learns the table: see `ehrsynth list generators`.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting of the generator, for instance epochs=20; repeatable."
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards",
        metavar="K",
        min=2,
        help="Learn K models, each of a part of the patients: to forget one, one model is learnt again.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Equal seeds give equal results. (default: a fresh one)"),
]
Remedies = Annotated[
    float | None,
    typer.Option(
        "--remedies",
        metavar="SECONDS",
        min=0,
        help="After a no of the attacks, look for so long for a small change that would pass; 0 does not.",
    ),
]
SecondOpinion = Annotated[
    bool,
    typer.Option(
        "--second-opinion", help="Also ask the package anonymeter about three of the risks (internal report)."
    ),
]
Epsilon = Annotated[
    float | None,
    typer.Option(
        "--epsilon", help="Learn under differential privacy: at most what one patient may change, above 0."
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        "--delta", help="The chance that epsilon leaves out. (default, and most: 1 / (10 x public rows))"
    ),
]
PublicRows = Annotated[
    int | None,
    typer.Option(
        "--public-rows",
        min=1,
        help="How many patients there are as far as everybody knows, where the schema does not say.",
    ),
]
Register = Annotated[
    Path | None,
    typer.Option(
        "--register",
        metavar="FILE",
        help="Adds up what was learnt and tried. (default: ehrsynth-register.json beside OUT)",
        dir_okay=False,
    ),
]
TrainOnSynthetic = Annotated[
    bool,
    typer.Option("--train-on-synthetic", help="Accept a table that is itself marked as synthetic."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="A folder to make; it must not exist yet.")]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy", help="What a release must meet (YAML). (default: policy.yaml of ehrsynth)", exists=True
    ),
]
EvaluatedRows = Annotated[
    int | None,
    typer.Option(
        "--evaluated-rows", min=2, help="Measure on so many patients, drawn at random, where there are more."
    ),
]
AtMost = Annotated[
    int | None,
    typer.Option(
        "--at-most",
        metavar="PATIENTS",
        min=2,
        help="Hold so many patients in memory: a longer Parquet file or database table is read in pieces, and"
        " what cannot be counted is learnt from a uniform subsample. (default: 6,000,000 cells)",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Processes of this machine to work on, 1 for this one alone. (default: by the size of the work)",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Work on the Dask cluster at this address, for instance tls://host:8786.",
    ),
]
TlsAuthority = Annotated[
    Path | None,
    typer.Option("--tls-ca-file", help="Who signed the scheduler's certificate (PEM).", exists=True),
]
TlsCertificate = Annotated[
    Path | None, typer.Option("--tls-cert", help="The certificate to show to it (PEM).", exists=True)
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="The certificate's key (PEM).", exists=True)]
Unencrypted = Annotated[
    bool,
    typer.Option("--unencrypted", help="Accept a scheduler on another machine without TLS."),
]
