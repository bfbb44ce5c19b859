"""Resampling group by group: what random sampling, the SMOTE family and the cleaners have in common."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.randomness import numpy_generator
from ehrsynth.rebalance._imbalanced_package import Resampled
from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.plan import Plan, Rows, rows_of
from ehrsynth.rebalance.rows import Made, assemble, outcome_values, valid_rows
from ehrsynth.rebalance.space import Space, learn_space
from ehrsynth.rebalance.targets import Direction, staying, wanted
from ehrsynth.schema import Schema
from ehrsynth.tables.origin import COLUMN

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GroupRows:
    """One group's training patients as a sampler meets them.

    `x` has the columns of `space`, complete, n x p; `event` their outcome; `wanted` how many there shall be
    without and with it; `places` where they stand in the training table.
    """

    name: str
    space: Space
    x: Floats
    event: Mask
    wanted: tuple[int, int]
    places: Whole

    @property
    def have(self) -> tuple[int, int]:
        """How many there are without and with the event."""
        return int((~self.event).sum()), int(self.event.sum())

    @property
    def grows(self) -> bool:
        """Whether rows are to be made."""
        return self.wanted[0] > self.have[0] or self.wanted[1] > self.have[1]

    def asking(self, more: tuple[int, int]) -> "GroupRows":
        """The same, wanting so many more than there are."""
        wanted = self.have[0] + more[0], self.have[1] + more[1]
        return GroupRows(self.name, self.space, self.x, self.event, wanted, self.places)


class AbstractResampling(AbstractMethod):
    """Rows of each group are added or taken away until the goal is met; the rest is left as it is."""

    direction: ClassVar[Direction] = "up"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Resample the groups one after the other."""
        rows = rows_of(train, plan, schema)
        space = learn_space(rows.matrix, tuple(n for n in rows.matrix.names if n not in plan.outcomes))
        targets = wanted(train, plan, schema, self.direction)
        stay = staying(rows, targets, seed)
        kept, repeats, made = [stay[rows.group[stay] < 0]], [], []
        for number, group in enumerate(plan.groups):
            places = stay[rows.group[stay] == number]
            if not len(places):
                continue
            here = _group(group.name, space, rows, places, targets[number])
            own, again, new = self._group_of(here, rows, plan, schema, number=number, seed=seed)
            kept.append(own)
            repeats.append(again)
            made += new
        table = assemble(
            train,
            schema,
            kept=np.sort(np.concatenate(kept)),
            repeats=np.concatenate([np.empty(0, np.int64), *repeats]).astype(np.int64),
            made=made,
        )
        return Treatment(self.text, table=table, notes=self._notes(space, table, made))

    def _notes(self, space: Space, table: pd.DataFrame, made: list[Made]) -> dict[str, Any]:
        counts = {str(k): int(v) for k, v in table[COLUMN].value_counts().items() if v}
        return {"rows": counts, **(space.notes if any(map(len, made)) else {})}

    @abstractmethod
    def _group_of(
        self, here: GroupRows, rows: Rows, plan: Plan, schema: Schema, *, number: int, seed: int
    ) -> tuple[Whole, Whole, list[Made]]:
        """Places of the rows that stay, places of rows that are repeated, and rows that are made."""


class AbstractMaking(AbstractResampling):
    """Resampling that makes rows that were not there before: each is valid, or is made anew."""

    def _group_of(
        self, here: GroupRows, rows: Rows, plan: Plan, schema: Schema, *, number: int, seed: int
    ) -> tuple[Whole, Whole, list[Made]]:
        if not here.grows:
            return here.places, np.empty(0, np.int64), []
        first = self._resampled(here, seed)
        counts = int((~first.made_event).sum()), int(first.made_event.sum())
        rng = numpy_generator(seed, "outcome", self.name, here.name)

        def propose(missing: tuple[int, int], turn: int) -> dict[bool, dict[str, Floats]]:
            found = first if turn == 0 else self._resampled(here.asking(missing), seed + turn)
            proposals = {}
            for event in (False, True):
                mine = self._decoded(here, found.made[found.made_event == event])
                values = here.space.on_grid(mine)
                stratum = here.places[here.event == event]
                values |= outcome_values(rows, stratum, len(mine), plan, rng=rng)
                proposals[event] = _completed(values, schema, len(mine))
            return proposals

        made = valid_rows(propose, counts, plan, schema, group=number, what=self.text)
        return here.places[first.kept], np.empty(0, np.int64), made

    @abstractmethod
    def _resampled(self, here: GroupRows, seed: int) -> Resampled:
        """What the sampler makes of the group."""

    @abstractmethod
    def _decoded(self, here: GroupRows, made: Floats) -> Floats:
        """Made rows as the space's columns."""


def _completed(values: dict[str, Floats], schema: Schema, count: int) -> dict[str, Floats]:
    """Every learnt column: one that was all missing in training stays missing."""
    return {c.name: values.get(c.name, np.full(count, np.nan)) for c in schema.learnt}


def _group(name: str, space: Space, rows: Rows, places: Whole, target: Whole) -> GroupRows:
    x = space.filled(rows.matrix.rows(places))
    return GroupRows(name, space, x, rows.event[places], (int(target[0]), int(target[1])), places)
