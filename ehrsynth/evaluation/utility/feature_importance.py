"""Do models of synthetic patients look at the same columns as models of real ones?"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.learners import importance
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility.prediction import codes, is_class, outcomes, target
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import LearntColumn, Schema

_NAME = "feature_importance"
_TABLES = ("train", "synthetic", "holdout")
_ROWS = 100  # patients with the outcome that trees need, and ten leaves of them
_LEVEL = 0.95


class _Found(NamedTuple):
    """One outcome: what predicts it, and resamples x columns of importance for each table."""

    names: tuple[str, ...]
    shares: Mapping[str, Floats]


def feature_importance(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """The share of importance that models of synthetic and of real patients give to the same columns.

    Boosted trees predict each outcome (those of `train_synthetic_test_real`) from all other columns. A
    column's importance is its share of the gain, averaged over bootstrap samples of the patients; two models
    agree by the sum over columns of the smaller of the two shares. The score is the mean over outcomes. The
    three tables are cut to the same number of patients, since noise takes its share of a small table; an
    outcome of which trees learn nothing from the training table is left out and named.

    Range and direction: 0 to 1, higher is closer; 1 is the same shares. The interval is Student's, its error
    that of single bootstrap samples and therefore on the wide side. `reference` is the agreement of held-out
    with training patients: two samples of the same patients do not reach 1. `details` has each outcome's
    agreement and the shares of its columns in all three tables.
    """
    report = progress or silent
    tables = dict(zip(_TABLES, (matrix(t, schema) for t in (train, synthetic, holdout)), strict=True))
    chosen = outcomes(schema)
    left_out: dict[str, str] = {}
    found: dict[str, _Found] = {}
    for place, outcome in enumerate(chosen):
        report(place / len(chosen), f"feature importance: {outcome.name}")
        one = _importances(outcome, tables, seed)
        if isinstance(one, str):
            left_out[outcome.name] = one
        else:
            found[outcome.name] = one
    details: dict[str, Any] = {
        "left_out": left_out,
        "outcomes": {n: _of_one(one) for n, one in found.items()},
    }
    if not found:
        why = "; ".join(f"{n}: {w}" for n, w in left_out.items()) or "no outcome that can be predicted"
        return Score(_NAME, None, None, None, None, "higher", details, f"not measurable here: {why}")
    value, reference = (
        float(np.mean([_agreement(one, name) for one in found.values()])) for name in _TABLES[1:]
    )
    resampled = np.mean([_resampled(one) for one in found.values()], axis=0)
    quantile = float(stats.t.ppf(0.5 + _LEVEL / 2, len(resampled) - 1))
    half = quantile * float(resampled.std(ddof=1))
    return Score(_NAME, value, max(0.0, value - half), min(1.0, value + half), reference, "higher", details)


def _importances(outcome: LearntColumn, tables: Mapping[str, Matrix], seed: int) -> _Found | str:
    """The importances for one outcome, or why there are none."""
    known = {name: t.rows(~np.isnan(target(t, outcome))) for name, t in tables.items()}
    rows = min(protocol().side_rows, *(len(t) for t in known.values()))
    if rows < _ROWS:
        return f"{_ROWS} rows of each table need a known outcome"
    shares = {}
    for name, table in known.items():
        part = table.shuffled(numpy_generator(seed, "importance", name), rows)
        shares[name] = _shares(part, outcome, seed, name)
    if not shares["train"].any():
        return "trees learn nothing of it from the training table"
    return _Found(known["train"].without([outcome.name]).names, shares)


def _shares(table: Matrix, outcome: LearntColumn, seed: int, name: str) -> Floats:
    """Resamples x columns: the shares of gain in trees of one bootstrap sample each."""
    # The path is without the outcome: every outcome is predicted for the same resampled patients.
    rng = numpy_generator(seed, "importance", "resamples", name)
    truth = codes(table, outcome) if is_class(outcome) else target(table, outcome)
    features, classes = table.without([outcome.name]), outcome.size if is_class(outcome) else 0
    rounds = protocol().importance_rounds
    small = small_seed(seed, "importance", "trees")
    drawn = [rng.integers(len(table), size=len(table)) for _ in range(protocol().resamples)]
    return np.stack(
        [importance(features.rows(d), truth[d], classes, rounds=rounds, seed=small) for d in drawn]
    )


def _agreement(one: _Found, name: str) -> float:
    return float(np.minimum(_mean(one.shares["train"]), _mean(one.shares[name])).sum())


def _resampled(one: _Found) -> Floats:
    return np.asarray(np.minimum(one.shares["train"], one.shares["synthetic"]).sum(axis=1))


def _mean(shares: Floats) -> Floats:
    mean = shares.mean(axis=0)
    return np.asarray(mean / (mean.sum() or 1.0))


def _of_one(one: _Found) -> dict[str, Any]:
    shares = [_mean(one.shares[name]).tolist() for name in _TABLES]
    return {
        "value": _agreement(one, "synthetic"),
        "reference": _agreement(one, "holdout"),
        "columns": [
            {"column": name, "real": a, "synthetic": b, "holdout": c}
            for name, a, b, c in zip(one.names, *shares, strict=True)
        ],
    }
