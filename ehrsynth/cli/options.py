"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_GENERATOR = "autoregressive"
DataFile = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A table with one row per patient: CSV (plain or .gz) or Parquet.",
        exists=True,
        dir_okay=False,
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
    typer.Option("--seed", min=0, help="Equal seeds give equal results. [default: a fresh one]"),
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
        "--delta", help="The chance that epsilon leaves out. [default, and most: 1 / (10 x public rows)]"
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
        help="Adds up what was learnt from a data set. [default: ehrsynth-register.json beside OUT]",
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
        "--policy", help="What a release must meet (YAML). [default: policy.yaml of ehrsynth]", exists=True
    ),
]
EvaluatedRows = Annotated[
    int | None,
    typer.Option(
        "--evaluated-rows", min=2, help="Measure on so many patients, drawn at random, where there are more."
    ),
]
