"""Each column by itself: the baseline that every other generator must beat."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.conditions import CodeSet, Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import RequestError, SamplingExhausted
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts
from ehrsynth.generators.counting import Counts
from ehrsynth.generators.coverage import COUNTED, Coverage
from ehrsynth.generators.forgetting import AbstractForgetting
from ehrsynth.generators.marginals import Marginal, marginal_of_counts, pack, unpack
from ehrsynth.generators.rejection import collect, repaired
from ehrsynth.generators.streamed import counted
from ehrsynth.generators.ties import lead, own_counts, ties
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, Schema
from ehrsynth.schema.binding import columns_of
from ehrsynth.tables.streaming import TableStream

Codes = NDArray[np.int64]
_REDRAWS = 30
_PROBE = 5_000


@dataclass(frozen=True, slots=True)
class _Group:
    """Columns that rules tie together, with the schema of these alone."""

    places: NDArray[np.int64]
    schema: Schema


@dataclass(frozen=True, eq=False)
class FittedIndependent(AbstractFitted, AbstractForgetting):
    """One `Marginal` a learnt column.

    A condition is met by truncating each column: without rules between columns its probability is exact.
    Columns tied by a rule are redrawn together until the rule holds, which is exact too, since groups of
    columns that share no rule are independent.
    """

    marginals: tuple[Marginal, ...]
    counts: Counts | None = field(default=None, repr=False)

    @property
    def forgets(self) -> bool:
        """Whether the counts were kept: then a patient is subtracted from them."""
        return self.counts is not None

    def forget(
        self,
        rows: pd.DataFrame,
        remaining: pd.DataFrame,
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Self:
        """The model that a fit of the remaining patients gives, byte for byte, by subtraction.

        Raises
        ------
        RequestError
            If the counts were not kept, or the patients to forget were never counted.
        """
        if self.counts is None:
            raise RequestError(
                "this model kept no counts to subtract from: fit again, or next time with counts=true"
            )
        left = self.counts.without(encode(rows, self.schema))
        if left.patients != len(remaining) or left.patients < 2:  # noqa: PLR2004 - one is no distribution
            raise RequestError(
                f"{left.patients} patients would be left, and {len(remaining)} are given: give the table that"
                " was learnt, and keep at least 2 patients"
            )
        return type(self)(self.schema, self.recipe, _learnt(left, self.schema, progress or silent), left)

    @cached_property
    def _groups(self) -> tuple[_Group, ...]:
        return tuple(_groups(self.schema))

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, "independent", "sample")
        boxes = [self.marginals] if condition is None else [self._within(b) for b in condition.boxes]
        masses = np.array([np.prod([m.mass for m in box]) for box in boxes])
        total = float(masses.sum())
        if not total > 0:
            summary = "independent never saw a patient like this: nothing is returned"
            raise SamplingExhausted(summary, self._unseen(condition))

        def propose(k: int, rng: np.random.Generator) -> Codes:
            shares = rng.multinomial(k, masses / total)
            return np.concatenate([self._box(box, k, rng) for box, k in zip(boxes, shares, strict=True)])

        found = collect(self, propose, n, condition, rng=rng, progress=progress)
        probability = (
            1.0 if condition is None else self._probability(total, found.acceptance, condition, seed)
        )
        return Draw(found.codes[rng.permutation(n)], float(n), found.acceptance, probability)

    def _within(self, box: dict[str, CodeSet]) -> tuple[Marginal, ...]:
        places = {c.name: p for p, c in enumerate(self.schema.learnt)}
        allowed = lead({places[name]: codes for name, codes in box.items()}, self.schema)
        return tuple(m.within(allowed[p]) if p in allowed else m for p, m in enumerate(self.marginals))

    def _unseen(self, condition: Condition | None) -> list[str]:
        boxes = condition.boxes if condition else ()
        names = {
            c.name
            for box in boxes
            for c, m in zip(self.schema.learnt, self._within(box), strict=True)
            if not m.mass > 0
        }
        return [f"no training patient meets the condition in column {name!r}" for name in sorted(names)]

    def _box(self, box: tuple[Marginal, ...], k: int, rng: np.random.Generator) -> Codes:
        codes = np.empty((k, len(box)), np.int64)
        for place, marginal in enumerate(box):
            codes[:, place] = marginal.draw(k, rng) if k else 0
        for group in self._groups:
            self._redraw(codes, group, box, rng)
        return codes

    @staticmethod
    def _redraw(codes: Codes, group: _Group, box: tuple[Marginal, ...], rng: np.random.Generator) -> None:
        # Rows that stay wrong after the last redraw are dropped by the loop that asked for them.
        wrong = np.arange(len(codes))
        for _ in range(_REDRAWS):
            fixed, valid = repaired(codes[np.ix_(wrong, group.places)], group.schema)
            codes[np.ix_(wrong[valid], group.places)] = fixed[valid]
            wrong = wrong[~valid]
            if not len(wrong):
                return
            for place in group.places:
                codes[wrong, place] = box[place].draw(len(wrong), rng)

    def _probability(self, mass: float, acceptance: float, condition: Condition, seed: int) -> float:
        if condition.exact and not self.schema.constraints:
            return mass
        # Rules change the odds: P(box) P(valid and met | box) / P(valid), the last by a probe. Redraws hide
        # failures from the counts, so that this is an estimate.
        rng = numpy_generator(seed, "independent", "probe")
        codes, valid = repaired(self._box(self.marginals, _PROBE, rng), self.schema)
        direct = float((condition.mask(codes) & valid).sum()) / max(int(valid.sum()), 1)
        return direct if direct * _PROBE >= 100 else min(1.0, mass * acceptance)  # noqa: PLR2004 - 10 % error

    def parts(self) -> Parts:
        """The shares of all columns, and the counts where they were kept."""
        kept = {} if self.counts is None else self.counts.pack()
        return Parts({}, pack(self.marginals) | kept)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`."""
        sizes = [c.size for c in schema.learnt]
        counts = Counts.unpack(parts.arrays, sizes) if "counts.length" in parts.arrays else None
        return cls(schema, recipe, unpack(parts.arrays, sizes), counts)


