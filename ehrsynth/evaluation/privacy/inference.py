"""Can a patient's secret be guessed from the synthetic patients that are most like them?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, is_discrete, matrix
from ehrsynth.evaluation.privacy.nearest import TIE, affordable, blocks, distances, listed_columns, place
from ehrsynth.evaluation.privacy.success import rates, worst
from ehrsynth.evaluation.privacy.targets import further, scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.grids import grid

_NAME = "inference"
_VOTERS = 50  # an outcome with more values present is guessed from one of the nearest rows, not by their vote


class _Guessed(NamedTuple):
    """One side's guesses, attacked patients x secrets, and the truth."""

    guesses: Floats
    truth: Floats

    def right(self, place: int, column: LearntColumn) -> Floats:
        """1 right, 0 wrong, NaN without a secret, for each patient."""
        truth = self.truth[:, place]
        hits = guessed_right(self.guesses[:, place], truth, column)
        return np.where(np.isnan(truth), np.nan, hits.astype(np.float64))


def inference(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How often a secret is guessed right from the nearest synthetic patients, beyond the control.

    The attacker knows every other column of a patient and guesses the secret that the synthetic rows nearest
    in these hold (after Giomi et al. 2023, doi 10.56553/popets-2023-0055). Secrets are the columns with the
    role sensitive, else outcome, else a few drawn by the seed; the worst is reported, `details` has each. A
    listed value must be exact; a number lies within `tolerance` of the schema's range. Targets whose secret
    is missing are dropped. Control: the same on patients whom the generator never saw (the non-members and
    the reference, which nothing is learnt from here). Baseline: a draw from the reference's values.

    Range and direction: 0 to 1, lower is safer.
    """
    made = matrix(synthetic, schema).shuffled(numpy_generator(seed, _NAME, "synthetic"))
    there = scene(
        (members, non_members, reference, synthetic), schema, seed=seed, most=affordable(len(synthetic))
    )
    if len(made.columns) < 2:  # noqa: PLR2004
        return worst(_NAME, [], if_none="a secret and one other column are needed")
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    places = sorted(made.place(name) for name in secrets(schema, seed))
    sides = [
        _guessed(table, made, places, part(progress, start, stop))
        for table, start, stop in (
            (there.members.table, 0.0, 0.5),
            (there.non_members.table, 0.5, 0.8),
            (further(there, reference, schema, seed).table, 0.8, 1.0),
        )
    ]
    attempts, evidence = [], []
    for number, secret in enumerate(places):
        column = made.columns[secret]
        known, control, rest = (side.right(number, column) for side in sides)
        baseline = chance_of_a_draw(sides[0].truth[:, number], there.reference.values[:, secret], column)
        attempts.append(rates(column.name, known, np.concatenate([control, rest]), baseline))
        evidence.append(there.evidence(_NAME, column.name, np.concatenate([known, control]), graded=False))
    return worst(_NAME, attempts, if_none="", evidence=evidence)


def _guessed(table: Matrix, made: Matrix, places: list[int], report: Progress) -> _Guessed:
    return _Guessed(_guess(table, made, places, report), table.values[:, places])


def secrets(schema: Schema, seed: int) -> tuple[str, ...]:
    """The columns to guess: sensitive ones, else outcomes, else a few of all."""
    learnt = {column.name for column in schema.learnt}
    for names in (schema.with_role("sensitive"), schema.with_role("outcome")):
        if kept := tuple(name for name in names if name in learnt):
            return kept
    every = sorted(learnt)
    drawn = numpy_generator(seed, _NAME, "secrets").permutation(len(every))[: protocol().attacks.secrets]
    return tuple(every[place] for place in sorted(drawn.tolist()))


def tolerance(column: LearntColumn) -> float:
    """How far off a guess may be: nothing for listed values, a share of the schema's range for numbers."""
    return (
        0.0 if is_discrete(column) else protocol().attacks.tolerance * (grid(column).high - grid(column).low)
    )


def guessed_right(guesses: Floats, truth: Floats, column: LearntColumn) -> Mask:
    """Which guesses count; a missing guess never does. Symmetric in guess and truth, whatever their signs."""
    return np.asarray(np.abs(guesses - truth) <= tolerance(column) + TIE)


def chance_of_a_draw(truth: Floats, reference: Floats, column: LearntColumn) -> float | None:
    """The success rate of guessing each truth by a draw from the reference; None without a value to draw."""
    truth, among = truth[~np.isnan(truth)], np.sort(reference[~np.isnan(reference)])
    if not len(truth) or not len(among):
        return None
    slack = tolerance(column) + TIE
    inside = np.searchsorted(among, truth + slack, side="right") - np.searchsorted(among, truth - slack)
    return float(inside.mean() / len(among))


def _guess(targets: Matrix, made: Matrix, secret: list[int], report: Progress) -> Floats:
    """Targets x secrets: the guesses, NaN where no synthetic row holds a value."""
    listed, everything = listed_columns(made), range(len(made.columns))
    space, placed = place(made, made), place(targets, made)
    ballots = [_Ballot(made.values[:, c], made.columns[c]) for c in secret]
    guesses = np.full((len(targets), len(secret)), np.nan)
    for rows in blocks(len(targets), len(made)):
        report(rows.start / len(targets), "inference")
        block = placed.rows(rows)
        found = distances(block, space, everything, listed)
        for position, (column, ballot) in enumerate(zip(secret, ballots, strict=True)):
            others = found - distances(block, space, [column], listed)
            guesses[rows, position] = ballot.cast(others)
    return guesses


class _Ballot:
    """The synthetic rows' values of one secret, and how the nearest of them decide."""

    def __init__(self, values: Floats, column: LearntColumn) -> None:
        self._present = np.flatnonzero(~np.isnan(values))
        self._values = values[self._present]
        levels, ranks = np.unique(self._values, return_inverse=True)
        self._levels = levels if is_discrete(column) and len(levels) <= _VOTERS else None
        self._votes = np.eye(len(levels), dtype=np.float32)[ranks] if self._levels is not None else None

    def cast(self, found: Floats) -> Floats:
        """The guess for each target from its distances to all synthetic rows."""
        if not len(self._present):
            return np.full(len(found), np.nan)
        found = found if len(self._present) == found.shape[1] else found[:, self._present]
        if self._levels is None or self._votes is None:
            return np.asarray(self._values[found.argmin(axis=1)])
        near = found <= found.min(axis=1, keepdims=True) + TIE
        return np.asarray(self._levels[(near.astype(np.float32) @ self._votes).argmax(axis=1)])
