"""A Gaussian copula, fitted by SDV (Patki et al. 2016, doi:10.1109/DSAA.2016.49); the sampling is ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.conditions import CodeSet, Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import ModelError, SamplingExhausted
from ehrsynth.generators._sdv_package import DISTRIBUTIONS, fit_gaussian_copula, require_sdv
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts
from ehrsynth.generators.plain import (
    SPAN,
    PlainColumn,
    PlainRows,
    from_rows,
    learn_columns,
    pack_columns,
    to_frame,
    unpack_columns,
)
from ehrsynth.generators.rejection import collect
from ehrsynth.generators.ties import lead
from ehrsynth.generators.truncated_normal import BoxedNormal, nearest_correlation
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_INTERVALS = 200
_PROBE = 4_096
_WIDEST = 4  # parameters of a distribution


@dataclass(frozen=True, slots=True)
class Axis:
    """One coordinate of the copula: the word or the number of the learnt column at `place`.

    `distribution` is scipy's name. A word's place on 0 to 1 is split by the words' shares, in their order.
    """

    place: int
    is_word: bool
    distribution: str
    parameters: tuple[float, ...]

    def values(self, normal: Floats) -> Floats:
        """Values of normal scores."""
        found = getattr(scipy.stats, self.distribution).ppf(scipy.stats.norm.cdf(normal), *self.parameters)
        return np.asarray(found, np.float64)

    def scores(self, values: Floats) -> Floats:
        """Normal scores of values; those beyond the distribution are infinite."""
        below = getattr(scipy.stats, self.distribution).cdf(values, *self.parameters)
        return np.asarray(scipy.stats.norm.ppf(below), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Box:
    """One box of a condition: its codes by place, its region of normal scores, and its probability."""

    allowed: Mapping[int, CodeSet]
    normal: BoxedNormal
    mass: float


@dataclass
class _Worth:
    """How many of the drawn points are worth an independent one."""

    drawn: float = 0.0
    independent: float = field(default=0.0)

    @property
    def share(self) -> float:
        return min(1.0, self.independent / self.drawn) if self.drawn else 0.0


@dataclass(frozen=True, eq=False)
class FittedCopula(AbstractFitted):
    """A distribution for each coordinate, and the correlation of the normal scores.

    A condition is a region of normal scores: its rows are drawn inside it, weighted (`BoxedNormal`), and
    the effective sample size tells what the weights cost. Rules between columns are met by redraw.
    """

    columns: tuple[PlainColumn, ...]
    axes: tuple[Axis, ...]
    correlation: Floats

    @cached_property
    def _correlation(self) -> Floats:
        return nearest_correlation(self.correlation)

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, "copula", "sample")
        boxes, worth = self._boxes(condition, seed), _Worth()
        masses = np.array([box.mass for box in boxes])

        def propose(k: int, rng: np.random.Generator) -> Codes:
            sizes = rng.multinomial(k, masses / masses.sum())
            rows = [self._rows(box, m, rng, worth) for box, m in zip(boxes, sizes, strict=True) if m]
            return np.concatenate(rows)

        found = collect(self, propose, n, condition, rng=rng, progress=progress)
        probability = 1.0 if condition is None else min(1.0, float(masses.sum()) * found.met)
        codes = found.codes[rng.permutation(n)]
        return Draw(codes, n * worth.share, found.acceptance, probability)

    def _boxes(self, condition: Condition | None, seed: int) -> list[_Box]:
        if condition is None:
            return [_Box({}, BoxedNormal(self._correlation, {}), 1.0)]
        rng, boxes = numpy_generator(seed, "copula", "probe"), []
        places = {c.name: p for p, c in enumerate(self.schema.learnt)}
        for named in condition.boxes:
            allowed = lead({places[name]: codes for name, codes in named.items()}, self.schema)
            sets = self._sets(allowed)
            seen = all(self.columns[p].masses(codes).sum() > 0 for p, codes in allowed.items())
            if not seen or not all(len(region) for region in sets.values()):
                continue
            normal = BoxedNormal(self._correlation, sets)
            mass = float(normal.propose(_PROBE, rng)[1].mean()) if sets else 1.0
            boxes += [_Box(allowed, normal, mass)] if mass > 0 else []
        if not boxes:
            summary = f"{self.recipe.name} gives the condition no probability: nothing is returned"
            raise SamplingExhausted(summary, [f"condition: {condition.text}"])
        return boxes

    def _sets(self, allowed: Mapping[int, CodeSet]) -> dict[int, Floats]:
        sets = {}
        for k, axis in enumerate(self.axes):
            if axis.place not in allowed:
                continue
            column, codes = self.columns[axis.place], allowed[axis.place]
            if axis.is_word:
                edges = _word_edges(column, codes)
            elif _is_number(column, codes):
                edges = _number_edges(column, codes)
            else:
                continue
            scores = axis.scores(edges)
            # A word's ends and a grid's ends take in whatever lies beyond them.
            scores = np.where(edges == -np.inf, -np.inf, np.where(edges == np.inf, np.inf, scores))
            sets[k] = scores[scores[:, 0] < scores[:, 1]]
        return sets

    def _rows(self, box: _Box, k: int, rng: np.random.Generator, worth: _Worth) -> Codes:
        points, independent = box.normal.draw(k, rng)
        worth.drawn, worth.independent = worth.drawn + k, worth.independent + independent
        words: dict[int, Codes] = {}
        numbers: dict[int, Floats] = {}
        for coordinate, axis in enumerate(self.axes):
            values = axis.values(points[:, coordinate])
            if axis.is_word:
                words[axis.place] = _words(values, self.columns[axis.place])
            else:
                numbers[axis.place] = values
        return from_rows(PlainRows(len(points), words, numbers), self.columns, rng, allowed=box.allowed)

    def parts(self) -> Parts:
        """Distribution names and parameters, the correlation matrix and word shares."""
        parameters = np.zeros((len(self.axes), _WIDEST))
        for row, axis in zip(parameters, self.axes, strict=True):
            row[: len(axis.parameters)] = axis.parameters
        arrays = {"copula.correlation": self.correlation, "copula.parameters": parameters}
        names = [axis.distribution for axis in self.axes]
        return Parts({"distributions": names}, pack_columns(self.columns) | arrays)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`; only the distributions that the recipe knows are taken."""
        columns = unpack_columns(parts.arrays, schema)
        names, parameters = list(parts.values["distributions"]), parts.arrays["copula.parameters"]
        correlation = np.asarray(parts.arrays["copula.correlation"], np.float64)
        coordinates, lengths = _coordinates(columns), {name: len(p) for name, p in DISTRIBUTIONS.values()}
        size = len(coordinates)
        fine = len(names) == size and all(name in lengths for name in names)
        fine = fine and parameters.shape == (size, _WIDEST) and correlation.shape == (size, size)
        if not (fine and np.isfinite(parameters).all() and np.isfinite(correlation).all()):
            message = "the stored copula does not fit the columns: the model is damaged"
            raise ModelError(message)
        axes = tuple(
            Axis(place, is_word, name, tuple(float(x) for x in row[: lengths[name]]))
            for (place, is_word), name, row in zip(coordinates, names, parameters, strict=True)
        )
        return cls(schema, recipe, columns, axes, correlation)


