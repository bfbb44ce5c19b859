"""`ehrsynth twins`: what would have happened under another treatment, and when that cannot be said."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ehrsynth.cli.command_line import command_line
from ehrsynth.cli.options import (
    DEFAULT_GENERATOR,
    DataFile,
    Delta,
    Epsilon,
    Generator,
    Json,
    OutFolder,
    PolicyFile,
    PublicRows,
    Register,
    SchemaFile,
    Seed,
    Settings,
    TrainOnSynthetic,
)
from ehrsynth.cli.pairs import pairs
from ehrsynth.cli.twin_options import (
    Arms,
    AverageOnly,
    By,
    Cause,
    Censoring,
    CensoringOption,
    Controls,
    Covariates,
    Design,
    DesignOption,
    Draws,
    Estimand,
    EstimandOption,
    Horizon,
    Imbalance,
    Individual,
    Level,
    Models,
    Outcomes,
    Outside,
    Overlap,
    Permutations,
    Placebo,
    Population,
    Probabilities,
    SmallArms,
    Synthetic,
    Target,
    Treatment,
    Trial,
)

if TYPE_CHECKING:
    from ehrsynth.progress import Progress
    from ehrsynth.release.private_twins import PrivateWanted
    from ehrsynth.release.twin_request import Wanted
    from ehrsynth.release.twins import TwinsResult
    from ehrsynth.twins.question import Request


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
    delta: Delta = None,
    public_rows: PublicRows = None,
    register: Register = None,
    policy: PolicyFile = None,
    seed: Seed = None,
    train_on_synthetic: TrainOnSynthetic = False,
    json: Json = False,
) -> None:
    """Average effects, twins of every patient in every arm, and a report that says what must be true.

    What cannot be answered is refused: exit code 3, with the reasons and the option that overrides each.
    Where some patients of a cohort lie outside support, the others are answered: exit code 0. With --epsilon
    one private model makes --synthetic patients and their outcomes in every arm; effects have no interval.
    """
    _run(dict(locals()))  # the options, by name


def _run(given: Mapping[str, Any]) -> None:
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.twin_results import show_twins

    _check(given)
    with drawn() as progress:
        made = _private(given, progress) if given["epsilon"] is not None else _made(given, progress)
    show_twins(made.answer, given["out"], as_json=given["json"])
    made.raise_if_refused()


def _made(given: Mapping[str, Any], progress: "Progress") -> "TwinsResult":
    from ehrsynth.release.policy import load_policy
    from ehrsynth.release.twins import make_twins
    from ehrsynth.schema.yaml_files import load_schema

    return make_twins(
        given["data"],
        load_schema(given["schema"]),
        _request(given),
        given["out"],
        wanted=_wanted(given),
        seed=given["seed"],
        policy=load_policy(given["policy"]),
        register=given["register"],
        train_on_synthetic=given["train_on_synthetic"],
        command=command_line(),
        progress=progress,
    )


def _private(given: Mapping[str, Any], progress: "Progress") -> "TwinsResult":
    from ehrsynth.cli.privacy import known_to_all
    from ehrsynth.release.policy import load_policy
    from ehrsynth.release.private_twins import make_private_twins

    return make_private_twins(
        given["data"],
        known_to_all(given["schema"], given["public_rows"]),
        _request(given),
        given["out"],
        wanted=_private_wanted(given),
        seed=given["seed"],
        policy=load_policy(given["policy"]),
        register=given["register"],
        train_on_synthetic=given["train_on_synthetic"],
        command=command_line(),
        progress=progress,
    )


def _check(given: Mapping[str, Any]) -> None:
    from ehrsynth.errors import RequestError

    if given["epsilon"] is not None:
        _check_private(given)
    elif lost := [f"--{n.replace('_', '-')}" for n in ("delta", "public_rows") if given[n]]:
        raise RequestError(f"{' and '.join(lost)} means nothing without --epsilon")
    elif given["register"] and given["synthetic"] is None:
        raise RequestError("--register means nothing without --synthetic: twins of real patients stay inside")
    if given["synthetic"] is not None and given["target"] is not None:
        raise RequestError("the cohort is either --target or --synthetic patients: leave one out")
    if given["trial"] and given["design"] is Design.observational:
        raise RequestError("--trial needs randomised arms: leave --design observational out, or --trial")


def _check_private(given: Mapping[str, Any]) -> None:
    """What does not go with an epsilon, said at once."""
    from ehrsynth.errors import RequestError

    if given["synthetic"] is None:
        raise RequestError(
            "--epsilon needs --synthetic N: twins of real patients hold these patients' own values, and no"
            " noise makes them private"
        )
    names = ["trial", "model", "target", "no_individual_effects", "by", "probability"]
    names += [name for name in given if name.startswith("accept_")]
    measured = [f"--{name.replace('_', '-')}" for name in names if given[name]]
    if measured:
        raise RequestError(
            "under --epsilon nothing is measured on real patients that could be told, refused or compared:"
            f" leave out {' and '.join(measured)}"
        )


def _request(given: Mapping[str, Any]) -> "Request":
    from ehrsynth.twins.question import Request

    design = given["design"] or (Design.randomised if given["trial"] else Design.observational)
    named = pairs(given["arm"], "--arm", "none=N")
    arms = {name: tuple(v for v in values.split(",") if v) for name, values in named.items()}
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
    from ehrsynth.release.twin_request import Wanted
    from ehrsynth.twins.options import Options
    from ehrsynth.twins.refusals import NAMES

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


def _private_wanted(given: Mapping[str, Any]) -> "PrivateWanted":
    from ehrsynth.cli.privacy import with_epsilon
    from ehrsynth.generators.recipes import parse_settings
    from ehrsynth.release.private_twins import PrivateWanted

    settings = parse_settings(given["settings"] or [])
    return PrivateWanted(
        synthetic=given["synthetic"],
        settings=with_epsilon(given["generator"], settings, given["epsilon"], given["delta"]),
        generator=given["generator"],
        draws=given["draws"],
        level=given["level"],
    )


def _numbers(texts: Iterable[str] | None) -> dict[str, float]:
    from ehrsynth.errors import RequestError

    try:
        given = pairs(texts, "--probability", "Y=0.5")
        return {name: float(value) for name, value in given.items()}
    except ValueError:
        raise RequestError("--probability: a share is a number, as in Y=0.5") from None
