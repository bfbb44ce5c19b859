"""`ehrsynth twins`: what would have happened under another treatment, and when that cannot be said."""

import shlex
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    DataFile,
    Generator,
    Json,
    OutFolder,
    PolicyFile,
    SchemaFile,
    Seed,
    Settings,
    TrainOnSynthetic,
)

if TYPE_CHECKING:
    from ehrsynth.release.twins import Wanted
    from ehrsynth.twins.question import Request


class Design(Enum):
    """How patients came into their arms."""

    randomised = "randomised"
    observational = "observational"


class Estimand(Enum):
    """Whom an average effect is about."""

    all = "all"
    treated = "treated"
    untreated = "untreated"


class Censoring(Enum):
    """How patients whose follow-up ended before the horizon are accounted for."""

    ipcw = "ipcw"
    pseudo = "pseudo"


QUESTION, ANSWER, COHORT, OVERRIDES = "The question", "The answer", "The cohort", "Overrides of refusals"
Treatment = Annotated[
    str,
    typer.Option(
        "--treatment", help="The treatment, where the schema has several.", rich_help_panel=QUESTION
    ),
]
Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="NAME=VALUE,VALUE",
        help="An arm and its values; the first is the reference. [default: each value]",
        rich_help_panel=QUESTION,
    ),
]
Outcomes = Annotated[
    list[str] | None,
    typer.Option(
        "--outcome",
        metavar="COLUMN or NAME=EXPR",
        help="An outcome, or a yes or no over outcomes. [default: the role outcome]",
        rich_help_panel=QUESTION,
    ),
]
Covariates = Annotated[
    list[str] | None,
    typer.Option("--covariate", help="A covariate. [default: the role covariate]", rich_help_panel=QUESTION),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by", help="A covariate whose groups are shown. [default: protected ones]", rich_help_panel=QUESTION
    ),
]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--negative-control",
        help="A covariate that treatment cannot have changed: tried as an outcome.",
        rich_help_panel=QUESTION,
    ),
]
Probabilities = Annotated[
    list[str] | None,
    typer.Option(
        "--probability",
        metavar="ARM=SHARE",
        help="Chance of an arm under randomisation. [default: the shares observed]",
        rich_help_panel=QUESTION,
    ),
]
DesignOption = Annotated[
    Design | None,
    typer.Option(
        "--design", help="[default: observational; randomised with --trial]", rich_help_panel=QUESTION
    ),
]
EstimandOption = Annotated[
    Estimand, typer.Option("--estimand", help="Whom averages are about.", rich_help_panel=QUESTION)
]
Population = Annotated[
    str,
    typer.Option("--population", metavar="EXPR", help="A condition on covariates.", rich_help_panel=QUESTION),
]
Horizon = Annotated[
    float | None,
    typer.Option("--horizon", help="Also ask whether the event came by this time.", rich_help_panel=QUESTION),
]
Cause = Annotated[
    str,
    typer.Option("--cause", help="The event that counts, where events compete.", rich_help_panel=QUESTION),
]
CensoringOption = Annotated[
    Censoring,
    typer.Option("--censoring", help="For patients lost before the horizon.", rich_help_panel=QUESTION),
]
Trial = Annotated[
    bool,
    typer.Option(
        "--trial",
        help="Fit on half of a randomised trial and hold the twins against the other half.",
        rich_help_panel=ANSWER,
    ),
]
Level = Annotated[
    float, typer.Option("--level", min=0.5, max=0.999, help="Of all intervals.", rich_help_panel=ANSWER)
]
Permutations = Annotated[
    int, typer.Option("--permutations", min=100, help="Of each refuter.", rich_help_panel=ANSWER)
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="GENERATOR",
        help="A generator tried as outcome model; 'none' for none. [default: autoregressive]",
        rich_help_panel=ANSWER,
    ),
]
Target = Annotated[
    Path | None,
    typer.Option(
        "--target",
        help="Patients to whom averages are standardised and of whom twins are made.",
        exists=True,
        dir_okay=False,
        rich_help_panel=COHORT,
    ),
]
Synthetic = Annotated[
    int | None,
    typer.Option(
        "--synthetic",
        min=1,
        help="Twins of so many synthetic patients: only these may leave.",
        rich_help_panel=COHORT,
    ),
]
Draws = Annotated[
    int, typer.Option("--draws", min=1, max=10_000, help="Draws a patient and arm.", rich_help_panel=COHORT)
]
AverageOnly = Annotated[
    bool,
    typer.Option(
        "--no-individual-effects",
        help="Do not ask for effects of single patients: not having them is no refusal then.",
        rich_help_panel=ANSWER,
    ),
]
Epsilon = Annotated[
    float | None,
    typer.Option(
        "--epsilon", min=0.0, help="Differential privacy: not available for twins yet.", hidden=True
    ),
]