def _coordinates(columns: tuple[PlainColumn, ...]) -> list[tuple[int, bool]]:
    found = []
    for place, column in enumerate(columns):
        found += [(place, True)] if column.has_words else []
        found += [(place, False)] if column.has_number else []
    return found


def _words(values: Floats, column: PlainColumn) -> Codes:
    steps = np.cumsum(column.shares) / column.shares.sum()
    found = np.searchsorted(steps[:-1], np.where(np.isfinite(values), values, 0.0), side="right")
    return np.asarray(found, np.int64)


def _word_edges(column: PlainColumn, codes: CodeSet) -> Floats:
    steps = np.concatenate([[0.0], np.cumsum(column.shares) / column.shares.sum()])
    edges = np.column_stack([steps[:-1], steps[1:]])
    edges[0, 0], edges[-1, 1] = -np.inf, np.inf
    return edges[column.masses(codes) > 0]


def _is_number(column: PlainColumn, codes: CodeSet) -> bool:
    """Is the condition about the number alone, whatever the word?"""
    return bool((column.masses(codes)[: len(column.levels)] == 0).all())


def _number_edges(column: PlainColumn, codes: CodeSet) -> Floats:
    edges = np.array(codes.intervals, np.float64)
    if len(edges) > _MOST_INTERVALS:
        edges = np.array([[edges[0, 0], edges[-1, 1]]])  # what contains them: every row is checked anyhow
    first, last = edges[:, 0] == 0, edges[:, 1] == column.size - 1
    edges = (np.array([-0.5, 0.5]) + edges - column.low) / (column.high - column.low) * SPAN
    edges[first, 0], edges[last, 1] = -np.inf, np.inf
    return edges


class Copula(AbstractGenerator):
    """SDV's Gaussian copula: a distribution for each column, and their correlation after normal scores."""

    name: ClassVar[str] = "copula"
    fitted: ClassVar[type[AbstractFitted]] = FittedCopula

    distribution: Literal["beta", "gamma", "norm", "truncnorm", "uniform"] = Field(
        default="beta", description="the family of each column's distribution"
    )
    most_words: int = Field(
        default=100, ge=2, le=10_000, description="a category with more values pools the rare ones"
    )

    def require(self) -> None:
        """Look for sdv."""
        require_sdv()

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedCopula:
        codes = encode(table, schema)
        columns = learn_columns(codes, schema, self.most_words)
        frame, words = to_frame(codes, columns, numpy_generator(seed, self.name, "frame"))
        if frame.columns.empty:
            return FittedCopula(schema, self, columns, (), np.empty((0, 0)))
        progress(0.05, f"distributions and correlations of {len(frame.columns)} words and numbers")
        learnt = fit_gaussian_copula(
            frame, words, distribution=self.distribution, seed=small_seed(seed, self.name)
        )
        axes = tuple(
            Axis(place, is_word, name, parameters)
            for (place, is_word), name, parameters in zip(
                _coordinates(columns), learnt.names, learnt.parameters, strict=True
            )
        )
        progress(1.0, "fitted")
        return FittedCopula(schema, self, columns, axes, learnt.correlation)