def _groups(schema: Schema) -> list[_Group]:
    names = [c.name for c in schema.learnt]
    group = {name: {name} for name in names}
    for constraint in schema.constraints:
        joined = set().union(*(group[name] for name in columns_of(constraint)))
        group |= dict.fromkeys(joined, joined)
    ruled = set().union(*(columns_of(constraint) for constraint in schema.constraints))
    tied = {frozenset(g) for name, g in group.items() if name in ruled}
    return [
        _Group(np.array(places), schema.subset(tuple(names[p] for p in places)))
        for places in sorted([names.index(n) for n in names if n in g] for g in tied)
    ]


class Independent(AbstractGenerator):
    """Draws every column on its own, in its observed shares; all relations between columns are lost."""

    name: ClassVar[str] = "independent"
    fitted: ClassVar[type[AbstractFitted]] = FittedIndependent

    counts: bool = Field(
        default=False,
        description="keep exact counts, to forget patients by subtraction; they tell single patients' values",
    )

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedIndependent:
        counts = Counts.of(encode(table, schema))
        learnt = _learnt(counts, schema, progress)
        return FittedIndependent(schema, self, learnt, counts if self.counts else None)

    def _fit_stream(self, table: TableStream, seed: int, most: int, progress: Progress) -> FittedIndependent:
        counts = counted(table, part(progress, 0.0, 0.9))
        learnt = _learnt(counts, table.schema, part(progress, 0.9, 1.0))
        coverage = Coverage(table.rows, table.rows, COUNTED)
        kept = counts if self.counts else None
        return FittedIndependent(table.schema, self, learnt, kept, coverage=coverage)


def _learnt(counts: Counts, schema: Schema, progress: Progress) -> tuple[Marginal, ...]:
    """A marginal for each column, of what is its own to learn (`ehrsynth.generators.ties`)."""
    marginals = []
    for place, (column, tie) in enumerate(zip(schema.learnt, ties(schema), strict=True)):
        values, held = own_counts(counts.values[place], counts.held[place], tie)
        listed = isinstance(column, BooleanColumn | CategoryColumn | CodeColumn)
        marginals.append(marginal_of_counts(values, held, column.size, listed=listed))
        progress((place + 1) / len(counts.values), f"column {place + 1} of {len(counts.values)}")
    return tuple(marginals)
