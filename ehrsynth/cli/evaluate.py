"""`ehrsynth evaluate`: measure a synthetic table, whoever made it."""

from typing import Annotated

import typer

from ehrsynth.cli.options import (
    EvaluatedRows,
    Json,
    OutFolder,
    PolicyFile,
    SchemaFile,
    SecondOpinion,
    Seed,
    all_must_be_there,
    must_be_there,
)

Train = Annotated[
    str,
    typer.Option("--train", help="The patients that the generator learnt from.", callback=must_be_there),
]
Holdout = Annotated[
    str,
    typer.Option("--holdout", help="Patients of the same kind that it never saw.", callback=must_be_there),
]
Synthetic = Annotated[
    list[str],
    typer.Option(
        "--synthetic",
        help="The synthetic patients; repeat it for several copies of one generator.",
        callback=all_must_be_there,
    ),
]

Attempts = Annotated[
    int,
    typer.Option(
        "--attempts", min=1, help="How often these patients were tried, this time included; widens the bound."
    ),
]


def evaluate(
    train: Train,
    holdout: Holdout,
    synthetic: Synthetic,
    schema: SchemaFile,
    out: OutFolder,
    *,
    policy: PolicyFile = None,
    rows: EvaluatedRows = None,
    attempts: Attempts = 1,
    second_opinion: SecondOpinion = False,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Measure a synthetic table and say what the gate would; with --policy, a no ends with exit code 3."""
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.places import must_be_free
    from ehrsynth.cli.results import show_results
    from ehrsynth.errors import ReleaseBlocked
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.release.appraisal import appraise, write_appraisal
    from ehrsynth.release.policy import load_policy
    from ehrsynth.schema.yaml_files import load_schema
    from ehrsynth.tables import read_table

    must_be_free(out)
    meaning, limits = load_schema(schema), load_policy(policy)
    real, unseen, made, *copies = (read_table(file, meaning) for file in (train, holdout, *synthetic))
    seed = fresh_seed() if seed is None else seed
    with drawn() as progress:
        found = appraise(
            real,
            unseen,
            made,
            meaning,
            seed=seed,
            policy=limits,
            rows=rows,
            attempts=attempts,
            copies=copies,
            second_opinion=second_opinion,
            progress=progress,
        )
    write_appraisal(found, meaning, out)
    show_results(out / "report.json", as_json=json)
    if policy is not None and not found.decision.released:
        raise ReleaseBlocked(f"blocked: {found.decision.reasons[0]}", found.decision.reasons[1:])
