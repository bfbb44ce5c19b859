"""Can two halves of a patient's record be joined through the synthetic table?"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix
from ehrsynth.evaluation.privacy.nearest import (
    Placed,
    affordable,
    blocks,
    distances,
    listed_columns,
    nearest,
    place,
)
from ehrsynth.evaluation.privacy.success import rates, worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

_NAME = "linkability"
_WHAT = "both halves"
_LEAST = 2  # columns of a half


class Halves(NamedTuple):
    """Column positions of the two data sources that the attacker wants to join, and how they were split."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    how: str


def linkability(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How often two halves of a patient's columns lead to the same synthetic patient, beyond the control.

    The attacker holds two data sources, for instance a register with the quasi-identifiers and a file with
    the rest, and joins a patient's halves when the synthetic rows nearest to one half and those nearest to
    the other have a row in common, and at most `crowd` of them (after Giomi et al. 2023, doi
    10.56553/popets-2023-0055, with ties kept). The halves are the quasi-identifiers and the rest where the
    schema names at least two of each; else random halves. Control: the same on patients whom the generator
    never saw (the non-members and the reference, which nothing is learnt from here). Baseline: halves of two
    different patients.

    Range and direction: 0 to 1, lower is safer.
    """
    there = scene(
        (members, non_members, reference, synthetic), schema, seed=seed, most=affordable(len(synthetic))
    )
    made = there.synthetic
    halves = halves_of(made, schema, seed)
    if halves is None:
        return worst(_NAME, [], if_none=f"{2 * _LEAST} columns are needed")
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    listed, space = listed_columns(made), place(made, made)
    linked, wrong = _links(place(there.everybody, made), space, halves, listed, progress or silent)
    attack, control = there.parted(linked)
    details = {
        "halves": halves.how,
        "first": [made.names[c] for c in halves.first],
        "second": [made.names[c] for c in halves.second],
    }
    found = rates(_WHAT, attack, control, float(wrong.mean()))
    evidence = there.evidence(_NAME, _WHAT, linked, graded=False)
    return worst(_NAME, [replace(found, details=details)], if_none="", evidence=[evidence])


def halves_of(made: Matrix, schema: Schema, seed: int) -> Halves | None:
    """The columns in two: quasi-identifiers and the rest if the schema says, else at random; None for few."""
    columns = range(len(made.columns))
    if len(columns) < 2 * _LEAST:
        return None
    outside = set(schema.with_role("quasi_identifier"))
    first = tuple(c for c in columns if made.names[c] in outside)
    second = tuple(c for c in columns if made.names[c] not in outside)
    if min(len(first), len(second)) >= _LEAST:
        return Halves(first, second, "quasi-identifiers and the rest")
    order = [int(c) for c in numpy_generator(seed, _NAME, "halves").permutation(len(columns))]
    middle = len(order) // 2
    return Halves(tuple(sorted(order[:middle])), tuple(sorted(order[middle:])), "random")


def _links(
    targets: Placed, space: Placed, halves: Halves, listed: Mask, report: Progress
) -> tuple[Floats, Floats]:
    """Which targets are linked, and which with the second half of the target before them: 0 or 1 each."""
    linked, wrong = np.zeros(len(targets)), np.zeros(len(targets))
    for rows in blocks(len(targets), len(space)):
        report(rows.start / len(targets), "linkability")
        block = targets.rows(rows)
        first, second = (
            nearest(distances(block, space, half, listed)) for half in (halves.first, halves.second)
        )
        linked[rows] = _joined(first, second)
        wrong[rows] = _joined(first, np.roll(second, 1, axis=0)) if len(block) > 1 else 0
    return linked, wrong


def _joined(first: Mask, second: Mask) -> Mask:
    common = (first & second).sum(axis=1)
    return np.asarray((common >= 1) & (common <= protocol().attacks.crowd))
