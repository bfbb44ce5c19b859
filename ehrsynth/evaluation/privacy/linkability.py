"""Can two halves of a patient's record be joined through the synthetic table?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Mask, Matrix, matrix
from ehrsynth.evaluation.privacy.nearest import (
    Placed,
    affordable,
    blocks,
    distances,
    listed_columns,
    nearest,
    place,
)
from ehrsynth.evaluation.privacy.success import Successes, worst
from ehrsynth.evaluation.privacy.unseen import unseen_patients
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

_NAME = "linkability"
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
    different members.

    Range and direction: 0 to 1, lower is safer.
    """
    made, known = matrix(synthetic, schema), matrix(members, schema)
    unseen = unseen_patients(non_members, reference, schema)
    halves = halves_of(made, schema, seed)
    if halves is None:
        return worst(_NAME, [], if_none=f"{2 * _LEAST} columns are needed")
    if not min(len(made), len(known), len(unseen)):
        return worst(_NAME, [], if_none="a table has no rows")
    most, listed = affordable(len(made)), listed_columns(made)
    space = place(made, made)
    targets = place(known.shuffled(numpy_generator(seed, _NAME, "members"), most), made)
    control = place(unseen.shuffled(numpy_generator(seed, _NAME, "unseen"), most), made)
    linked, by_chance = _links(targets, space, halves, listed, part(progress, 0.0, 0.5))
    control_linked, _ = _links(control, space, halves, listed, part(progress, 0.5, 1.0))
    columns = {
        "halves": halves.how,
        "first": [made.names[c] for c in halves.first],
        "second": [made.names[c] for c in halves.second],
    }
    found = Successes(
        "both halves",
        linked,
        len(targets),
        control_linked,
        len(control),
        by_chance / len(targets),
        details=columns,
    )
    return worst(_NAME, [found], if_none="")


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


def _links(targets: Placed, space: Placed, halves: Halves, listed: Mask, report: Progress) -> tuple[int, int]:
    """How many targets are linked, and how many are linked with the second half of the target before them."""
    linked = wrong = 0
    for rows in blocks(len(targets), len(space)):
        report(rows.start / len(targets), "linkability")
        block = targets.rows(rows)
        first, second = (
            nearest(distances(block, space, half, listed)) for half in (halves.first, halves.second)
        )
        linked += _joined(first, second)
        wrong += _joined(first, np.roll(second, 1, axis=0)) if len(block) > 1 else 0
    return linked, wrong


def _joined(first: Mask, second: Mask) -> int:
    common = (first & second).sum(axis=1)
    return int(((common >= 1) & (common <= protocol().attacks.crowd)).sum())
