"""`ehrsynth rebalance`: is there a method that helps patients of small groups, and if so, do it."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ehrsynth.cli.options import DataFile, Json, OutFolder, SchemaFile, Seed
from ehrsynth.cli.pairs import pairs


class ClassGoal(Enum):
    """What becomes of the outcome's classes."""

    kept = "kept"
    equal = "equal"


class Learner(Enum):
    """Which model learns."""

    logistic_regression = "logistic_regression"
    boosted_trees = "boosted_trees"


Outcome = Annotated[
    str,
    typer.Option("--outcome", metavar="COLUMN", help="What is predicted. (default: the only role outcome)"),
]
Event = Annotated[
    str,
    typer.Option(
        "--event",
        metavar="EXPR",
        help='When it happened, for instance \'OCCODE in ("1", "2")\'. (default: true, or the second value)',
    ),
]
Protected = Annotated[
    list[str] | None,
    typer.Option(
        "--protected",
        metavar="COLUMN",
        help="Its values make groups, several columns intersections; repeatable. (default: role protected)",
    ),
]
Bands = Annotated[
    list[str] | None,
    typer.Option(
        "--bands", metavar="COLUMN=CUT,CUT", help="Where a protected number is cut. (default: thirds)"
    ),
]
NamedGroups = Annotated[
    list[str] | None,
    typer.Option(
        "--group", metavar="NAME=EXPR", help="A group of your own, for instance 'old=age >= 85'; repeatable."
    ),
]
Everyone = Annotated[
    bool,
    typer.Option("--everyone", help="All patients are one group: rebalance the outcome's classes alone."),
]
GroupCounts = Annotated[
    list[str] | None,
    typer.Option(
        "--count",
        metavar="GROUP=N",
        help="Goal: so many patients of a group; repeatable. (default: equal groups)",
    ),
]
PopulationFile = Annotated[
    Path | None,
    typer.Option(
        "--population",
        help="Goal: a target population: YAML, SEX: {F: 52, M: 48}, or CSV, margin,cell,share.",
        exists=True,
        dir_okay=False,
    ),
]
Classes = Annotated[
    ClassGoal,
    typer.Option("--classes", help="In each group: keep the share of events, or as many with as without."),
]
Predictors = Annotated[
    list[str] | None,
    typer.Option(
        "--predictors", metavar="COLUMN", help="Predict from this; repeatable. (default: the covariates)"
    ),
]
LearnerName = Annotated[Learner, typer.Option("--learner", help="Which model learns.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        metavar="METHOD",
        help="Try this: smote, 'recalibration of=smote' ...; repeatable. (default: all quick ones)",
    ),
]
Everything = Annotated[
    bool, typer.Option("--all", help="Try every method and every generator, slow ones too: hours.")
]
SplitCount = Annotated[
    int | None, typer.Option("--splits", min=2, help="Repeated splits. (default: the protocol's 12)")
]
Apply = Annotated[
    str | None,
    typer.Option("--apply", metavar="METHOD", help="Treat the table with this, whatever the verdict says."),
]
GroupThresholds = Annotated[
    bool,
    typer.Option(
        "--allow-group-thresholds",
        help="Try a threshold for each group, too: it treats equal risks differently, which can be unlawful.",
    ),
]
LeaveOutSmall = Annotated[
    bool,
    typer.Option(
        "--leave-out-small", help="Leave groups of too few patients as they are, instead of refusing."
    ),
]


