"""Are synthetic patients realistic, as varied as real ones, and not copies of them?"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, matrix
from ehrsynth.evaluation.neighbourhoods import neighbourhoods, reach, squared_distances
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import by_group, strata
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.statistics import Estimate, clopper_pearson, interval_of_influence

_NAME = "precision_recall"
_BLOCK = 500  # rows whose distances are held at once


class _Found(NamedTuple):
    """For each of n real and n other patients what the shares are made of.

    `precise`, `dense`, `authentic` are of the other patients, `recalled` and `covered` of the real ones;
    `authentic` is empty where there is no training table to copy from.
    """

    precise: Mask
    dense: Floats
    recalled: Mask
    covered: Mask
    authentic: Mask
    sides: tuple[Matrix, Matrix]


def precision_recall(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """The worse of two shares: synthetic patients who lie among real ones, real ones whom they come near.

    A patient's neighbourhood reaches to their k-th nearest patient of the same table (k, and the most rows
    used, in protocol.yaml). Precision is the share of synthetic patients in the neighbourhood of a held-out
    patient, recall the share of held-out patients in that of a synthetic one (Kynkaanniemi et al. 2019, arXiv
    1904.06991); density counts how many neighbourhoods hold a synthetic patient, over k, and coverage is the
    share of held-out patients with a synthetic one in their neighbourhood, which a single odd patient sways
    less (Naeem et al. 2020, arXiv 2002.09797). The score is the smaller of precision and coverage.
    Authenticity is the share of synthetic patients farther from the nearest training patient than that
    one is from the next (Alaa et al. 2022, arXiv 2102.08921): low where patients were copied. Numbers are
    standardised by the held-out patients, missing and frequent categories are flags; equal sizes.

    Range and direction: 0 to 1, higher is better; density may pass 1. Intervals take the neighbourhoods as
    they are (Clopper and Pearson; normal for density). `reference` is the same for training patients against
    held-out ones; of authenticity, for held-out patients against training ones. `details["groups"]` has all
    of it for each protected group, intersection and site, the neighbourhoods being those of all patients.
    """
    report = progress or silent
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    k = protocol().neighbours
    if min(len(real), len(other)) <= k or not len(real.columns):
        why = f"not measurable here: more than {k} rows of each table are needed"
        return Score(_NAME, None, None, None, None, "higher", {}, why)
    report(0.0, "precision and recall")
    found = _compare(real, other, fresh, seed)
    report(0.5, "precision and recall: reference")
    reference = _compare(real, fresh, None, seed) if len(fresh) > k else None
    authentic = _authentic(real, real, fresh, seed) if len(fresh) > k else np.empty(0, np.bool_)
    measures = _measures(found)
    expected = _references(reference, authentic)
    headline = min(("precision", "coverage"), key=lambda name: measures[name].value)
    details = {
        "rows_used_of_each": len(found.precise),
        "neighbours": k,
        "headline": headline,
        "measures": {n: m._asdict() | {"reference": expected.get(n)} for n, m in measures.items()},
        "groups": _groups(schema, found),
    }
    best = None if reference is None else min(expected["precision"], expected["coverage"])
    return Score(_NAME, *measures[headline], best, "higher", details)


def _references(reference: _Found | None, authentic: Mask) -> dict[str, float]:
    if reference is None:
        return {}
    return {n: m.value for n, m in _measures(reference).items()} | {"authenticity": float(authentic.mean())}


def _measures(found: _Found, real: Mask | None = None, other: Mask | None = None) -> dict[str, Estimate]:
    """The five scores, of all patients or of those chosen by the masks."""
    ours = np.ones(len(found.recalled), np.bool_) if real is None else real
    theirs = np.ones(len(found.precise), np.bool_) if other is None else other
    dense = found.dense[theirs]
    scores = {
        "precision": _share(found.precise[theirs]),
        "recall": _share(found.recalled[ours]),
        "density": interval_of_influence(float(dense.mean()), dense - dense.mean(), bounds=(0.0, np.inf)),
        "coverage": _share(found.covered[ours]),
    }
    if len(found.authentic):
        scores["authenticity"] = _share(found.authentic[theirs])
    return scores


def _share(true: Mask) -> Estimate:
    return Estimate(float(true.mean()), *clopper_pearson(int(true.sum()), len(true)))


def _compare(real: Matrix, other: Matrix, train: Matrix | None, seed: int) -> _Found:
    size, k = min(len(real), len(other), protocol().neighbour_rows), protocol().neighbours
    one = real.shuffled(numpy_generator(seed, "neighbours", "real"), size)
    two = other.shuffled(numpy_generator(seed, "neighbours", "other"), size)
    flags = Flags(real)
    a, b = flags(one), flags(two)
    near = neighbourhoods(a, b, k)
    has_copies = train is not None and len(train) > k
    authentic = _authentic(real, two, train, seed) if train is not None and has_copies else np.empty(0, bool)
    return _Found(*near, authentic, (one, two))


def _authentic(real: Matrix, other: Matrix, train: Matrix, seed: int) -> Mask:
    """Whether each of the others is farther from the nearest training patient than that one's next."""
    most, flags = protocol().neighbour_rows, Flags(real)
    rows = flags(train.shuffled(numpy_generator(seed, "neighbours", "train"), most))
    drawn = flags(
        other if len(other) <= most else other.shuffled(numpy_generator(seed, "neighbours", "other"), most)
    )
    own, authentic = reach(rows, 1), np.zeros(len(drawn), np.bool_)
    for start in range(0, len(drawn), _BLOCK):
        distance = squared_distances(drawn[start : start + _BLOCK], rows)
        nearest = distance.argmin(axis=1)
        authentic[start : start + _BLOCK] = distance[np.arange(len(distance)), nearest] > own[nearest]
    return authentic


def _groups(schema: Schema, found: _Found) -> dict[str, Any]:
    return by_group(
        strata(schema, found.sides),
        lambda one: {name: m._asdict() for name, m in _measures(found, *one.masks).items()},
    )
