"""IHDP, realisations 1 to 10, 672 patients learnt from and 75 not seen."""

import argparse
from functools import partial
from typing import Any

import numpy as np

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.average import average, study_population
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.fitting import fit_crosswise
from ehrsynth.twins.gaussian_process import fit_gaussian_process
from ehrsynth.twins.model import twin_model
from ehrsynth.twins.patients import Patients, covariates_of, patients_of
from ehrsynth.twins.question import Request, ask
from twins.sources import ihdp
from twins.writing import Bar, bars, clock, columns, head, kept, paragraph, shares, table, write

LEARNT, LEVEL = 672, 0.9
SETTINGS = "all candidates with autoregressive, five folds, leaves of eight"


def reference(patients: Patients, rows: Matrix) -> np.ndarray:
    """The effect by a Gaussian process in each arm, on all patients learnt from."""
    flags = Flags(patients.covariates)
    said = []
    for arm in (0, 1):
        mine = patients.arm == arm
        values = patients.targets["y"].values[mine]
        features = flags(patients.covariates.rows(mine))
        rng = numpy_generator(1, "reference", str(arm))
        said.append(fit_gaussian_process(features, values, np.ones(len(values)), rng)(flags(rows)))
    return said[1] - said[0]


def measure(folder: Any, number: int) -> dict[str, Any]:
    """One realisation."""
    given = ihdp(folder, number)
    order = numpy_generator(number, "ihdp split").permutation(len(given.table))
    seen, unseen = np.sort(order[:LEARNT]), np.sort(order[LEARNT:])
    question = ask(Request(), given.schema)
    patients = patients_of(given.table.iloc[seen], question)
    candidates = Candidates(generators={"autoregressive": recipe("autoregressive")})
    fitted = fit_crosswise(patients, question, "y", candidates=candidates, seed=number)
    population = study_population(patients, fitted.said.chances, np.ones(LEARNT, bool), "all")
    found = average(fitted, patients, population)
    model = twin_model(fitted, patients, found, population, seed=number)
    rows = covariates_of(given.table.iloc[unseen], question.covariate_schema)
    said = model.predict(rows, level=LEVEL)
    true, whole = (given.means[part, 1] - given.means[part, 0] for part in (unseen, seen))
    bottom, top = said.effect_interval
    effect, other = said.effects[:, 0], 1 - given.treated[unseen]
    place = np.arange(len(unseen))
    came = given.unseen[unseen]
    low, high = (end[place, other] for end in said.outcomes)
    process = reference(patients, rows)
    contrast = found.contrast(1, LEVEL)
    return {
        "pehe": float(np.sqrt(np.mean((effect - true) ** 2))),
        "pehe_process": float(np.sqrt(np.mean((process - true) ** 2))),
        "average_error": float(abs(effect.mean() - true.mean())),
        "average_error_process": float(abs(process.mean() - true.mean())),
        "average_error_learnt": float(abs(contrast.value - whole.mean())),
        "average_covered": bool(contrast.low <= whole.mean() <= contrast.high),
        "effect_coverage": float(np.mean((bottom[:, 0] <= true) & (true <= top[:, 0]))),
        "outcome_coverage": float(np.mean((low <= came) & (came <= high))),
        "outcome_width": float(np.mean(high - low)),
        "shares": shares(fitted.names, fitted.shares.effects),
    }


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    numbers = list(range(1, 11))[: given.runs]
    results = kept("ihdp", SETTINGS, numbers, partial(measure, given.data), given=given)
    column = columns(results)
    lines = head("IHDP: effects of single patients who were not seen", "ihdp --data DIR", results)
    lines += paragraph(
        """
        Realisations 1 to 10, 672 patients learnt from, 75 not seen; effects combined by R-loss within the
        672. The reference is a Gaussian process in each arm (RBF, linear, noise), fitted on the same 672.
        PEHE is heavy-tailed over realisations: compare medians and paired differences, not means across
        papers.
        """
    )
    lines += bars(
        [
            Bar("mean sqrt PEHE, not seen", column["pehe"].mean(), at_most=1.5),
            Bar("median sqrt PEHE, not seen", float(np.median(column["pehe"])), at_most=0.85),
            Bar("mean error of the average effect, not seen", column["average_error"].mean(), at_most=0.25),
            Bar(
                "90 % interval of the conditional effect held it",
                column["effect_coverage"].mean(),
                0.86,
                0.95,
            ),
            Bar("90 % interval of the unseen arm held it", column["outcome_coverage"].mean(), 0.86, 0.95),
            *clock(results),
        ]
    )
    paired = [("combined", "pehe", "average_error"), ("reference", "pehe_process", "average_error_process")]
    lines += table(
        ("on the same ten", "mean sqrt PEHE", "median", "mean error of the average effect"),
        [(who, column[p].mean(), float(np.median(column[p])), column[e].mean()) for who, p, e in paired],
    )
    gap = column["pehe"] - column["pehe_process"]
    lines += paragraph(
        f"""
        Difference {gap.mean():+.3f}; the combination is better in {int((gap < 0).sum())} of {len(gap)}.
        """
    )
    shown = {
        "sqrt PEHE": "pehe",
        "reference": "pehe_process",
        "error of average, not seen": "average_error",
        "learnt from": "average_error_learnt",
        "effect held": "effect_coverage",
        "outcome held": "outcome_coverage",
        "width": "outcome_width",
        "seconds": "seconds",
    }
    rows = [
        (n, *(r[name] for name in shown.values()), ", ".join(f"{k} {v}" for k, v in r["shares"].items()))
        for n, r in zip(numbers, results, strict=True)
    ]
    lines += table(("realisation", *shown, "weights"), rows)
    write("ihdp", lines)
