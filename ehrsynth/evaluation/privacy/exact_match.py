"""Do patients, or values that nobody else has, stand in the synthetic table as they are?"""

from dataclasses import replace

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, row_hashes
from ehrsynth.evaluation.privacy.graded import graded
from ehrsynth.evaluation.privacy.success import rates, worst
from ehrsynth.evaluation.privacy.targets import Scene, scene
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

_NAME = "exact_match"


def exact_match(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How many members are in the synthetic table as they are, or hold odd values that occur there.

    Rows: whether the patient's row equals a synthetic row in every learnt column. Values: a generator that
    repeats the numbers it saw gives its members away by values that no reference patient has; each such value
    that occurs in the synthetic table counts by how surprising it is: the logarithm of one over the share of
    the reference's own lone values in that column that occur there. The worse of the two is reported.
    Control: non-members; for rows the reference too.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded` for the values.
    """
    del progress  # it takes no time
    there = scene((members, non_members, reference, synthetic), schema, seed=seed)
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    match = np.isin(row_hashes(there.everybody.values), row_hashes(there.synthetic.values)).astype(np.float64)
    exact = rates("rows", *there.parted(match), None)
    # Who is met is called a member: a ranking of two ranks. So a table so coarse that everybody is met, which
    # tells nothing, is measured as telling nothing.
    told = there.evidence(_NAME, "rows", match, graded=True)
    support = graded(_NAME, there, {"values": surprise(there)})
    rows = worst(_NAME, [exact], if_none="", evidence=[told])
    ranked = [risk for risk in (rows, support) if risk.high is not None]
    chosen = max(ranked, key=lambda risk: risk.high or 0.0) if ranked else rows
    variants = [*rows.details["variants"], *support.details["variants"]]
    left_out = {**rows.details["left_out"], **support.details["left_out"]}
    details = {**support.details, **chosen.details, "variants": variants, "left_out": left_out}
    return replace(chosen, details=details, evidence=(*rows.evidence, *support.evidence))


def surprise(there: Scene) -> Floats:
    """For each attacked patient, summed over columns: how surprising it is that a lone value is synthetic."""
    found = np.zeros(len(there.both))
    for column, values in enumerate(there.both.values.T):
        made, real = there.synthetic.values[:, column], there.reference.values[:, column]
        levels, counts = np.unique(real[~np.isnan(real)], return_counts=True)
        lone = levels[counts == 1]
        weight = np.log((1 + len(lone)) / (1 + np.isin(lone, made).sum()))
        found += weight * (np.isin(values, made) & ~np.isin(values, levels) & ~np.isnan(values))
    return found
