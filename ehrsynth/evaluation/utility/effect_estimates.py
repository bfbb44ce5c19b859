"""Would a study of the synthetic patients have found the same effects?"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.groups import one_by_one, random_groups
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility.effects import Data, Study, questions, study
from ehrsynth.evaluation.utility.regression import Fit, Kind
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.statistics import jackknife, normal_quantile

_NAME = "effect_estimates"
_TABLES = ("train", "synthetic", "holdout")


class _Compared(NamedTuple):
    """Per coefficient, against the real one: standardised difference, ratio of errors, overlap, agreement."""

    difference: Floats
    ratio: Floats
    overlap: Floats
    agrees: Floats


def effect_estimates(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """By how many standard errors the effects found in synthetic patients miss those found in the real ones.

    For each outcome of the schema one regression on its treatments and baseline covariates, the same on
    every table: logistic for two values, linear for numbers and ordered categories, Cox where the schema has
    time and event (any event, where several compete). Patients with a missing value are left out and
    counted; how columns are chosen stands in `ehrsynth.evaluation.utility.effects`. The score is the mean
    over all coefficients of |synthetic - real| / the real standard error, the real patients being those of
    the training table. Beside it, in `details`: the ratio of the standard errors, Karr's overlap of the 95 %
    intervals (Karr et al. 2006, doi 10.1198/000313006X124640; 1 the same, below 0 apart), and whether
    sign and significance agree, which is shown and decides nothing. A coefficient that does not exist in
    one table, since a column separates the outcome there, is counted and left out.

    Range and direction: at least 0, lower is closer; 0 is the same estimate. The interval is a jackknife over
    groups of patients of both tables; `reference` is the holdout's own miss, about 1.1 where it is as large
    as the training table: other patients of the same population do no better than that.
    """
    report = progress or silent
    tables = [
        _at_most(matrix(t, schema), seed, n)
        for t, n in zip((train, synthetic, holdout), _TABLES, strict=True)
    ]
    studies = [study(question, schema, tables) for question in questions(schema)]
    left_out = {_title(one): one.reason for one in studies if one.reason}
    found = [one for one in studies if not one.reason]
    if not found:
        why = "; ".join(f"{n}: {w}" for n, w in left_out.items()) or "no outcome that a regression can take"
        return Score(
            _NAME, None, None, None, None, "lower", {"left_out": left_out}, f"not measurable here: {why}"
        )
    results, entries = [], {}
    for place, one in enumerate(found):
        report(place / len(found), f"effects: {one.question.outcome.name}")
        result = _measured(one, seed)
        results.append(result)
        entries[_title(one)] = _entry(one, result)
    return _score(results, {"studies": entries, "left_out": left_out, "real": "train"})


class _Result(NamedTuple):
    fits: tuple[Fit, ...]
    synthetic: _Compared
    holdout: _Compared
    left: Floats  # groups x coefficients: the standardised differences with a group left out


def _at_most(table: Matrix, seed: int, name: str) -> Matrix:
    most = protocol().rows
    return table if len(table) <= most else table.shuffled(numpy_generator(seed, "effects", name), most)


def _title(one: Study) -> str:
    return f"{one.question.outcome.name} ({one.question.kind})"


def _measured(one: Study, seed: int) -> _Result:
    kind, tables = one.question.kind, one.tables
    fits = tuple(data.fit(kind) for data in tables)
    real, synthetic = (_left(data, kind, seed, n) for data, n in zip(tables, _TABLES[:2], strict=False))
    left = np.abs(synthetic - real) / fits[0].errors
    return _Result(fits, _compare(fits[0], fits[1]), _compare(fits[0], fits[2]), left)


def _left(data: Data, kind: Kind, seed: int, name: str) -> Floats:
    """Groups x coefficients: the estimates with each random group of patients left out."""
    group = random_groups(data.rows, seed, name)
    return np.stack([data.part(group != g).fit(kind).coefficients for g in range(protocol().groups)])


def _compare(real: Fit, other: Fit) -> _Compared:
    z = normal_quantile(0.95)
    low, high = (np.stack([f.coefficients + s * z * f.errors for f in (real, other)]) for s in (-1, 1))
    shared = high.min(axis=0) - low.max(axis=0)
    overlap = (shared / (high[0] - low[0]) + shared / (high[1] - low[1])) / 2
    said = [
        np.where(np.abs(f.coefficients) > z * f.errors, np.sign(f.coefficients), 0) for f in (real, other)
    ]
    agrees = np.where(np.isnan(overlap), np.nan, said[0] == said[1])
    difference = (other.coefficients - real.coefficients) / real.errors
    return _Compared(difference, other.errors / real.errors, overlap, agrees)


def _score(results: list[_Result], details: dict[str, Any]) -> Score:
    known = np.concatenate([~np.isnan(r.synthetic.difference) for r in results])
    holdout = np.concatenate([np.abs(r.holdout.difference) for r in results])
    expected = float(np.nanmean(holdout)) if not np.isnan(holdout).all() else None
    details |= {
        "coefficients": int(known.sum()),
        "not_estimable": int((~known).sum()),
        "mean": _means([r.synthetic for r in results]),
        "mean_of_holdout": _means([r.holdout for r in results]),
    }
    if not known.any():
        why = "not measurable here: no coefficient exists in both tables"
        return Score(_NAME, None, None, None, expected, "lower", details, why)
    values = np.concatenate([np.abs(r.synthetic.difference) for r in results])
    left = np.concatenate([r.left for r in results], axis=1)
    left = np.where(np.isnan(left), values, left)[:, known]
    value, low, high = jackknife(float(values[known].mean()), left.mean(axis=1))
    return Score(_NAME, value, max(0.0, low), high, expected, "lower", details)


def _means(compared: list[_Compared]) -> dict[str, float | None]:
    columns = {
        "standardised_difference": np.concatenate([np.abs(c.difference) for c in compared]),
        "ratio_of_errors": np.concatenate([c.ratio for c in compared]),
        "overlap": np.concatenate([c.overlap for c in compared]),
        "significance_agrees": np.concatenate([c.agrees for c in compared]),
    }
    return {n: float(np.nanmean(v)) if not np.isnan(v).all() else None for n, v in columns.items()}


def _entry(one: Study, result: _Result) -> dict[str, Any]:
    coefficients = [
        {
            "term": term,
            **{
                name: dict(
                    zip(("estimate", "error"), one_by_one([f.coefficients[k], f.errors[k]]), strict=True)
                )
                for name, f in zip(("real", "synthetic", "holdout"), result.fits, strict=True)
            },
            "synthetic_against_real": _numbers(result.synthetic, k),
            "holdout_against_real": _numbers(result.holdout, k),
        }
        for k, term in enumerate(one.terms)
    ]
    return {
        "outcome": one.question.outcome.name,
        "regression": one.question.kind,
        "coefficients": coefficients,
        "left_out": one.left_out,
        "complete_cases": {n: d.rows for n, d in zip(_TABLES, one.tables, strict=True)},
        "rows": {n: d.among for n, d in zip(_TABLES, one.tables, strict=True)},
    }


def _numbers(compared: _Compared, k: int) -> dict[str, Any]:
    difference, ratio, overlap, agrees = one_by_one([float(column[k]) for column in compared])
    return {
        "standardised_difference": difference,
        "ratio_of_errors": ratio,
        "overlap": overlap,
        "significance_agrees": None if agrees is None else bool(agrees),
    }
