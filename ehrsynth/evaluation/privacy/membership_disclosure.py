"""Is a patient whom some synthetic row equals in nearly all columns likelier a member?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy.cells import cells
from ehrsynth.evaluation.privacy.graded import graded
from ehrsynth.evaluation.privacy.nearest import affordable, blocks, differing
from ehrsynth.evaluation.privacy.success import worst
from ehrsynth.evaluation.privacy.targets import Scene, scene
from ehrsynth.progress import Progress, silent
from ehrsynth.schema import Schema

_NAME = "membership_disclosure"
_BINS = 20  # equally full; numbers of one bin count as equal
_MOST = 5  # columns by which a match may differ, as in the paper


def membership_disclosure(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How many members stand out by a synthetic row that differs from them in few columns.

    The attack of El Emam, Mosquera and Fang (2022, doi 10.1093/jamiaopen/ooac083): whoever a synthetic row
    matches within h columns (Hamming distance, h from 0 to 5) is called a member. The score for each patient
    is the number of columns by which the nearest synthetic row differs, numbers in 20 equally full bins.
    Control: patients whom the generator never saw (non-members and reference: nothing is learnt from it).

    Their measure is F1, the harmonic mean of precision and recall, in a set of patients of whom as large a
    share are members as of the population: the sampling fraction. A set of any other share gives another F1.
    `details["f1"]` has it for each h, in expectation over such sets, beside that of calling everybody a
    member, and the gain in F1 over that as a share of what was left to gain. The sampling fraction is the
    training patients over the schema's `population`; where the schema does not say it, over all patients of
    this table, which `details` says. The gate looks at members recognised, as for every attack on membership.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded`.
    """
    tables = (members, non_members, reference, synthetic)
    there = scene(tables, schema, seed=seed, most=affordable(len(synthetic)))
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    found = _closest(there, progress or silent)
    risk = graded(_NAME, there, {"columns that differ": -found})
    rows = len(members) + len(non_members) + len(reference)
    return replace(risk, details={**risk.details, **_f1(*there.parted(found), len(members), rows, schema)})


def _closest(there: Scene, report: Progress) -> Floats:
    """In how many columns the nearest synthetic row differs from each patient."""
    made = cells(there.synthetic, there.synthetic, _BINS).astype(np.float64)
    known = cells(there.everybody, there.synthetic, _BINS).astype(np.float64)
    made = np.unique(made, axis=0)  # equal rows are equally far
    found = np.empty(len(known))
    for rows in blocks(len(known), len(made)):
        report(rows.start / len(known), "membership disclosure")
        found[rows] = np.rint(differing(known[rows], made)).min(axis=1)
    return found


def _f1(members: Floats, others: Floats, trained: int, rows: int, schema: Schema) -> dict[str, Any]:
    declared = schema.population is not None and schema.population.value >= rows
    population = schema.population.value if schema.population and declared else rows
    share = trained / population
    naive = f1(share, 1.0, 1.0)
    curve = []
    for most in range(_MOST + 1):
        recall, alarms = float((members <= most).mean()), float((others <= most).mean())
        value = f1(share, recall, alarms)
        gain = (value - naive) / (1 - naive) if naive < 1 else 0.0
        curve.append({"columns": most, "recall": recall, "false_alarms": alarms, "f1": value, "gain": gain})
    return {
        "sampling_fraction": share,
        "population_is": "declared by the schema" if declared else "the patients of this table",
        "f1_of_calling_everybody_a_member": naive,
        "f1": curve,
        "largest_gain": max(one["gain"] for one in curve),
    }


def f1(share: float, recall: float, alarms: float) -> float:
    """F1 among patients of whom `share` are members, 0 to 1; 0 where nobody is called a member.

    2 s r / (s r + (1 - s) a + s) of the share s, the rate r of members called members and the rate a of
    others called so.

    >>> f1(0.5, 1.0, 1.0), f1(0.5, 0.0, 0.0), f1(0.1, 1.0, 0.0)
    (0.6666666666666666, 0.0, 1.0)
    """
    called = share * recall + (1 - share) * alarms
    return 2 * share * recall / (called + share) if called else 0.0
