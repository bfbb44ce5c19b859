"""Does what was learnt at synthetic hospitals hold at a real one that none of the teachers came from?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ehrsynth.evaluation.learners import LearnerName
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import is_listed, level_name
from ehrsynth.evaluation.utility.prediction import (
    Pair,
    Pairs,
    Prediction,
    Tables,
    codes,
    compare,
    mean_of,
    outcomes,
    task,
    why_not,
)
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import LearntColumn, Schema

_LEARNER: LearnerName = "logistic_regression"


def sites_left_out(schema: Schema, tables: Tables, *, seed: int, progress: Progress) -> dict[str, Any] | None:
    """Leave one site out: its real patients are predicted from the patients of all other sites.

    Logistic (or ridge) regression learns from the synthetic patients of the other sites and is tested on the
    held-out real ones of the site left out; `reference` is the same from the real training patients of the
    other sites. The mean over the outcomes of `train_synthetic_test_real`, AUROC or R2, higher is better. At
    most the protocol's `sites` largest sites with `site_minimum` held-out patients each; patients whose site
    is missing teach nobody. The site itself predicts nothing.

    Returns
    -------
    dict or None
        Column, learner, each site's value with its interval, reference and paired difference, the same on
        average over sites, and why others were left out. None where no column with the role site is listed.
    """
    site = next((c for c in schema.learnt if "site" in c.roles and is_listed(c)), None)
    if site is None:
        return None
    held = codes(tables.holdout, site)
    counts = np.bincount(held[held >= 0], minlength=site.size)
    large = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code] >= _least()]
    chosen, measured, left_out = large[: protocol().sites], [], {}
    pairs: list[Pair] = []
    for place, code in enumerate(chosen):
        progress(place / len(chosen), "train on the other sites, test on one left out")
        found = _one(schema, site, code, tables, seed)
        if found is None:
            left_out[level_name(site, code)] = "no outcome can be measured there"
            continue
        pairs.append(found)
        measured.append({"site": level_name(site, code), "patients": int(counts[code]), **_numbers(found)})
    return {
        "column": site.name,
        "learner": _LEARNER,
        "measured": measured,
        "mean": _numbers(_over_sites(pairs)) if pairs else None,
        "left_out": left_out,
        "too_small": int((counts > 0).sum()) - len(large),
        "beyond_the_largest": len(large) - len(chosen),
    }


def _least() -> int:
    return max(1, protocol().site_minimum)


def _one(schema: Schema, site: LearntColumn, code: int, tables: Tables, seed: int) -> Pair | None:
    parts = []
    for name, table in zip(Tables._fields, tables, strict=True):
        at = codes(table, site)
        rows = at == code if name == "holdout" else (at >= 0) & (at != code)
        rng = numpy_generator(seed, "sites", name)
        parts.append(table.rows(rows).without([site.name]).shuffled(rng, protocol().side_rows))
    tasks = [task(outcome, Tables(*parts), seed) for outcome in outcomes(schema) if outcome.name != site.name]
    found: list[Pairs] = [{_LEARNER: compare(one, _LEARNER, seed)} for one in tasks if not why_not(one)]
    return mean_of(found)[_LEARNER] if found else None


def _over_sites(pairs: Sequence[Pair]) -> Pair:
    """The mean over sites, whose patients are disjoint."""
    sides = []
    for name in Pair._fields:
        each: list[Prediction] = [getattr(pair, name) for pair in pairs]
        rows = sum(len(one.influence) for one in each)
        scaled = [one.influence * (rows / len(one.influence) / len(each)) for one in each]
        sides.append(Prediction(float(np.mean([one.value for one in each])), np.concatenate(scaled), {}))
    return Pair(*sides)


def _numbers(pair: Pair) -> dict[str, Any]:
    return {
        **pair.estimate((-np.inf, 1.0))._asdict(),
        "reference": pair.real.value,
        "difference": pair.difference()._asdict(),
    }
