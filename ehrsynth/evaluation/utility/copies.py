"""The effects that several synthetic copies give together, beside those of the real patients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.evaluation.groups import one_by_one
from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility.combining import Combined, combine
from ehrsynth.evaluation.utility.effects import Study, questions, study
from ehrsynth.evaluation.utility.regression import Fit
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema


def combined_effects(
    train: pd.DataFrame,
    copies: Sequence[pd.DataFrame],
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The regressions of `effect_estimates` on every copy, combined (Raab, Nowok and Dibben 2016).

    Two inferences are kept apart, each with its own interval: what the same analysis of the training patients
    would give ("original"), and what holds in the population that they come from ("population"). Whether the
    latter is valid depends on the generator: see `ehrsynth.report.coverage`.

    Parameters
    ----------
    train
        All patients whom the generator learnt from.
    copies
        Tables drawn from one fitted generator, of about the same number of rows; of each at most the
        protocol's `rows` are used.

    Returns
    -------
    dict
        The number of copies; of each study its coefficients with the estimate, both intervals, the training
        patients' own estimate and whether the interval for it holds it; and the share of all that do.
    """
    report, most = progress or silent, protocol().rows
    # Never a part of the training patients: the estimate of a part is not the one that the copies were made
    # from, and both intervals go by how many there are. That is one regression each.
    tables = [matrix(train, schema)]
    tables += [
        matrix(copy, schema).shuffled(numpy_generator(seed, "copies", str(number)), most)
        for number, copy in enumerate(copies, 1)
    ]
    asked = questions(schema)
    studies = {}
    for number, question in enumerate(asked):
        report(number / len(asked), f"effects of all copies: {question.outcome.name}")
        one = study(question, schema, tables)
        if not one.reason:
            studies[f"{question.outcome.name} ({question.kind})"] = _combined(one)
    held = [c["held"] for entry in studies.values() for c in entry["coefficients"] if c["held"] is not None]
    share = float(np.mean(held)) if held else None
    return {"copies": len(copies), "studies": studies, "coefficients": len(held), "share_held": share}


def _combined(one: Study) -> dict[str, Any]:
    real, *fits = (data.fit(one.question.kind) for data in one.tables)
    rows = [data.rows for data in one.tables]
    estimates, errors = (np.stack(values) for values in zip(*fits, strict=True))
    sizes = {"original_rows": rows[0], "synthetic_rows": round(float(np.mean(rows[1:])))}
    original = combine(estimates, errors, inference="original", **sizes)
    population = combine(estimates, errors, inference="population", **sizes)
    return {
        "outcome": one.question.outcome.name,
        "regression": one.question.kind,
        "coefficients": [
            _coefficient(term, k, real, original, population) for k, term in enumerate(one.terms)
        ],
    }


def _coefficient(term: str, k: int, real: Fit, original: Combined, population: Combined) -> dict[str, Any]:
    value = float(real.coefficients[k])
    known = not np.isnan([value, original.low[k]]).any()
    return {
        "term": term,
        "estimate": one_by_one([original.estimate[k]])[0],
        "original": one_by_one([original.low[k], original.high[k]]),
        "population": one_by_one([population.low[k], population.high[k]]),
        "real": one_by_one([value])[0],
        "held": bool(original.low[k] <= value <= original.high[k]) if known else None,
    }
