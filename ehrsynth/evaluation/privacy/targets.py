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
    """The four tables as an attacker meets them: whom to attack, and what to learn from."""

    members: Targets
    non_members: Targets
    reference: Matrix
    synthetic: Matrix

    @property
    def empty(self) -> bool:
        """Whether a table has no rows."""
        return not min(len(table) for table in self)

    @property
    def both(self) -> Matrix:
        """All attacked patients in one table, members first: what tells nothing of who is one."""
        return Matrix(
            self.synthetic.columns,
            np.vstack([self.members.table.values, self.non_members.table.values]),
        )

    def parted(self, values: Floats) -> tuple[Floats, Floats]:
        """Values of `both`: those of the members, and those of the non-members."""
        return values[: len(self.members)], values[len(self.members) :]

    def evidence(self, attack: str, variant: str, values: Floats, *, graded: bool) -> Evidence:
        """Values of `both` as evidence."""
        members, non_members = self.parted(values)
        return Evidence(
            attack, variant, graded, self.members.to_rows(members), self.non_members.to_rows(non_members)
        )


def scene(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame],
    schema: Schema,
    *,
    seed: int,
    most: int | None = None,
) -> Scene:
    """Members, non-members, reference and synthetic table; of the first two at most `most` are attacked."""
    members, non_members, reference, synthetic = tables
    return Scene(
        targets(members, schema, seed, "members", most),
        targets(non_members, schema, seed, "non-members", most),
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


def further(there: Scene, reference: pd.DataFrame, schema: Schema, seed: int) -> Targets:
    """Patients of the reference as more of a control, for attacks that learn nothing from it.

    No more than as many as members or non-members are attacked, whichever are more: the dearer the attack,
    the fewer they are.
    """
    most = max(len(there.members), len(there.non_members)) - len(there.non_members)
    return targets(reference, schema, seed, "reference", max(0, most))
