"""The stroke trial: twins of half the hospitals against the randomised contrast in the other half.

Besides the trial as it is, one with a planted effect: in patients of the oldest third the risk of a poor
outcome under aspirin is 8 points lower than it was. On it the twins are tried, and two cohorts that ought to
fail: one whose outcomes know nothing of the patient, and one whose outcomes know the patient but not the arm.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.model import TwinModel
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Question, Request, ask
from ehrsynth.twins.results import check_json
from ehrsynth.twins.trial_run import predicted, trial_checks
from twins.sources import stroke
from twins.writing import Bar, bars, clock, head, kept, paragraph, table, write

POOR = 'poor = OCCODE in ("1", "2")'
BY = ("SEX", "AGE", "STYPE")
SPLITS, POINTS, OLD = 10, 0.08, 77
TREATMENTS = {
    "aspirin": Request(treatment="RXASP", outcomes=(POOR,), design="randomised", by=BY),
    "heparin": Request(
        treatment="RXHEP",
        arms={"none": ("N",), "any heparin": ("L", "M", "H")},
        outcomes=(POOR,),
        design="randomised",
        by=BY,
    ),
}
SETTINGS = "all candidates with autoregressive, five folds, halves by hospital, one fit for all cohorts"
PLANTED, TWINS = "planted", "twins"


def unconditioned(model: TwinModel, rows: Matrix) -> np.ndarray:
    """Everybody gets the mean outcome of all patients, whoever they are and whatever they took."""
    target = model.fitted.target
    mean = float(np.average(target.values[target.weights > 0]))
    return np.full((len(rows), 2), mean)


def without_effect(model: TwinModel, rows: Matrix) -> np.ndarray:
    """Outcomes that know the patient and not the arm."""
    return np.tile(predicted(model, rows).mean(axis=1, keepdims=True), (1, 2))


COHORTS = {
    TWINS: predicted,
    "unconditioned outcomes": unconditioned,
    "twins without an effect": without_effect,
}


def planted(table: pd.DataFrame) -> pd.DataFrame:
    """The trial in which aspirin spares the old 8 points of poor outcomes."""
    table, rng = table.copy(), numpy_generator(8, PLANTED)
    old = (table["AGE"] >= OLD).to_numpy() & (table["RXASP"] == True).to_numpy()  # noqa: E712 - pandas' own type
    poor = table["OCCODE"].isin(["1", "2"]).to_numpy()
    share = poor[old].mean()
    spared = np.flatnonzero(old & poor & (rng.random(len(table)) < POINTS / share))
    table.iloc[spared, table.columns.get_loc("OCCODE")] = "3"
    return table


def measure(key: tuple[str, int]) -> dict[str, Any]:
    """One trial, one split: the checks of all cohorts that are asked for, from the same models."""
    name, split = key
    whole, schema = stroke(centres=True)
    question: Question = ask(TREATMENTS["aspirin" if name == PLANTED else name], schema)
    rows = planted(whole) if name == PLANTED else whole
    options = Options().with_generators({"autoregressive": recipe("autoregressive")})
    ways = COHORTS if name == PLANTED else {TWINS: COHORTS[TWINS]}
    found = trial_checks(rows, question, options=options, simulate=ways, seed=split)
    return {"checks": {cohort: check_json(checks[0], question) for cohort, checks in found.items()}}


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    splits = range(given.runs or SPLITS)
    keys = [(PLANTED, 0), *((name, k) for name in TREATMENTS for k in splits)]
    measured = kept("stroke", SETTINGS, keys, measure, given=given)
    results = {
        (name, cohort, split): {"check": check}
        for (name, split), result in zip(keys, measured, strict=True)
        for cohort, check in result["checks"].items()
    }
    lines = head("The stroke trial: half the hospitals against the other half", "stroke", measured)
    lines += paragraph(
        """
        Dead or dependent at six months. Models are fitted on half of the hospitals; what they simulate in the
        other half's patients is held against the randomised difference there. Split 0 was fixed beforehand.
        """
    )
    lines += _bars(results, list(splits), clock(measured))
    for name in TREATMENTS:
        lines += [f"## {name.capitalize()}, split 0", "", *_cells(results[name, "twins", 0])]
    lines += ["## A planted effect of 8 points in the oldest third, split 0", ""]
    rows = []
    for cohort in COHORTS:
        check = results[PLANTED, cohort, 0]["check"]
        failed = [f"{c['group']}: {c['what']} {c['arm']}" for c in check["cells"] if not c["passed"]]
        rows.append(
            (cohort, check["verdict"], len(failed), len(check["cells"]), "; ".join(failed[:6]) or "none")
        )
    lines += table(("cohort", "check", "cells failed", "of", "which (six at most)"), rows)
    lines += ["### The twins on the planted trial", "", *_cells(results[PLANTED, "twins", 0])]
    write("stroke", lines)


def _overall(result: dict[str, Any]) -> dict[str, Any]:
    return next(
        c for c in result["check"]["cells"] if c["what"] == "contrast" and c["group"] == "all patients"
    )


def _bars(results: dict[Any, dict[str, Any]], splits: list[int], minutes: list[Bar]) -> list[str]:
    first = _overall(results["aspirin", "twins", splits[0]])
    gaps = [100 * _overall(results["aspirin", "twins", k])["difference"]["value"] for k in splits]
    cells = [c for name in TREATMENTS for k in splits for c in results[name, "twins", k]["check"]["cells"]]
    groups = [c for c in cells if c["group"] != "all patients" and c["what"] == "contrast"]
    alone = float(np.mean([c["p_value"] < 0.05 for c in groups]))  # noqa: PLR2004 - the level
    failed = [
        results[name, "twins", k]["check"]["verdict"] == "failed" for name in TREATMENTS for k in splits
    ]
    found = {cohort: results[PLANTED, cohort, 0]["check"]["verdict"] for cohort in COHORTS}
    old = next(
        c
        for c in results[PLANTED, "twins", 0]["check"]["cells"]
        if c["what"] == "contrast" and c["group"] == "AGE: highest third"
    )
    ends = [100 * first["difference"][end] for end in ("low", "high")]
    seen = first["randomised"]
    known = 50 * (seen["high"] - seen["low"])
    verdicts = {
        "planted: unconditioned outcomes fail (1 yes)": ("unconditioned outcomes", "failed"),
        "planted: twins without an effect fail (1 yes)": ("twins without an effect", "failed"),
        "planted: the twins pass (1 yes)": ("twins", "passed"),
    }
    rows = [
        Bar(
            "aspirin, split 0: 95 % interval of (simulated less randomised), its farther end in points (the"
            f" randomised half alone is known to {known:.1f} either way: "
            + ("no model can meet this)" if known > 1 else "within reach)"),
            max(map(abs, ends)),
            at_most=1.0,
        ),
        Bar("the same, its centre", abs(gaps[0]), at_most=1.0),
        Bar("centre, mean over all splits", abs(float(np.mean(gaps))), at_most=1.0),
        Bar("share of subgroup effects rejected at 5 % each", alone, at_most=0.05),
        Bar("share of whole checks failed (family-wise 5 %)", float(np.mean(failed)), at_most=0.05),
        *(
            Bar(name, float(found[cohort] == wanted), at_least=1)
            for name, (cohort, wanted) in verdicts.items()
        ),
        Bar("planted: simulated effect in the oldest third, points", 100 * old["simulated"], at_most=-4.0),
        *minutes,
    ]
    return [
        *bars(rows),
        *paragraph(
            f"""
            Aspirin, split 0: simulated {100 * first["simulated"]:+.2f} points, randomised
            {100 * first["randomised"]["value"]:+.2f}, difference {gaps[0]:+.2f} with the 95 % interval
            {ends[0]:+.2f} to {ends[1]:+.2f}. The randomised difference of the other half alone has an
            interval of {known:.1f} points to either side, and that of the difference is
            {(ends[1] - ends[0]) / 2:.1f}: where that is above 1 it cannot lie within 1 point, whatever the
            model, and only its centre can. Differences over the splits: {
                ", ".join(f"{g:+.2f}" for g in gaps)
            }.
            """
        ),
        *paragraph(
            f"""
            Planted: the randomised difference in the oldest third of the other half is
            {100 * old["randomised"]["value"]:+.1f} points, the twins say {100 * old["simulated"]:+.1f}.
            """
        ),
    ]


def _cells(result: dict[str, Any]) -> list[str]:
    rows = []
    for c in result["check"]["cells"]:
        seen, gap = c["randomised"], c["difference"]
        rows.append(
            (
                c["group"],
                f"{c['what']} {c['arm']}",
                f"{100 * c['simulated']:.1f}",
                f"{100 * seen['value']:.1f}",
                f"{100 * gap['value']:+.1f} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})",
                f"{c['adjusted']:.2f}",
                f"{100 * c['detectable']:.1f}",
                "pass" if c["passed"] else "**fail**",
            )
        )
    headers = (
        "group",
        "number",
        "simulated, %",
        "randomised, %",
        "difference (95 %)",
        "p, Holm",
        "found from",
        "",
    )
    return table(headers, rows)
