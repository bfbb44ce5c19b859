"""Options of `ehrsynth twins`."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


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
        help="An arm and its values; the first is the reference. (default: each value)",
        rich_help_panel=QUESTION,
    ),
]
Outcomes = Annotated[
    list[str] | None,
    typer.Option(
        "--outcome",
        metavar="COLUMN or NAME=EXPR",
        help="An outcome, or a yes or no over outcomes. (default: the role outcome)",
        rich_help_panel=QUESTION,
    ),
]
Covariates = Annotated[
    list[str] | None,
    typer.Option(
        "--covariate", help="A column with the role covariate. (default: all)", rich_help_panel=QUESTION
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by", help="A covariate whose groups are shown. (default: protected ones)", rich_help_panel=QUESTION
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
        help="Chance of an arm under randomisation. (default: the shares observed)",
        rich_help_panel=QUESTION,
    ),
]
DesignOption = Annotated[
    Design | None,
    typer.Option(
        "--design", help="(default: observational; randomised with --trial)", rich_help_panel=QUESTION
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
        help="Fit on one part of a randomised trial and hold the twins against the other: halves, or with "
        "--synthetic a third of whole sites.",
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
        help="A generator tried as outcome model; 'none' for none. (default: autoregressive)",
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


def _accept(name: str, what: str) -> Any:
    return typer.Option(f"--accept-{name}", help=f"Go on despite {what}.", rich_help_panel=OVERRIDES)


SmallArms = Annotated[bool, _accept("small-arms", "an arm of under 50 patients or 10 events")]
Overlap = Annotated[bool, _accept("overlap", "arms that hardly overlap")]
Imbalance = Annotated[bool, _accept("imbalance", "randomised arms that differ in covariates")]
Placebo = Annotated[bool, _accept("placebo", "a failed attempt to refute")]
Individual = Annotated[bool, _accept("individual-effects", "effects that do not beat a constant one")]
Outside = Annotated[bool, _accept("outside-support", "patients outside support")]
