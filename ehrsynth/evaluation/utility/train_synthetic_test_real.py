"""Does a model that learnt from synthetic patients work on real ones?"""

from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.evaluation.utility.prediction import (
    Pair,
    Pairs,
    Prediction,
    Tables,
    Task,
    is_class,
    mean_of,
    outcomes,
    predict,
    task,
    why_not,
    within,
)
from ehrsynth.evaluation.utility.sites import sites_left_out
from ehrsynth.progress import Progress, part
from ehrsynth.schema import Schema

_NAME = "train_synthetic_test_real"
_SITES = 0.8  # of the progress: the sites come after everything else


def train_synthetic_test_real(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How well boosted trees that learnt from synthetic patients predict the outcomes of held-out real ones.

    The score is the mean over the columns with the role outcome that are classes (boolean, or at most
    `few_values` values), or over those that are numbers where none is a class; at most `outcomes` of them,
    in the order of the schema. Every other column predicts an outcome (Esteban et al. 2017, arXiv
    1706.02633). A class is scored by the mean over classes of the AUROC, one against the rest; a number by
    R2. Learners and equal sizes are frozen in protocol.yaml. Rows without an outcome are dropped and counted;
    an outcome that cannot be measured is left out of the mean and named.

    Range and direction: AUROC 0 to 1, 0.5 is chance; R2 at most 1, 0 is the mean; higher is better. The
    interval is over held-out patients, each of whom counts in all outcomes at once; `reference` is the same
    model trained on the training table. `details` has the paired difference to it, logistic (or ridge)
    regression, each outcome with the same numbers and its classes (also the risks' AUPRC, Brier score and
    calibration slope, of more than two classes the mean), what was left out and why, `groups`: the trees'
    score within each protected group, intersection and site, and `sites`: each site predicted by the other
    sites' patients, where the schema has a site (see `ehrsynth.evaluation.utility.sites`).
    """
    tables = Tables(*(matrix(t, schema) for t in (synthetic, train, holdout)))
    tasks = [task(outcome, tables, seed) for outcome in outcomes(schema)]
    left_out = {
        t.outcome.name: {"reason": why, "rows_without_outcome": t.unknown}
        for t in tasks
        if (why := why_not(t))
    }
    details: dict[str, Any] = {"left_out": left_out}
    if not tasks:
        return _not_measured("no column with the role outcome is a number or has few enough values", details)
    measured = [t for t in tasks if t.outcome.name not in left_out]
    if not measured:
        return _not_measured("; ".join(f"{n}: {said['reason']}" for n, said in left_out.items()), details)
    score = _score(schema, tables, measured, details, seed=seed, progress=part(progress, 0.0, _SITES))
    details["sites"] = sites_left_out(schema, tables, seed=seed, progress=part(progress, _SITES, 1.0))
    return score


def _not_measured(why: str, details: dict[str, Any]) -> Score:
    return Score(_NAME, None, None, None, None, "higher", details, f"not measurable here: {why}")


def _score(
    schema: Schema,
    tables: Tables,
    tasks: list[Task],
    details: dict[str, Any],
    *,
    seed: int,
    progress: Progress | None,
) -> Score:
    found = [
        predict(one, seed, part(progress, place / len(tasks), (place + 1) / len(tasks)))
        for place, one in enumerate(tasks)
    ]
    bounds = tasks[0].bounds  # all outcomes are classes, or all are numbers
    mean = _in_numbers(mean_of(found), bounds)
    details |= {
        "measure": "AUROC" if is_class(tasks[0].outcome) else "R2",
        "difference": mean["difference"],
        "learners": mean["learners"],
        "outcomes": {t.outcome.name: _of_one(t, pairs) for t, pairs in zip(tasks, found, strict=True)},
        "groups": _groups(schema, tables, tasks, [pairs["boosted_trees"] for pairs in found]),
        "protocol": protocol().hash,
    }
    return Score(_NAME, mean["value"], mean["low"], mean["high"], mean["reference"], "higher", details)


def _groups(schema: Schema, tables: Tables, tasks: list[Task], found: list[Pair]) -> dict[str, Any]:
    """What was learnt from all patients, tested on the held-out ones of a group; the mean over outcomes."""

    def mean(one: Stratum, predictions: list[Prediction]) -> float | None:
        each = [within(t, p, one.masks[0]) for t, p in zip(tasks, predictions, strict=True)]
        known = [value for value in each if value is not None]
        return float(np.mean(known)) if known else None

    def score(one: Stratum) -> dict[str, float | None]:
        sides = [pair.synthetic for pair in found], [pair.real for pair in found]
        return dict(zip(("value", "reference"), (mean(one, side) for side in sides), strict=True))

    return by_group(strata(schema, (tables.holdout, tables.synthetic, tables.train)), score)


def _in_numbers(pairs: Pairs, bounds: tuple[float, float]) -> dict[str, Any]:
    trees = pairs["boosted_trees"]
    return {
        **trees.estimate(bounds)._asdict(),
        "reference": trees.real.value,
        "difference": trees.difference()._asdict(),
        "learners": {
            name: pair.estimate(bounds)._asdict() | {"reference": pair.real.value}
            for name, pair in pairs.items()
        },
    }


def _of_one(task: Task, pairs: Pairs) -> dict[str, Any]:
    trees = pairs["boosted_trees"]
    classes = {
        name: {"value": score, "reference": trees.real.classes[name]}
        for name, score in trees.synthetic.classes.items()
    }
    return _in_numbers(pairs, task.bounds) | {
        "classes": classes,
        "risks": {n: {"synthetic": p.synthetic.risks, "reference": p.real.risks} for n, p in pairs.items()},
        "rows_without_outcome": task.unknown,
        "rows_used_to_learn": len(task.synthetic),
        "rows_tested": len(task.holdout),
    }
