"""Who is attacked, and how what is found goes back to the rows of the tables that were given."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Evidence
from ehrsynth.evaluation.matrix import Floats, Matrix, Places, matrix, row_hashes, stacked
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema


class Targets(NamedTuple):
    """Attacked patients, where each stands in the table given, and how many rows that has."""

    table: Matrix
    places: Places
    rows: int

    def __len__(self) -> int:
        return len(self.table)

    def to_rows(self, values: Floats) -> Floats:
        """One value for each row given, NaN for rows not attacked."""
        found = np.full(self.rows, np.nan)
        found[self.places] = values
        return found

    def first(self, most: int) -> "Targets":
        """At most `most` of them."""
        return Targets(self.table.rows(np.arange(min(most, len(self)))), self.places[:most], self.rows)


class Scene(NamedTuple):
    """The four tables as an attacker meets them: whom to attack, and what to learn from.

    An attack that learns from the `reference` attacks `both`. One that learns nothing from it attacks
    `everybody`: then the patients of the reference, as `others`, are further non-members.
    """

    members: Targets
    non_members: Targets
    others: Targets
    reference: Matrix
    synthetic: Matrix

    @property
    def empty(self) -> bool:
        """Whether a table has no rows."""
        sides = (self.members.table, self.non_members.table, self.reference, self.synthetic)
        return not min(len(table) for table in sides)

    @property
    def both(self) -> Matrix:
        """Members and non-members in one table, members first: what tells nothing of who is one."""
        return self._together((self.members, self.non_members))

    @property
    def everybody(self) -> Matrix:
        """The same with the patients of the reference after them."""
        return self._together((self.members, self.non_members, self.others))

    def _together(self, sides: tuple[Targets, ...]) -> Matrix:
        return Matrix(self.synthetic.columns, np.vstack([side.table.values for side in sides]))

    def parted(self, values: Floats) -> tuple[Floats, Floats]:
        """Values of `both` or of `everybody`: those of the members, and those of the others."""
        return values[: len(self.members)], values[len(self.members) :]

    def evidence(self, attack: str, variant: str, values: Floats, *, graded: bool) -> Evidence:
        """Values of `both` or of `everybody` as evidence."""
        ends = np.cumsum([len(self.members), len(self.non_members)])
        members, non_members, others = np.split(values, ends)
        return Evidence(
            attack,
            variant,
            graded,
            self.members.to_rows(members),
            self.non_members.to_rows(non_members),
            self.others.to_rows(others) if len(others) else None,
        )


def scene(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame],
    schema: Schema,
    *,
    seed: int,
    most: int | None = None,
) -> Scene:
    """The four tables; of members, non-members and reference at most `most` each are attacked."""
    members, non_members, reference, synthetic = tables
    return Scene(
        targets(members, schema, seed, "members", most),
        targets(non_members, schema, seed, "non-members", most),
        targets(reference, schema, seed, "reference", most),
        matrix(reference, schema),
        matrix(synthetic, schema),
    )


def targets(table: pd.DataFrame, schema: Schema, seed: int, side: str, most: int | None = None) -> Targets:
    """The patients to attack, in one order for all attacks; fewer are the first of more.

    Rows are sorted by their content before the draw, so that their order in the table does not matter.
    """
    values = stacked(table, schema)
    places = np.argsort(row_hashes(values), kind="stable")
    places = places[numpy_generator(seed, "attacks", side).permutation(len(values))[:most]]
    columns = tuple(sorted(schema.learnt, key=lambda column: column.name))
    return Targets(Matrix(columns, values[places]), places, len(values))