def _accept(name: str, what: str) -> Any:
    return typer.Option(f"--accept-{name}", help=f"Go on despite {what}.", rich_help_panel=OVERRIDES)


SmallArms = Annotated[bool, _accept("small-arms", "an arm of under 50 patients or 10 events")]
Overlap = Annotated[bool, _accept("overlap", "arms that hardly overlap")]
Imbalance = Annotated[bool, _accept("imbalance", "randomised arms that differ in covariates")]
Placebo = Annotated[bool, _accept("placebo", "a failed attempt to refute")]
Individual = Annotated[bool, _accept("individual-effects", "effects that do not beat a constant one")]
Outside = Annotated[bool, _accept("outside-support", "patients outside support")]


def twins(
    data: DataFile,
    schema: SchemaFile,
    out: OutFolder,
    *,
    treatment: Treatment = "",
    arm: Arms = None,
    outcome: Outcomes = None,
    covariate: Covariates = None,
    by: By = None,
    negative_control: Controls = None,
    design: DesignOption = None,
    probability: Probabilities = None,
    estimand: EstimandOption = Estimand.all,
    population: Population = "",
    horizon: Horizon = None,
    cause: Cause = "",
    censoring: CensoringOption = Censoring.ipcw,
    trial: Trial = False,
    level: Level = 0.9,
    permutations: Permutations = 1_000,
    model: Models = None,
    no_individual_effects: AverageOnly = False,
    target: Target = None,
    synthetic: Synthetic = None,
    generator: Generator = DEFAULT_GENERATOR,
    settings: Settings = None,
    draws: Draws = 100,
    accept_small_arms: SmallArms = False,
    accept_overlap: Overlap = False,
    accept_imbalance: Imbalance = False,
    accept_placebo: Placebo = False,
    accept_individual_effects: Individual = False,
    accept_outside_support: Outside = False,
    epsilon: Epsilon = None,
    policy: PolicyFile = None,
    seed: Seed = None,
    train_on_synthetic: TrainOnSynthetic = False,
    json: Json = False,
) -> None:
    """Average effects, twins of every patient in every arm, and a report that says what must be true.

    What cannot be answered is refused: exit code 3, with the reasons and the option that overrides each.
    Where some patients of a cohort lie outside support, the others are answered: exit code 0.
    """
    _run(dict(locals()))  # the options, by name


def _run(given: Mapping[str, Any]) -> None:
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.release.policy import load_policy
    from ehrsynth.release.twins import make_twins
    from ehrsynth.schema.yaml_files import load_schema
    from ehrsynth.tables.databases import without_passwords

    _check(given)
    with drawn() as progress:
        made = make_twins(
            given["data"],
            load_schema(given["schema"]),
            _request(given),
            given["out"],
            wanted=_wanted(given),
            seed=given["seed"],
            policy=load_policy(given["policy"]),
            train_on_synthetic=given["train_on_synthetic"],
            command=shlex.join(["ehrsynth", *without_passwords(sys.argv[1:])]),
            progress=progress,
        )
    _show(made.answer, given["out"], as_json=given["json"])
    made.raise_if_refused()


