"""A treatment that is pure noise on the covariates of IHDP, 100 times."""

import argparse
from functools import partial
from typing import Any

import numpy as np

from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.average import average, study_population
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.evidence import evidence
from ehrsynth.twins.fitting import fit_crosswise
from ehrsynth.twins.patients import patients_of
from ehrsynth.twins.question import Request, ask
from twins.sources import ihdp, numeric_study
from twins.writing import Bar, bars, clock, head, kept, paragraph, write

RUNS, TWO_ERRORS = 100, 2.0
SETTINGS = "linear, boosted, gaussian process; observational; half treated by a coin"


def measure(folder: Any, number: int) -> dict[str, Any]:
    """One coin for each child; the outcome is that of the untreated of one realisation."""
    given = ihdp(folder, 1 + number % 10)
    rng = numpy_generator(number, "noise")
    outcome = given.means[:, 0] + rng.normal(size=len(given.table))
    covariates = given.table.drop(columns=["t", "y"]).astype(float)
    table, schema = numeric_study(covariates, rng.integers(0, 2, len(outcome)), outcome, "noise")
    question = ask(Request(), schema)
    patients = patients_of(table, question)
    candidates = Candidates(crossed=("linear", "boosted"), robust=("linear",))
    fitted = fit_crosswise(patients, question, "y", candidates=candidates, seed=number)
    population = study_population(patients, fitted.said.chances, np.ones(len(patients), bool), "all")
    effect = average(fitted, patients, population).contrast(1, 0.9)
    return {
        "value": effect.value,
        "error": effect.error,
        "individual": bool(evidence(fitted, patients).individual),
        "spread_told": float(fitted.said.effects.std()),
    }


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    results = kept("noise", SETTINGS, range(given.runs or RUNS), partial(measure, given.data), given=given)
    value, error = (np.array([r[name] for r in results]) for name in ("value", "error"))
    small = int((np.abs(value / error) < TWO_ERRORS).sum())
    ratio = float(error.mean() / value.std(ddof=1))
    lines = head("A treatment that is pure noise", "noise --data DIR", results)
    lines += paragraph(
        f"""
        {len(results)} runs on the covariates of IHDP (747 children): treatment by a coin, outcome that of the
        untreated of realisations 1 to 10 in turn plus noise of spread 1, so that the true effect is nil.
        Chances of the arms are estimated, as in an observational study.
        """
    )
    lines += bars(
        [
            Bar("share of runs with |effect| below two standard errors", small / len(results), at_least=0.9),
            Bar("mean standard error over the spread of estimates", ratio, 0.8, 1.2),
            *clock(results),
        ]
    )
    told = sum(r["individual"] for r in results)
    lines += paragraph(
        f"""
        Individual effects would have been told by mistake in {told} of {len(results)} runs (level 0.05). Mean
        effect {value.mean():+.4f}, spread {value.std(ddof=1):.4f}, mean standard error {error.mean():.4f};
        {np.mean([r["seconds"] for r in results]):.1f} seconds a run.
        """
    )
    write("noise", lines)
