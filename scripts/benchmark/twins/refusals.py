"""How often refusals and the trial check err, both ways, in simulated studies whose truth is known."""

import argparse
import datetime as dt
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.statistics import wilson
from ehrsynth.tables.values import from_values
from ehrsynth.twins.average import average, study_population
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.evidence import evidence
from ehrsynth.twins.fitting import Crosswise, fit_crosswise
from ehrsynth.twins.model import TwinModel
from ehrsynth.twins.options import Options
from ehrsynth.twins.overlap import Supported, overlap
from ehrsynth.twins.patients import Patients, covariates_of, patients_of
from ehrsynth.twins.propensity import lowest_chance
from ehrsynth.twins.question import Question, Request, ask
from ehrsynth.twins.refusals import imbalance, poor_overlap, small_arms
from ehrsynth.twins.refutation import refute
from ehrsynth.twins.trial_run import predicted, trial_check
from twins.writing import head, kept, paragraph, table, write

RATES = Path(__file__).parents[3] / "ehrsynth" / "twins" / "error_rates.yaml"
RUNS, REPEATS = 200, 300
SETTINGS = f"linear and boosted; {REPEATS} permutations"
QUICK = Candidates(bases=("linear", "boosted"), crossed=("linear",), robust=("linear",))
COVARIATES = 6
RIGHT, MISTAKE = "right", "a mistake"


class World(NamedTuple):
    """How a simulated study is made. All slopes are per standard deviation of the first covariate.

    `late` adds to the last covariate what treatment does to it; `hidden` is a cause of both treatment and
    outcome that leaves its trace in the negative control.
    """

    patients: int = 600
    effect: float = 0.5
    slope: float = 0.0
    confounding: float = 0.5
    randomised: bool = False
    late: float = 0.0
    hidden: float = 0.0
    curve: float = 0.0


def schema_of() -> Schema:
    """Six numbers, a negative control, a site, a treatment and an outcome."""
    number = {"kind": "number", "minimum": -60, "maximum": 60, "decimals": 3}
    covariates = [{"name": f"x{k}", **number, "roles": ("covariate",)} for k in range(COVARIATES)]
    return Schema(
        name="simulated",
        citation="simulated",
        columns=(
            *covariates,
            {"name": "control", **number, "roles": ("covariate",)},
            {"name": "group", "kind": "category", "values": ("a", "b"), "roles": ("covariate", "protected")},
            {"name": "t", "kind": "boolean", "roles": ("treatment",)},
            {"name": "y", **number, "roles": ("outcome",)},
        ),
    )