def rebalance(
    data: DataFile,
    schema: SchemaFile,
    out: OutFolder,
    *,
    outcome: Outcome = "",
    event: Event = "",
    protected: Protected = None,
    bands: Bands = None,
    group: NamedGroups = None,
    everyone: Everyone = False,
    count: GroupCounts = None,
    population: PopulationFile = None,
    classes: Classes = ClassGoal.kept,
    predictors: Predictors = None,
    learner: LearnerName = Learner.logistic_regression,
    method: Methods = None,
    everything: Everything = False,
    splits: SplitCount = None,
    apply: Apply = None,
    allow_group_thresholds: GroupThresholds = False,
    leave_out_small: LeaveOutSmall = False,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Try methods for groups of few patients on real held-out patients; recommend one, or none.

    OUT gets report.html, report.json and the treatment. "Do not rebalance" ends with exit code 3 and its
    reasons, unless --apply names a method.
    """
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.files import must_be_free
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.rebalance.job import rebalance as run
    from ehrsynth.rebalance.wishes import Wishes
    from ehrsynth.report.rebalancing import write_rebalancing
    from ehrsynth.schema.yaml_files import load_schema
    from ehrsynth.tables import read_table

    must_be_free(out)
    meaning, seed = load_schema(schema), fresh_seed() if seed is None else seed
    wishes = Wishes(
        outcome=outcome,
        event=event,
        protected=tuple(protected or ()),
        bands={name: cuts.split(",") for name, cuts in pairs(bands, "--bands", "AGE=60,75").items()},
        groups=pairs(group, "--group", "'old=age >= 85'"),
        everyone=everyone,
        counts=_counts(count),
        population=_population(population),
        classes=classes.value,
        predictors=tuple(predictors or ()),
        learner=learner.value,
        group_thresholds=allow_group_thresholds,
        leave_out_small=leave_out_small,
    )
    table = read_table(data, meaning)
    tried = _tried(method, everything=everything, thresholds=allow_group_thresholds)
    with drawn() as report:
        found = run(
            table, meaning, wishes, methods=tried, splits=splits, apply=apply, seed=seed, progress=report
        )
    told = write_rebalancing(found, out)
    _end(told, out, as_json=json, applied=apply is not None)


def _tried(named: Sequence[str] | None, *, everything: bool, thresholds: bool) -> Sequence[str] | None:
    from ehrsynth.rebalance.methods import every

    return every(thresholds=thresholds) if everything else named


def _end(told: dict[str, Any], out: Path, *, as_json: bool, applied: bool) -> None:
    """Show what was found; a no ends as one unless a method was applied all the same."""
    from ehrsynth.errors import Refused

    _show(told, out, as_json=as_json)
    if told["recommended"] is None and not applied:
        raise Refused(told["sentence"], [*told["reasons"], *told["instead"]])


def _population(file: Path | None) -> dict[str, dict[str, float]] | None:
    from ehrsynth.rebalance.population import read_population

    return None if file is None else read_population(file)


def _counts(words: Sequence[str] | None) -> dict[str, int]:
    return {name: _whole(name, n) for name, n in pairs(words, "--count", "old=1000", last=True).items()}


def _whole(name: str, text: str) -> int:
    from ehrsynth.errors import RequestError

    try:
        return int(text)
    except ValueError:
        raise RequestError(f"--count {name}={text}: a count is a whole number") from None


def _show(told: dict[str, Any], out: Path, *, as_json: bool) -> None:
    from ehrsynth.cli.drawing import show_json, show_table

    if as_json:
        show_json(told)
        return
    typer.echo(f"{told['sentence']} The report: {out / 'report.html'}")
    typer.echo(told["error_rates"])
    for group in told["plan"]["helped"]:
        by_method = {name: by[group] for name, by in told["methods"].items()}
        best_first = sorted(by_method, key=lambda name: -(by_method[name]["auroc"]["value"] or 0.0))
        rows = [
            (
                name,
                by_method[name]["auroc"]["value"],
                _interval(by_method[name]["auroc"]["difference"]),
                by_method[name]["brier"]["value"],
            )
            for name in best_first
        ]
        show_table((group, "AUROC", "against none", "Brier"), rows)
    for name, why in told["failed"].items():
        typer.echo(f"not judged: {name}: {why}")
    for sentence in (*told["worth"].values(), *told["warnings"]):
        typer.echo(sentence)


def _interval(difference: dict[str, float] | None) -> str | None:
    if difference is None:
        return None
    return f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
