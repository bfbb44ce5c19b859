"""Do rare categories survive?"""

from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.groups import mean_of_known, one_by_one, random_groups, score_of
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema
from ehrsynth.tables.grids import grid


def rare_categories(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """How much of the rare diagnoses, drugs and other categories is left: the mean share of their frequency.

    A category is rare when fewer than `rare_share` of the held-out patients who have a value have it, and at
    least `rare_minimum` patients do (protocol.yaml). Each counts by how often synthetic patients have it over
    how often held-out ones do, at most 1: 0 when it is lost, 0.5 when it is half as frequent, 1 when it is
    kept. After the category coverage of sdmetrics, which asks only whether a category occurs at all.

    Range and direction: 0 to 1, higher is better. The interval is a jackknife over groups of patients;
    `reference` is the training table against the holdout: a little below 1, by chance. `details` has for each
    column how many categories are rare and how many of them no synthetic patient has, never which, and how
    many of the columns' rare categories are left within each protected group, intersection and site.
    """
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    chosen = _rare(real)
    found, reference = (_kept(real, table, chosen, seed) for table in (other, fresh))
    details = {
        "rare": len(chosen),
        "lost": int((found[0] == 0).sum()) if len(chosen) else 0,
        "columns": _columns(real, chosen, found[0]),
        "groups": _groups(schema, (real, other, fresh), seed),
    }
    return score_of(
        "rare_categories",
        mean_of_known(found) if len(chosen) else np.full(1 + protocol().groups, np.nan),
        mean_of_known(reference) if len(chosen) else np.full(1 + protocol().groups, np.nan),
        better="higher",
        details=details,
        unknown="no category is rare among held-out patients",
    )


def _rare(real: Matrix) -> list[tuple[int, int]]:
    """Column and code of each rare category."""
    found = []
    for place in np.flatnonzero(real.discrete):
        codes = grid(real.columns[place]).codes(real.values[:, place])
        counts = np.bincount(codes[codes >= 0])
        rare = (counts >= protocol().rare_minimum) & (counts < protocol().rare_share * counts.sum())
        found += [(int(place), int(code)) for code in np.flatnonzero(rare)]
    return found


def _kept(real: Matrix, other: Matrix, chosen: list[tuple[int, int]], seed: int) -> Floats:
    """(1 + groups) x rare categories: the share of the frequency that is left, at most 1."""
    shares = [_shares(table, chosen, seed, name) for table, name in ((real, "real"), (other, "other"))]
    known = shares[0] > 0
    ratio = np.divide(shares[1], shares[0], out=np.full_like(shares[0], np.nan), where=known)
    return np.asarray(np.minimum(ratio, 1.0))


def _shares(table: Matrix, chosen: list[tuple[int, int]], seed: int, name: str) -> Floats:
    group, groups = random_groups(len(table), seed, name), protocol().groups
    shares = np.empty((1 + groups, len(chosen)))
    for entry, (place, code) in enumerate(chosen):
        values, column = table.values[:, place], table.columns[place]
        known = ~np.isnan(values)
        has = known & (values == grid(column).value(code))
        counts = [np.bincount(group[mask], minlength=groups) for mask in (has, known)]
        left = [np.concatenate([[c.sum()], c.sum() - c]) for c in counts]
        shares[:, entry] = left[0] / np.maximum(left[1], 1)
    return shares


def _columns(real: Matrix, chosen: list[tuple[int, int]], kept: Floats) -> list[dict[str, Any]]:
    places = np.array([place for place, _ in chosen], dtype=np.int64)
    return [
        {
            "column": real.names[place],
            "rare": int((places == place).sum()),
            "lost": int((kept[places == place] == 0).sum()),
            "score": one_by_one([float(kept[places == place].mean())])[0],
        }
        for place in np.unique(places)
    ]


def _groups(schema: Schema, tables: tuple[Matrix, Matrix, Matrix], seed: int) -> dict[str, Any]:
    def score(one: Stratum) -> dict[str, Any]:
        real, other, fresh = (t.rows(mask) for t, mask in zip(tables, one.masks, strict=True))
        chosen = _rare(real)
        if not chosen:
            return {"rare": 0, "value": None, "reference": None}
        value, reference = (float(_kept(real, table, chosen, seed)[0].mean()) for table in (other, fresh))
        return {"rare": len(chosen), "value": value, "reference": reference}

    return by_group(strata(schema, tables), score)
