"""Do intervals of conditional effects hold effects that jump? Simulated studies whose truth is known.

An effect is none, smooth, a step at an age of 70, or made by two covariates together; the outcome a number or
a yes or no; the study randomised or, for 1,000 patients, observational.
"""

import argparse
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from scipy.special import expit

from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values
from ehrsynth.twins.average import average, study_population
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.evidence import evidence
from ehrsynth.twins.fitting import fit_crosswise
from ehrsynth.twins.model import TwinModel, twin_model
from ehrsynth.twins.patients import covariates_of, patients_of
from ehrsynth.twins.question import Request, ask
from twins.sources import COVARIATE, OUTCOME
from twins.writing import Bar, bars, clock, head, kept, paragraph, table, write

RATES = Path(__file__).parents[3] / "ehrsynth" / "twins" / "jump_rates.yaml"
RUNS, LEVEL, FRESH = 6, 0.9, 400
LOW, HIGH = 0.86, 0.95
JUMP, POINTS, NOISE, OLD = 2.0, 0.08, 2.0, 70
TRUTHS = {
    "none": "no effect",
    "smooth": "smooth in age",
    "step": f"a step at an age of {OLD}",
    "two": "a step in two covariates together",
}
JUMPING = ("step", "two")
STUDIES = (("randomised", 300), ("randomised", 1_000), ("randomised", 4_000), ("observational", 1_000))
OUTCOMES = {"y": "number", "poor": "yes or no"}
SETTINGS = "linear, boosted, gaussian process; five folds; leaves of eight"
NUMBERS = ("marker", "pressure", "lab")


class Study(NamedTuple):
    """One simulated study."""

    truth: str
    outcome: str
    design: str
    patients: int
    number: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))


def schema_of() -> Schema:
    """Age, sex, ward, three measurements, a treatment and two outcomes."""
    number = {"kind": "number", "minimum": -60, "maximum": 60, "decimals": 3}
    return Schema(
        name="jumps",
        citation="simulated",
        columns=(
            {"name": "age", "kind": "integer", "minimum": 18, "maximum": 110, "roles": COVARIATE},
            {"name": "sex", "kind": "category", "values": ("F", "M"), "roles": COVARIATE},
            {"name": "ward", "kind": "category", "values": ("a", "b", "c"), "roles": COVARIATE},
            *({"name": name, **number, "roles": COVARIATE} for name in NUMBERS),
            {"name": "t", "kind": "boolean", "roles": ("treatment",)},
            {"name": "y", **number, "roles": OUTCOME},
            {"name": "poor", "kind": "boolean", "roles": OUTCOME},
        ),
    )


def simulate(study: Study, patients: int, stream: str) -> tuple[pd.DataFrame, np.ndarray]:
    """A table and the true conditional effect of each patient on the outcome that is asked about."""
    rng = numpy_generator(study.number, "jumps", stream, *map(str, study[:4]))
    age = np.clip(np.round(68 + 12 * rng.normal(size=patients)), 18, 110)
    z, sex, ward = (age - 68) / 12, rng.integers(0, 2, patients), rng.integers(0, 3, patients)
    x = rng.normal(size=(patients, len(NUMBERS)))
    shape = {
        "none": np.zeros(patients),
        "smooth": 0.5 + 0.5 * np.clip(z, -3, 3),
        "step": (age >= OLD).astype(float),
        "two": ((x[:, 0] > 0) & (sex == 1)).astype(float),
    }[study.truth]
    chance = np.full(patients, 0.5) if study.design == "randomised" else expit(0.8 * z + 0.5 * x[:, 1])
    treated = rng.random(patients) < chance
    risk = np.clip(expit(0.8 * z + 0.5 * x[:, 1] - 0.2), 0.12, 0.98)
    # A risk cannot fall below nil: in a few patients of the smooth truth the effect is cut.
    gain = JUMP * shape if study.outcome == "y" else np.clip(-POINTS * shape, 0.01 - risk, 0.99 - risk)
    level = z + 0.7 * x[:, 1] + 0.5 * sex
    values = {
        "age": age,
        "sex": sex.astype(float),
        "ward": ward.astype(float),
        **{name: np.round(x[:, k], 3) for k, name in enumerate(NUMBERS)},
        "t": treated.astype(float),
        "y": np.round(level + gain * treated * (study.outcome == "y") + NOISE * rng.normal(size=patients), 3),
        "poor": (rng.random(patients) < risk + gain * treated * (study.outcome == "poor")).astype(float),
    }
    return from_values(values, schema_of()), gain


def measure(study: Study) -> dict[str, Any]:
    """One study: how many of 400 patients whom nothing saw have their true effect inside the interval."""
    given, _ = simulate(study, study.patients, "learnt")
    fresh, true = simulate(study, FRESH, "fresh")
    question = ask(Request(design=study.design, outcomes=(study.outcome,)), schema_of())
    patients = patients_of(given, question)
    fitted = fit_crosswise(patients, question, study.outcome, candidates=Candidates(), seed=study.number)
    everyone = np.ones(len(patients), bool)
    population = study_population(patients, fitted.said.chances, everyone, "all")
    found = average(fitted, patients, population)
    model = twin_model(fitted, patients, found, population, seed=study.number)
    rows = covariates_of(fresh, question.covariate_schema)
    unaware = replace(model, leaves=())
    return {
        **_held(model, rows, true, ""),
        **_held(unaware, rows, true, "_without"),
        "told": bool(evidence(fitted, patients).individual),
        "spread_of_effects": float(true.std()),
    }