def simulate(world: World, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """A table, the true chance of treatment, and the true effect of each patient."""
    rng, n = numpy_generator(seed, "refusals"), world.patients
    x, hidden, group = rng.normal(size=(n, COVARIATES)), rng.normal(size=n), rng.integers(0, 2, n)
    odds = 0.0 if world.randomised else world.confounding * (x[:, 0] + 0.5 * x[:, 1]) + world.hidden * hidden
    chance = 1 / (1 + np.exp(-(odds + np.zeros(n))))
    treated = rng.random(n) < chance
    gain = world.effect + world.slope * x[:, 0]
    base = x[:, 0] + x[:, 2] + 0.5 * group + world.curve * x[:, 0] ** 2 + world.hidden * hidden
    late = x.copy()
    late[:, -1] += world.late * treated
    values = {f"x{k}": np.round(late[:, k], 3) for k in range(COVARIATES)}
    values |= {
        "control": np.round(0.8 * hidden + 0.6 * rng.normal(size=n), 3),
        "group": group.astype(float),
        "t": treated.astype(float),
        "y": np.round(base + gain * treated + rng.normal(size=n), 3),
    }
    return from_values(values, schema_of()), chance, gain


def fitted(world: World, seed: int, request: Request) -> tuple[Patients, Question, Crosswise]:
    """A study's patients, its question and its models."""
    table_, _, _ = simulate(world, seed)
    question = ask(request, schema_of())
    patients = patients_of(table_, question)
    return patients, question, fit_crosswise(patients, question, "y", candidates=QUICK, seed=seed)


def _request(world: World, **more: Any) -> Request:
    return Request(design="randomised" if world.randomised else "observational", **more)


def overlap_refused(world: World, seed: int) -> bool:
    """Whether overlap is refused."""
    patients, question, found = fitted(world, seed, _request(world))
    lowest = lowest_chance(len(patients))
    supported = Supported(patients.covariates, patients.arm, 2, lowest=lowest, seed=seed)
    outside = supported.of(patients.covariates, found.said.chances).outside
    population = study_population(patients, found.said.chances, ~outside, "all")
    described = overlap(
        patients.covariates, patients.arm, found.said.chances, population, outside=outside, lowest=lowest
    )
    return any(poor_overlap(described, question))


def individual_refused(world: World, seed: int) -> bool:
    """Whether effects of single patients are refused."""
    patients, _, found = fitted(world, seed, _request(world))
    return not evidence(found, patients).individual


def placebo_refused(world: World, seed: int) -> bool:
    """Whether a refuter fails, with the negative control."""
    table_, _, _ = simulate(world, seed)
    question = ask(_request(world, negative_control=("control",)), schema_of())
    patients = patients_of(table_, question)
    found = fit_crosswise(patients, question, "y", candidates=QUICK, seed=seed)
    control = table_["control"].to_numpy(float)[patients.rows]
    refuters = refute(
        found,
        patients,
        randomised=question.randomised,
        controls=(("control", control),),
        inside=np.ones(len(patients), bool),
        seed=seed,
        repeats=REPEATS,
    )
    return any(one.failed for one in refuters)


def imbalance_refused(world: World, seed: int) -> bool:
    """Whether randomised arms are called unlike."""
    table_, _, _ = simulate(world, seed)
    question = ask(_request(world), schema_of())
    return any(imbalance(patients_of(table_, question), question))


def small_refused(world: World, seed: int) -> bool:
    """Whether arms are called too small."""
    table_, _, _ = simulate(world, seed)
    question = ask(_request(world), schema_of())
    return any(small_arms(patients_of(table_, question), question, "y"))


def small_missed(world: World, seed: int) -> bool:
    """Whether the 90 % interval of so small a study misses the truth: why small arms are refused."""
    _, _, gain = simulate(world, seed)
    patients, _, found = fitted(world, seed, _request(world))
    population = study_population(patients, found.said.chances, np.ones(len(patients), bool), "all")
    effect = average(found, patients, population).contrast(1, 0.9)
    return not effect.low <= gain.mean() <= effect.high


def support_refused(world: World, seed: int, *, away: float) -> float:
    """The share of new patients of whom nothing is said; `away` moves them in two covariates."""
    patients, question, found = fitted(world, seed, _request(world))
    fresh, _, _ = simulate(world._replace(patients=200), seed + 10**6)
    for name in ("x2", "x3"):
        fresh[name] = fresh[name] + away
    rows = covariates_of(fresh, question.covariate_schema)
    chances = np.mean([said.chances for said in found.by_fold(rows)], axis=0)
    supported = Supported(
        patients.covariates, patients.arm, 2, lowest=lowest_chance(len(patients)), seed=seed
    )
    return float(supported.of(rows, chances).outside.mean())


def unconditioned(model: TwinModel, rows: Matrix) -> np.ndarray:
    """The mean outcome for everybody."""
    return np.full((len(rows), 2), float(model.fitted.target.values.mean()))


def without_effect(model: TwinModel, rows: Matrix) -> np.ndarray:
    """No difference between the arms."""
    return np.tile(predicted(model, rows).mean(axis=1, keepdims=True), (1, 2))


def check_failed(
    world: World, seed: int, simulate_by: Callable[[TwinModel, Matrix], np.ndarray] | None = None
) -> bool:
    """Whether the trial check fails."""
    table_, _, _ = simulate(world, seed)
    question = ask(_request(world, by=("group", "x0")), schema_of())
    checks = trial_check(table_, question, options=Options(candidates=QUICK), simulate=simulate_by, seed=seed)
    return any(not check.passed for check in checks)


class Case(NamedTuple):
    """One kind of study: which refusal, what is simulated, what a refusal then is, and what is asked."""

    refusal: str
    what: str
    refusing: str
    ask: Callable[..., bool | float]
    world: World


TRIAL = World(patients=1_200, randomised=True, effect=0.0)
CASES = {
    "overlap, good": Case(
        "overlap", "chances of 0.2 to 0.8 for nearly all", MISTAKE, overlap_refused, World(confounding=0.5)
    ),
    "overlap, none": Case(
        "overlap",
        "four in ten patients with a chance below 0.01 of some arm",
        RIGHT,
        overlap_refused,
        World(confounding=6.0),
    ),
    "individual, constant": Case(
        "individual-effects", "the same effect for all", RIGHT, individual_refused, World()
    ),
    "individual, differing": Case(
        "individual-effects",
        "effects that differ by 0.7 of the outcome's noise",
        MISTAKE,
        individual_refused,
        World(slope=0.7),
    ),
    "placebo, fine": Case("placebo", "every confounder measured", MISTAKE, placebo_refused, World()),
    "placebo, hidden": Case(
        "placebo",
        "a hidden confounder that marks the negative control",
        RIGHT,
        placebo_refused,
        World(hidden=1.0),
    ),
    "imbalance, fine": Case(
        "imbalance", "arms randomised", MISTAKE, imbalance_refused, World(randomised=True)
    ),
    "imbalance, late": Case(
        "imbalance",
        "a covariate that treatment moved by 0.5 of its spread",
        RIGHT,
        imbalance_refused,
        World(randomised=True, late=0.5),
    ),
    "small, fine": Case(
        "small-arms", "arms of about 75 patients", MISTAKE, small_refused, World(patients=150)
    ),
    "small, small": Case("small-arms", "arms of about 35 patients", RIGHT, small_refused, World(patients=70)),
    "support, fine": Case(
        "outside-support",
        "patients of the same population (share of patients)",
        MISTAKE,
        partial(support_refused, away=0.0),
        World(),
    ),
    "support, away": Case(
        "outside-support",
        "patients moved by 6 spreads in two covariates (share of patients)",
        RIGHT,
        partial(support_refused, away=6.0),
        World(),
    ),
    "check, nil": Case("trial-check", "twins of a trial without an effect", MISTAKE, check_failed, TRIAL),
    "check, effect": Case(
        "trial-check",
        "twins of a trial whose effect differs between patients",
        MISTAKE,
        check_failed,
        TRIAL._replace(effect=0.5, slope=0.5),
    ),
    "check, unconditioned": Case(
        "trial-check",
        "outcomes that know nothing of the patient",
        RIGHT,
        partial(check_failed, simulate_by=unconditioned),
        TRIAL,
    ),
    "check, no effect": Case(
        "trial-check",
        "twins without the trial's effect of 0.5 of the noise",
        RIGHT,
        partial(check_failed, simulate_by=without_effect),
        TRIAL._replace(effect=0.5),
    ),
}
BESIDE = {
    "small, interval": Case(
        "",
        "90 % intervals that miss the truth, arms of about 35 patients",
        MISTAKE,
        small_missed,
        World(patients=70),
    ),
    "fair, interval": Case(
        "",
        "90 % intervals that miss the truth, arms of about 75 patients",
        MISTAKE,
        small_missed,
        World(patients=150),
    ),
}


def measure(key: tuple[str, int]) -> dict[str, Any]:
    """One study of one kind."""
    name, number = key
    case = (CASES | BESIDE)[name]
    return {"refused": float(case.ask(case.world, number))}


def run(given: argparse.Namespace) -> None:
    """Measure, write, and publish."""
    runs = given.runs or RUNS
    keys = [(name, number) for number in range(runs) for name in CASES | BESIDE]
    results = kept("refusals", SETTINGS, keys, measure, given=given)
    found: dict[str, list[float]] = {}
    for (name, _), result in zip(keys, results, strict=True):
        found.setdefault(name, []).append(result["refused"])
    lines = head("How often refusals and the trial check err", f"refusals --runs {runs} --publish", results)
    lines += paragraph(
        f"""
        {runs} simulated studies of each kind (600 patients, 8 covariates; trials of 1,200), truth known,
        candidates linear and boosted, {REPEATS} permutations of each refuter. A refusal is a mistake where
        the last column says so.
        """
    )
    rows = []
    for name, case in CASES.items():
        mine = np.array(found[name])
        low, high = wilson(float(mine.sum()), len(mine))
        rows.append(
            (
                case.refusal,
                case.what,
                len(mine),
                f"{mine.mean():.1%} ({low:.1%} to {high:.1%})",
                case.refusing,
            )
        )
    lines += table(("refusal", "studies", "runs", "refused (95 % interval)", "a refusal is"), rows)
    lines += ["Beside it, why small arms are refused:", ""]
    lines += table(
        ("", "runs", "share"), [(c.what, len(found[n]), float(np.mean(found[n]))) for n, c in BESIDE.items()]
    )
    write("refusals", lines)
    if given.publish:
        _publish(found)


def _publish(found: dict[str, list[float]]) -> None:
    measured = [
        {
            "refusal": c.refusal,
            "what": c.what,
            "wrong": c.refusing == MISTAKE,
            "runs": len(found[n]),
            "refused": round(sum(found[n])),
        }
        for n, c in CASES.items()
    ]
    content = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "version": version("ehrsynth"),
        "measured": measured,
    }
    first = (
        "# Written by scripts/benchmark/twins refusals --publish; reports/twins/refusals.md explains it.\n"
    )
    RATES.write_text(first + yaml.safe_dump(content, sort_keys=False))
