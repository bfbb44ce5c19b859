"""Numbers that a rule bounds by an earlier one: a death that is not before the admission.

Trees see the earlier number coarsely, so that a link draws values beyond it. Were the whole row then given
back, such patients would become fewer than they are: the dead, where only the dead have a date of death. So
the value alone is drawn again, until the rule is kept; whether it is missing stays as it was drawn. The
column's conditional is thereby the link's, among present values cut at the bound: densities divide by the
probability to keep it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.features import Features
from ehrsynth.generators.chain.link import AbstractLink
from ehrsynth.schema import Inequality, Schema
from ehrsynth.tables.grids import Grid

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Draws codes for the rows of these numbers, inside a set, with the probability of the set in each.
Draws = Callable[[Codes, CodeSet | None], tuple[Codes, Floats]]

# How many values are drawn for a row at a time, until one keeps the bounds: few calls, whatever the bound is.
# Where none does, the row fails the final check as any other.
TRIES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Bound:
    """A column on `grid` is at most (`below`) or at least the column at place `other`, or strictly so."""

    grid: Grid
    other: int
    other_grid: Grid
    below: bool
    strict: bool

    def broken(self, own: Codes, rows: Codes) -> Mask:
        """Where a code breaks the rule in its row; a missing value breaks none.

        Parameters
        ----------
        own, rows
            n codes of the column, and n x learnt columns.
        """
        mine, others = self.grid.values(own), self.other_grid.values(rows[:, self.other])
        low, high = (mine, others) if self.below else (others, mine)
        found: Mask = (low >= high) if self.strict else (low > high)
        return found

    def outermost(self, rows: Codes) -> Codes:
        """The last code of the column that keeps the rule in each row, or the first where `below` is False.

        It lies one beyond the grid where no code keeps it.
        """
        others = self.other_grid.values(rows[:, self.other])
        near = self.grid.codes(others)
        # The point nearest to the other value keeps the rule, or the one before it does.
        near = np.where(self.broken(near, rows), near + (-1 if self.below else 1), near)
        return np.asarray(np.where(np.isnan(others), self.grid.size - 1 if self.below else 0, near), np.int64)


def bounds_of(schema: Schema, order: Sequence[int]) -> list[tuple[Bound, ...]]:
    """For each step of a chain in this order the rules that bound its column by an earlier one."""
    places = {column.name: place for place, column in enumerate(schema.learnt)}
    step = {place: number for number, place in enumerate(order)}
    found: list[list[Bound]] = [[] for _ in order]
    for rule in schema.constraints:
        if isinstance(rule, Inequality):
            low, high = places[rule.low], places[rule.high]
            own, other = (low, high) if step[low] > step[high] else (high, low)
            grids = [encoding(schema.learnt[place]).grid for place in (own, other)]
            found[step[own]].append(Bound(grids[0], other, grids[1], own == low, rule.strict))
    return [tuple(bounds) for bounds in found]


def log_cut(
    link: AbstractLink, features: Features, rows: Codes, bounds: Sequence[Bound], *, size: int
) -> Floats:
    """What the cut at the bounds adds to the log density of a present value that keeps them, for each row.

    Parameters
    ----------
    features, rows
        What the link sees of n rows, and the rows themselves: n x learnt columns.
    size
        The number of the column's present values.
    """
    low, high = np.zeros(len(rows), np.int64), np.full(len(rows), size - 1)
    everything = link.mass(features, low, high)
    for bound in bounds:
        end = bound.outermost(rows)
        low, high = (low, np.minimum(high, end)) if bound.below else (np.maximum(low, end), high)
    kept = link.mass(features, low, high)
    possible = (kept > 0) & (everything > 0)
    return np.asarray(np.log(np.divide(everything, kept, out=np.ones(len(rows)), where=possible)))


def draw_bounded(
    draw: Draws, bounds: Sequence[Bound], rows: Codes, *, allowed: CodeSet | None, size: int
) -> tuple[Codes, Floats, int]:
    """A code for each row that keeps the bounds, the weight of the set in it, and the number of draws.

    The weight is the probability of the set under the cut conditional: exact where the set holds every
    present value or none. Else it is an estimate without bias: 0 where the drawn code breaks a bound,
    and otherwise the link's mass times the number of free draws until one keeps the bounds, whose mean is one
    over the probability of doing so.

    Parameters
    ----------
    rows
        n x learnt columns, the earlier of which stand.
    size
        The number of the column's present values.
    """
    present = CodeSet(((0, size - 1),), missing=False)

    def broken(codes: Codes, at: Codes) -> Mask:
        found: Mask = np.logical_or.reduce([bound.broken(codes, rows[at]) for bound in bounds])
        return found

    def until_kept(at: Codes) -> tuple[Codes, Codes, int]:
        """Present codes that keep the bounds, which draw gave each (1 for the first), and all draws."""
        found, tries = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
        waiting, before, draws = np.arange(len(at)), 0, len(rows)
        for together in TRIES:
            if not len(waiting):
                break
            again = np.repeat(at[waiting], together)
            (drawn, _), draws = draw(again, present), draws + len(again)
            kept = ~broken(drawn, again).reshape(-1, together)
            first = np.where(kept.any(axis=1), kept.argmax(axis=1), together - 1)
            found[waiting] = drawn.reshape(-1, together)[np.arange(len(waiting)), first]
            tries[waiting] = before + first + 1
            waiting, before = waiting[~kept.any(axis=1)], before + together
        return found, tries, draws

    everyone = np.arange(len(rows))
    codes, mass = draw(everyone, allowed)
    wrong = broken(codes, everyone)
    if allowed is None or allowed.covers(size):
        again = np.flatnonzero(wrong)
        codes[again], _, draws = until_kept(again)
        return codes, mass, draws
    asked = np.flatnonzero(~wrong & (codes >= 0) & (mass > 0))
    _, tries, draws = until_kept(asked)
    mass = np.where(wrong, 0.0, mass)
    mass[asked] *= tries
    return codes, mass, draws