def _held(model: TwinModel, rows: Any, true: np.ndarray, name: str) -> dict[str, float]:
    said = model.predict(rows, level=LEVEL)
    low, high = (end[:, 0] for end in said.effect_interval)
    error = said.effects[:, 0] - true
    return {
        f"coverage{name}": float(np.mean((low <= true) & (true <= high))),
        f"width{name}": float(np.mean(high - low)),
        f"error{name}": float(np.sqrt(np.mean(error**2))),
    }


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    keys = [
        Study(truth, outcome, design, patients, 100 + number)
        for number in range(given.runs or RUNS)
        for design, patients in STUDIES
        for truth in TRUTHS
        for outcome in OUTCOMES
    ]
    results = dict(zip(keys, kept("jumps", SETTINGS, keys, measure, given=given), strict=True))
    told = [r for r in results.values() if r["told"]]
    words = ["jumps", *(["--runs", given.runs] if given.runs else []), *["--publish"] * given.publish]
    lines = head("Effects that jump: do intervals hold them?", " ".join(map(str, words)), results.values())
    lines += paragraph(
        f"""
        90 % intervals of the conditional average effect in {FRESH} patients whom nothing saw; share of them
        whose true effect lies inside. Noise of the number {NOISE:g}, a jump of {JUMP:g}, or {100 * POINTS:g}
        points of risk. {len(results)} studies, {len(results) // len(_cells(keys))} of each kind; in {
            len(told)
        } effects of single patients would be told, elsewhere the tool refuses them and shows no such
        interval. "Without" is without what held-out leaves show to be missed (`ehrsynth.twins.leaves`).
        """
    )
    lines += _bars(results)
    lines += paragraph(
        """
        Why intervals miss: every candidate smooths a jump, so that near it all are wrong in the same way, by
        more than the folds' models differ. Held-out leaves show it where patients are many. Where they are
        few, or the jump is small against the noise of the outcome, it is neither seen nor held: the rows of
        the last table whose share is below the bar say where.
        """
    )
    lines += ["## By truth, all studies and those whose effects are told", ""]
    lines += _table([((TRUTHS[t], OUTCOMES[o]), [r for k, r in results.items() if k[:2] == (t, o)])
                     for t in TRUTHS for o in OUTCOMES], ("effect", "outcome"))  # fmt: skip
    lines += ["## Each kind of study", ""]
    lines += _table(
        [
            ((TRUTHS[t], OUTCOMES[o], d, n), [r for k, r in results.items() if k[:4] == (t, o, d, n)])
            for t, o, d, n in _cells(keys)
        ],
        ("effect", "outcome", "design", "patients"),
    )
    write("jumps", lines)
    if given.publish:
        _publish(results)


def _publish(results: Mapping[Study, dict[str, Any]]) -> None:
    told = {k: r for k, r in results.items() if r["told"]}
    measured = []
    for truth, effect in TRUTHS.items():
        mine = {k: r for k, r in told.items() if k.truth == truth}
        if truth != "none" and mine:
            # A kind of study: of a design and a size, whatever the outcome.
            kinds = [[r for k, r in mine.items() if k[2:4] == kind] for kind in STUDIES]
            least = min(_mean(kind, "coverage") for kind in kinds if kind)
            held = {"held": round(_mean(list(mine.values()), "coverage"), 3), "least": round(least, 3)}
            jumps = truth in JUMPING
            measured.append({"effect": effect, "jumps": jumps, "studies": len(mine), **held})
    content = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "version": version("ehrsynth"),
        "level": LEVEL,
        "measured": measured,
    }
    first = "# Written by scripts/benchmark/twins jumps --publish; reports/twins/jumps.md explains it.\n"
    RATES.write_text(first + yaml.safe_dump(content, sort_keys=False))


def _cells(keys: Sequence[Study]) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(key[:4] for key in keys))


def _mean(results: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([r[name] for r in results])) if results else float("nan")


def _bars(results: dict[Study, dict[str, Any]]) -> list[str]:
    told = {k: r for k, r in results.items() if r["told"]}
    rows = []
    for words, some in (("told", told), ("all studies", results)):
        for truth, effect in TRUTHS.items():
            mine = [r for k, r in some.items() if k.truth == truth]
            if mine and (truth != "none" or some is results):
                name = f"coverage, {words}: {effect} ({len(mine)})"
                rows.append(Bar(name, _mean(mine, "coverage"), LOW, None if truth == "none" else HIGH))
    return bars([*rows, *clock(results.values())])


def _table(rows: Sequence[tuple[tuple[Any, ...], list[dict[str, Any]]]], names: tuple[str, ...]) -> list[str]:
    headers = (
        *names,
        "studies",
        "told",
        "held",
        "without",
        "held, told",
        "width",
        "without",
        "error (root mean square)",
        "spread of effects",
    )
    found = []
    for first, mine in rows:
        told = [r for r in mine if r["told"]]
        found.append((
            *first, len(mine), len(told), _mean(mine, "coverage"), _mean(mine, "coverage_without"),
            _mean(told, "coverage") if told else "-", _mean(mine, "width"), _mean(mine, "width_without"),
            _mean(mine, "error"), _mean(mine, "spread_of_effects"),
        ))  # fmt: skip
    return table(headers, found)
