"""The fitted model of mst, aim and dp-independent: bins, a junction tree, and states within the bins."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet, Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import ModelError, SamplingExhausted
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts, PrivacySpent
from ehrsynth.generators.chain.conditioned import LEAST_PROBABILITY
from ehrsynth.generators.chain.packing import stack, unstack
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.graphical.bins import Binned
from ehrsynth.generators.graphical.drawing import deal, draw
from ehrsynth.generators.graphical.junction import Calibrated, Junction, junction_tree, spread
from ehrsynth.generators.rejection import collect, repaired
from ehrsynth.generators.ties import RECOMPUTED, lead, ties
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_PROBE = 5_000
_LARGEST = 1e9  # of a log potential
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, OverflowError, RuntimeError)


@dataclass(frozen=True, eq=False)
class FittedGraphical(AbstractFitted):
    """A distribution over bins, and within each bin over states.

    A condition narrows each column to what it allows; the probability of that is exact, and rows are drawn
    inside. Rules that bins do not express are kept by redraw.
    """

    columns: tuple[Binned, ...]
    junction: Junction
    potentials: tuple[Floats, ...]
    spent: PrivacySpent

    @property
    def privacy(self) -> PrivacySpent:
        """The guarantee."""
        return self.spent

    @cached_property
    def _places(self) -> list[int]:
        return modelled(self.schema)

    @cached_property
    def _free(self) -> Calibrated:
        return self._checked(self.junction.calibrated(self.potentials))

    @staticmethod
    def _checked(calibrated: Calibrated) -> Calibrated:
        if not np.isfinite(calibrated.log_total) or not all(
            np.isfinite(c).all() for c in calibrated.conditionals
        ):
            message = "the model's potentials give no distribution: the model is damaged"
            raise ModelError(message)
        return calibrated

    @cached_property
    def _valid_share(self) -> float:
        """The share of free rows that keep the schema's rules, 0 to 1."""
        rows = self._rows(self._free, {}, _PROBE, numpy_generator(0, self.recipe.name, "probe"))
        return max(float(repaired(rows, self.schema)[1].mean()), 1 / _PROBE)

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, self.recipe.name, "sample")
        boxes = [{}] if condition is None else [self._box(box) for box in condition.boxes]
        inside = [self._within(box) for box in boxes]
        masses = np.array(
            [0.0 if one is None else np.exp(one.log_total - self._free.log_total) for one in inside]
        )
        if masses.sum() < LEAST_PROBABILITY and condition is not None:
            summary = (
                f"the condition {condition.text} has an estimated probability of {masses.sum():.1e} under the"
                f" model, below the floor of {LEAST_PROBABILITY:.0e}: nothing is returned"
            )
            raise SamplingExhausted(summary, ["ask for a wider condition"])

        def propose(k: int, rng: np.random.Generator) -> Codes:
            sizes = rng.multinomial(k, masses / masses.sum())
            drawn = [
                self._rows(one, box, size, rng)
                for one, box, size in zip(inside, boxes, sizes, strict=True)
                if one is not None and size
            ]
            return rng.permutation(np.concatenate(drawn))

        found = collect(self, propose, n, condition, rng=rng, progress=progress)
        if condition is None:
            return Draw(found.codes, float(n), found.acceptance, 1.0)
        # Rules change the odds: P(box) P(valid and met | box) / P(valid).
        met = 1.0 if condition.exact and not self.schema.constraints else found.acceptance / self._valid_share
        return Draw(found.codes, float(n), found.acceptance, min(1.0, float(masses.sum()) * met))

    def _box(self, box: Mapping[str, CodeSet]) -> dict[int, CodeSet]:
        places = {c.name: p for p, c in enumerate(self.schema.learnt)}
        return lead({places[name]: codes for name, codes in box.items()}, self.schema)

    def _within(self, box: Mapping[int, CodeSet]) -> Calibrated | None:
        """The distribution inside a box; None where nothing is possible."""
        potentials = list(self.potentials)
        for variable, place in enumerate(self._places):
            if place in box:
                clique = self.junction.holder((variable,))
                evidence = self._evidence(self.columns[variable], box[place])
                potentials[clique] = potentials[clique] + spread(
                    evidence, (variable,), self.junction.cliques[clique]
                )
        if not any(place in box for place in self._places):
            return self._free
        found = self.junction.calibrated(potentials)
        return self._checked(found) if np.isfinite(found.log_total) else None

    @staticmethod
    def _evidence(column: Binned, allowed: CodeSet) -> Floats:
        """The logarithm of the chance of a set in each bin."""
        weight = column.states.weight(allowed)
        inside = np.array([(share * weight[states]).sum() for states, share in column.within])
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(inside))

    def _rows(
        self, calibrated: Calibrated, box: Mapping[int, CodeSet], n: int, rng: np.random.Generator
    ) -> Codes:
        bins, codes = draw(calibrated, n, rng), np.full((n, len(self.schema.learnt)), -1, np.int64)
        for variable, place in enumerate(self._places):
            column, allowed = self.columns[variable], box.get(place)
            chances = column.chances * column.states.weight(allowed)
            state = deal(chances, bins[:, variable], rng)
            codes[:, place] = column.states.draw(state, allowed, rng)
        return codes

    def log_prob(self, table: pd.DataFrame) -> Floats:
        """The log probability of each row, in nats; rules that the bins do not express are left out."""
        codes, total = encode(table, self.schema), np.zeros(len(table))
        bins = np.empty((len(codes), len(self.columns)), np.int64)
        with np.errstate(divide="ignore"):
            for variable, place in enumerate(self._places):
                column = self.columns[variable]
                state = column.states.assign(codes[:, place])
                bins[:, variable] = column.bins[0][state]
                total += np.log(column.chances[bins[:, variable], state] / column.states.width[state])
            for place, clique in enumerate(self.junction.cliques):
                total += np.log(self._free.conditionals[place][tuple(bins[:, v] for v in clique)])
        return total

    def parts(self) -> Parts:
        """States, bins, cliques and potentials."""
        values = {
            "cliques": [list(clique) for clique in self.junction.cliques],
            "spent": self.spent.as_json(),
        }
        potentials = [{"table": table} for table in self.potentials]
        return Parts(values, parts_of_bins(self.columns) | stack("potential", potentials))

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`."""
        with fitting_together():
            return cls._unpacked(schema, recipe, parts)

    @classmethod
    def _unpacked(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        columns = bins_of_parts(schema, parts.arrays)
        cliques = [tuple(map(int, clique)) for clique in parts.values["cliques"]]
        junction = junction_tree([c.size for c in columns], cliques)
        if sorted(junction.cliques) != sorted(cliques):
            message = "the stored cliques are no junction tree: the model is damaged"
            raise ModelError(message)
        tables = dict(zip(cliques, unstack("potential", parts.arrays, len(cliques)), strict=True))
        if not all((table["table"] < _LARGEST).all() for table in tables.values()):
            message = "the stored potentials are no numbers: the model is damaged"
            raise ModelError(message)
        potentials = tuple(
            tables[clique]["table"].reshape(junction.shape(clique)) for clique in junction.cliques
        )
        return cls(
            schema, recipe, columns, junction, potentials, PrivacySpent.from_json(parts.values["spent"])
        )


def modelled(schema: Schema) -> list[int]:
    """The places of the learnt columns that are variables of a model: all that no formula gives."""
    return [place for place, tie in enumerate(ties(schema)) if tie != RECOMPUTED]


def variables_of(schema: Schema) -> dict[str, int]:
    """The variable of each column that a model has, by name."""
    return {schema.learnt[place].name: variable for variable, place in enumerate(modelled(schema))}


@contextmanager
def fitting_together() -> Iterator[None]:
    """What arrays of the wrong shape, name or type raise is a damaged model."""
    try:
        yield
    except _DAMAGE as error:
        message = f"the parts of the model do not fit together ({type(error).__name__}): the model is damaged"
        raise ModelError(message) from error


def parts_of_bins(columns: Sequence[Binned]) -> dict[str, NDArray[Any]]:
    """States and finest bins as named arrays, for a model's folder."""
    return stack(
        "column",
        [
            {"low": c.states.low, "high": c.states.high, "share": c.states.share, "bin": c.bins[0]}
            for c in columns
        ],
    )


def bins_of_parts(schema: Schema, arrays: Mapping[str, NDArray[Any]]) -> tuple[Binned, ...]:
    """The columns that `parts_of_bins` stored.

    Raises
    ------
    ModelError
        If they do not fit the schema.
    """
    places = modelled(schema)
    return tuple(
        _stored(fields, schema.learnt[place].size)
        for place, fields in zip(places, unstack("column", arrays, len(places)), strict=True)
    )


def _stored(fields: Mapping[str, NDArray[Any]], size: int) -> Binned:
    states = States(fields["low"], fields["high"], fields["share"]).checked(size)
    bins = fields["bin"]
    if len(bins) != len(states) or not np.array_equal(np.unique(bins), np.arange(bins.max(initial=-1) + 1)):
        message = "the stored bins of a column are not those of its states: the model is damaged"
        raise ModelError(message)
    return Binned(states, (bins,))
