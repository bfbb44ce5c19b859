"""The stroke trial made observational: who was treated and who was not dropped by age and consciousness.

In each draw half of the hospitals are kept whole as the truth, and their randomised difference is what the
other half is asked for. In the other half treated patients are dropped the likelier the older and the
drowsier they are, untreated ones the other way round. The estimand is the effect standardised to the full
trial's covariates.
"""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.average import average, plain_means, unadjusted
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.fitting import fit_crosswise
from ehrsynth.twins.overlap import Supported
from ehrsynth.twins.patients import covariates_of, patients_of
from ehrsynth.twins.populations import Outsiders, Populations
from ehrsynth.twins.propensity import lowest_chance
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.trial import halves
from twins.sources import stroke
from twins.writing import Bar, bars, clock, head, kept, paragraph, table, write

DRAWS, STEEPNESS = 50, 0.8
SETTINGS = f"linear and boosted, five folds, steepness {STEEPNESS}"
REQUEST = Request(treatment="RXASP", outcomes=('poor = OCCODE in ("1", "2")',))


def measure(draw: int) -> dict[str, Any]:
    """One draw."""
    whole, schema = stroke(centres=True)
    question = ask(REQUEST, schema)
    everyone = patients_of(whole, question)
    first, _ = halves(everyone, seed=draw)
    other = patients_of(whole.iloc[everyone.rows[~first]], question)
    seen = other.targets["poor"]
    truth = plain_means(other, seen.values, seen.weights, 2).contrast(1, 0.9)
    mine = whole.iloc[everyone.rows[first]]
    grave = (mine["AGE"].to_numpy(float) - 72) / 11 + 1.2 * (mine["RCONSC"] != "F").to_numpy()
    treated = (mine["RXASP"] == True).to_numpy()  # noqa: E712 - pandas' own type
    chance = expit(STEEPNESS * np.where(treated, -grave, grave))
    rows = np.flatnonzero(numpy_generator(draw, "dropped").random(len(mine)) < chance)
    patients = patients_of(mine.iloc[rows], question)
    only = Candidates(bases=("linear", "boosted"), crossed=(), robust=())
    fitted = fit_crosswise(patients, question, "poor", candidates=only, seed=draw)
    lowest = lowest_chance(len(patients))
    supported = Supported(patients.covariates, patients.arm, 2, lowest=lowest, seed=draw)
    inside = ~supported.of(patients.covariates, fitted.said.chances).outside
    target = Outsiders(covariates_of(whole, question.covariate_schema), synthetic=False)
    population = Populations(patients, question, inside, target, draw).of(fitted, 1)
    effect = average(fitted, patients, population).contrast(1, 0.9)
    # By patients: hospitals of a half that lost most of its patients are too small for an error of their own.
    alone = average(fitted, replace(patients, site=None), population).contrast(1, 0.9)
    naive = unadjusted(fitted, patients, np.ones(len(patients), bool)).contrast(1, 0.9)
    half = 1.645 * float(np.hypot(effect.error, truth.error))
    return {
        "truth": truth.value,
        "truth_error": truth.error,
        "naive": naive.value,
        "value": effect.value,
        "error": effect.error,
        "error_by_patient": alone.error,
        "held": bool(effect.low <= truth.value <= effect.high),
        "held_with_its_error": bool(abs(effect.value - truth.value) <= half),
        "patients": len(patients),
        "outside": float((~inside).mean()),
    }


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    results = kept("observational", SETTINGS, range(given.runs or DRAWS), measure, given=given)
    truth, naive, value = (np.array([r[name] for r in results]) for name in ("truth", "naive", "value"))
    before, after = float((naive - truth).mean()), float((value - truth).mean())
    lines = head("The stroke trial made observational", "observational", results)
    lines += paragraph(
        f"""
        {len(results)} draws. Half of the hospitals stay whole: their randomised difference is the truth. In
        the other half patients are dropped by age and consciousness, treated the one way and untreated the
        other. Aspirin, dead or dependent at six months; effects standardised to the covariates of the full
        trial, in points.
        """
    )
    lines += bars(
        [
            Bar("share of the naive bias that is removed", 1 - abs(after) / abs(before), at_least=0.8),
            Bar(
                "90 % interval holds the other half's value",
                float(np.mean([r["held"] for r in results])),
                at_least=0.8,
            ),
            Bar(
                "the same, with the other half's own error",
                float(np.mean([r["held_with_its_error"] for r in results])),
                at_least=0.8,
            ),
            *clock(results),
        ]
    )
    errors = [float(np.mean([r[name] for r in results])) for name in ("error", "truth_error")]
    rows = [
        ("the other half, randomised", 100 * truth.mean(), 100 * truth.std(), 100 * errors[1]),
        ("naive difference", 100 * naive.mean(), 100 * naive.std(), "-"),
        ("standardised", 100 * value.mean(), 100 * value.std(), 100 * errors[0]),
    ]
    lines += table(("", "mean, points", "spread over draws", "mean standard error"), rows)
    lines += paragraph(
        f"""
        Naive bias {100 * before:+.1f} points, left {
            100 * after:+.2f}. The value that is asked for has an error
        of its own of {100 * errors[1]:.1f} points, which no interval of the first half knows of: a right 90 %
        interval holds it in about {_expected(*errors):.0%} of draws. {
            np.mean([r["patients"] for r in results]):,.0f} patients are left in the first half, {
            100 * np.mean([r["outside"] for r in results]):.1f} % outside common support; {
            np.mean([r["seconds"] for r in results]):.0f} seconds a draw.
        """
    )
    write("observational", lines)


def _expected(error: float, other: float) -> float:
    from scipy.stats import norm

    return float(2 * norm.cdf(1.645 * error / np.hypot(error, other)) - 1)
