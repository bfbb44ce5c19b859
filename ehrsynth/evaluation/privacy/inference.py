"""Can a patient's secret be guessed from the synthetic patients that are most like them?"""

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, is_discrete, matrix
from ehrsynth.evaluation.privacy.nearest import TIE, affordable, blocks, distances, listed_columns, place
from ehrsynth.evaluation.privacy.success import rates, worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.grids import grid

_NAME = "inference"
_VOTERS = 50  # an outcome with more values present is guessed from one of the nearest rows, not by their vote


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
    role sensitive or outcome, and two others that are hard to guess; the worst is reported, `details` has
    each. A
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
    places = sorted(made.place(name) for name in secrets(schema, made))
    everybody = there.everybody
    guesses = _guess(everybody, made, places, progress or silent)
    attempts, evidence = [], []
    for guess, secret in zip(guesses.T, places, strict=True):
        column, truth = made.columns[secret], everybody.values[:, secret]
        right = hits(guess, truth, column)
        known, among = there.parted(truth)[0], there.reference.values[:, secret]
        baseline = chance_of_a_draw(known, among, column)
        attempts.append(rates(column.name, *there.parted(right), baseline))
        evidence.append(there.evidence(_NAME, column.name, right, graded=False))
    return worst(_NAME, attempts, if_none="", evidence=evidence)


def secrets(schema: Schema, made: Matrix) -> tuple[str, ...]:
    """The columns to guess: sensitive ones, outcomes, and the two of the others that are hardest to guess.

    A rare disease is nearly always guessed right, from any table: a leak of it shows in few patients. What
    leaks a patient leaks the other columns too, and of those that are hard to guess, one in a hundred already
    shows. What others are likely to know (the quasi-identifiers, the site) comes last.
    """
    learnt = {column.name for column in schema.learnt}
    sensitive = [name for name in schema.with_role("sensitive") if name in learnt]
    outcomes = [name for name in schema.with_role("outcome") if name in learnt]
    likely_known = {*schema.with_role("quasi_identifier"), *schema.with_role("site")}
    others = sorted(
        learnt.difference(sensitive, outcomes), key=lambda n: (n in likely_known, _chance(made, n), n)
    )
    named = [*sensitive, *(name for name in outcomes if name not in sensitive)]
    named = named[: max(len(sensitive), protocol().attacks.secrets)]
    room = max(len(named) == 0, min(protocol().attacks.hardest, len(learnt) // 2 - len(named)))
    return (*named, *others[:room])


def _chance(made: Matrix, name: str) -> float:
    """How often one synthetic value guesses another; 1 where there is none."""
    column, values = made.columns[made.place(name)], made.values[:, made.place(name)]
    found = chance_of_a_draw(values, values, column)
    return 1.0 if found is None else round(found, 6)


def tolerance(column: LearntColumn) -> float:
    """How far off a guess may be: nothing for listed values, a share of the schema's range for numbers."""
    return (
        0.0 if is_discrete(column) else protocol().attacks.tolerance * (grid(column).high - grid(column).low)
    )


def guessed_right(guesses: Floats, truth: Floats, column: LearntColumn) -> Mask:
    """Which guesses count; a missing guess never does. Symmetric in guess and truth, whatever their signs."""
    return np.asarray(np.abs(guesses - truth) <= tolerance(column) + TIE)


def hits(guesses: Floats, truth: Floats, column: LearntColumn) -> Floats:
    """1 right, 0 wrong, NaN for a patient without the secret, who is not attacked."""
    right = guessed_right(guesses, truth, column).astype(np.float64)
    return np.where(np.isnan(truth), np.nan, right)


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