def _check(given: Mapping[str, Any]) -> None:
    from ehrsynth.errors import RequestError

    if given["epsilon"] is not None:
        raise RequestError(
            "twins have no private form yet: no outcome model here is inside the privacy ledger. Fit a"
            " private generator with `ehrsynth fit --epsilon` and sample from it, or leave --epsilon out"
        )
    if given["synthetic"] is not None and given["target"] is not None:
        raise RequestError("the cohort is either --target or --synthetic patients: leave one out")
    if given["trial"] and given["design"] is Design.observational:
        raise RequestError("--trial needs randomised arms: leave --design observational out, or --trial")


def _request(given: Mapping[str, Any]) -> "Request":
    from ehrsynth.twins.question import Request

    design = given["design"] or (Design.randomised if given["trial"] else Design.observational)
    arms = {name: tuple(v for v in values.split(",") if v) for name, values in _pairs(given["arm"], "--arm")}
    return Request(
        treatment=given["treatment"],
        arms=arms,
        outcomes=tuple(given["outcome"] or ()),
        covariates=tuple(given["covariate"] or ()),
        design=design.value,
        probabilities=_numbers(given["probability"]),
        estimand=given["estimand"].value,
        where=given["population"],
        by=tuple(given["by"] or ()),
        horizon=given["horizon"],
        cause=given["cause"],
        censoring=given["censoring"].value,
        negative_control=tuple(given["negative_control"] or ()),
    )


def _wanted(given: Mapping[str, Any]) -> "Wanted":
    from ehrsynth.generators.recipes import parse_settings
    from ehrsynth.release.twins import Wanted
    from ehrsynth.twins.refusals import NAMES
    from ehrsynth.twins.study import Options

    accepted = frozenset(name for name in NAMES if given[f"accept_{name.replace('-', '_')}"])
    options = Options(
        level=given["level"],
        repeats=given["permutations"],
        accepted=accepted,
        individual=not given["no_individual_effects"],
    )
    return Wanted(
        options=options,
        trial=given["trial"],
        target=given["target"],
        synthetic=given["synthetic"],
        generator=given["generator"],
        settings=parse_settings(given["settings"] or []),
        candidates=tuple(n for n in (given["model"] or [DEFAULT_GENERATOR]) if n != "none"),
        draws=given["draws"],
    )


def _pairs(texts: Iterable[str] | None, option: str) -> Iterable[tuple[str, str]]:
    from ehrsynth.errors import RequestError

    for text in texts or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise RequestError(f"{option} {text!r}: write NAME=VALUE")
        yield name.strip(), value.strip()


def _numbers(texts: Iterable[str] | None) -> dict[str, float]:
    from ehrsynth.errors import RequestError

    try:
        return {name: float(value) for name, value in _pairs(texts, "--probability")}
    except ValueError:
        raise RequestError("--probability: a share is a number, as in Y=0.5") from None


def _show(answer: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    """Averages and the trial check as two short tables, or everything as JSON."""
    from ehrsynth.cli.drawing import show_json, show_table
    from ehrsynth.report.results import plain

    if as_json:
        show_json(plain(answer))
        return
    typer.echo(f"{answer['verdict']}. The report: {out / 'internal' / 'report.html'}")
    for one in answer["refusals"]:
        if one["name"] == "outside-support":
            done = "given all the same" if one["overridden"] else "withheld"
            typer.echo(f"{one['reason']}: their numbers are {done}.")
    rows = [
        (
            o["outcome"],
            e["contrast"],
            e["group"],
            e["patients"],
            e["value"],
            f"{e['low']:.3f} to {e['high']:.3f}",
        )
        for o in answer["outcomes"]
        for e in o.get("average_effects", ())
    ]
    if rows:
        headers = ("outcome", "contrast", "group", "patients", "effect", f"{answer['level']:.0%} interval")
        show_table(headers, rows)
    for check in answer["trial_check"]:
        cells = [
            (
                "yes" if c["passed"] else "no",
                c["what"],
                c["arm"],
                c["group"],
                c["simulated"],
                c["randomised"]["value"],
            )
            for c in check["cells"]
        ]
        typer.echo(f"trial check, {check['outcome']}: {check['verdict']}")
        show_table(("", "number", "arm", "group", "simulated", "randomised"), cells)
    if answer["release"] is not None:
        typer.echo(answer["release"]["sentence"])
