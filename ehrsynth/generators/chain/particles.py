"""Rows drawn along the chain, freely or inside a condition."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import codes_to_values, values_to_codes
from ehrsynth.generators.chain.any_order import NetworkLink
from ehrsynth.generators.chain.bounds import Bound, bounds_of, draw_bounded, log_cut
from ehrsynth.generators.chain.echo import Echo, EchoLink, repeats
from ehrsynth.generators.chain.elapsed import Elapsed, counted_codes
from ehrsynth.generators.chain.elapsed_link import ElapsedLink
from ehrsynth.generators.chain.features import AbstractFeature, Features, feature_matrix
from ehrsynth.generators.chain.link import AbstractLink, Link
from ehrsynth.generators.chain.order import computed_columns, leading
from ehrsynth.schema import Schema
from ehrsynth.tables.constraints import recompute

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Box = Mapping[str, CodeSet]

PIECE = 2_500  # rows that walk together, with a random stream of their own
WORKERS = 2

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Step i draws the learnt column at ``order[i]`` by ``links[i]``; later steps see ``features[i]``.

    `echoes` holds, by step, the numbers that may repeat an earlier one; `elapsed` those that are counted from
    an earlier one.
    """

    schema: Schema
    order: tuple[int, ...]
    features: tuple[AbstractFeature, ...]
    links: tuple[AbstractLink, ...]
    echoes: Mapping[int, Echo] = field(default_factory=dict)
    elapsed: Mapping[int, Elapsed] = field(default_factory=dict)

    @property
    def computed(self) -> list[bool]:
        """For each step whether a formula gives its column."""
        names = computed_columns(self.schema)
        return [name in names for name in self.names]

    def compute(self, step: int, codes: Codes) -> Codes:
        """The column of a computed step in rows whose earlier columns stand; -1 where an input is missing."""
        values = recompute(codes_to_values(codes, self.schema), self.schema)
        return values_to_codes(values, self.schema)[:, self.order[step]]

    def link(self, step: int, codes: Codes) -> AbstractLink:
        """The link of one step for rows of which the earlier columns stand.

        Parameters
        ----------
        codes
            n x learnt columns in the schema's order; the link draws and weighs for these rows.
        """
        found, elapsed, echo = self.links[step], self.elapsed.get(step), self.echoes.get(step)
        if elapsed is not None and isinstance(found, Link):
            found = ElapsedLink(found, elapsed, codes[:, elapsed.origin])
        if echo is not None:
            found = EchoLink(found, echo, repeats(self.schema, echo.source, self.order[step], codes))
        return found

    def seen(self, step: int, codes: Codes) -> Features:
        """What later links see of the column of one step in rows."""
        own, elapsed = codes[:, self.order[step]], self.elapsed.get(step)
        return self.features[step].of(
            own if elapsed is None else elapsed.counted(own, codes[:, elapsed.origin])
        )

    @property
    def any_order(self) -> bool:
        """Whether a link draws given any columns, not only those before it in this order."""
        return any(isinstance(link, NetworkLink) for link in self.links)

    def led_by(self, names: Collection[str]) -> "Chain":
        """The same joint distribution with these columns first, where the links allow it; else itself."""
        links = {link.place: link for link in self.links if isinstance(link, NetworkLink)}
        if not links:
            return self
        order = tuple(leading(self.schema, self.order, names))
        features = dict(zip(self.order, self.features, strict=True))
        moved = tuple(NetworkLink(links[place].network, place, order) for place in order)
        return Chain(self.schema, order, tuple(features[place] for place in order), moved)

    def draw(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw n rows, rules between columns aside; how many threads draw them changes nothing."""
        sizes = [min(PIECE, n - start) for start in range(0, n, PIECE)]
        steps = range(len(self.order))
        drawn = side_by_side(lambda size, own: Particles(self, size).run(steps, {}, own).codes, sizes, rng)
        return np.concatenate(drawn)

    def matrix(self, codes: Codes) -> Features:
        """The features of rows, in the order of the chain."""
        return feature_matrix(counted_codes(codes, self.order, self.elapsed), self.features)

    @property
    def names(self) -> list[str]:
        """The columns' names in the order of the chain."""
        return [self.schema.learnt[place].name for place in self.order]

    def log_prob(self, codes: Codes) -> Floats:
        """The log probability of each row, in nats."""
        matrix, total, computed = self.matrix(codes), np.zeros(len(codes)), self.computed
        bounds = bounds_of(self.schema, self.order)
        for step, place in enumerate(self.order):
            if not computed[step]:
                total += log_density(
                    self, step, matrix[:, :step], codes, own=codes[:, place], bounds=bounds[step]
                )
        return total


def log_density(
    chain: Chain, step: int, seen: Features, rows: Codes, *, own: Codes, bounds: Sequence[Bound]
) -> Floats:
    """The log density of a code of one step in each row, cut at the rules' bounds as a draw is.

    A code beyond the bounds has one all the same.

    Parameters
    ----------
    seen, rows
        Features of the earlier columns, and the rows, of which these stand: n x learnt columns.
    own
        n codes.
    """
    link = chain.link(step, rows)
    found = link.log_density(seen, own)
    if bounds:
        size = chain.schema.learnt[chain.order[step]].size
        found = found + np.where(own >= 0, log_cut(link, seen, rows, bounds, size=size), 0.0)
    return found


class Particles:
    """Rows under way along a chain, with their log weights and the number of the row that each began as.

    `link_draws` counts one for each row and link that was asked for a draw.
    """

    def __init__(self, chain: Chain, n: int) -> None:
        self.chain, self.computed = chain, chain.computed
        self.bounds = bounds_of(chain.schema, chain.order)
        self.codes = np.full((n, len(chain.order)), -1, np.int64)
        self.matrix = np.zeros((n, len(chain.order)), np.float32, order="F")
        self.log_weight = np.zeros(n)
        self.founder = np.arange(n)
        self.link_draws = 0

    @classmethod
    def begun(cls, chain: Chain, rows: Codes) -> Self:
        """Particles whose first columns are those of whole rows; the others are drawn over by `step`."""
        found = cls(chain, len(rows))
        found.codes, found.matrix = rows.copy(), chain.matrix(rows)
        return found

    def __len__(self) -> int:
        return len(self.codes)

    def run(self, steps: Iterable[int], box: Box, rng: np.random.Generator) -> Self:
        """Draw columns in order, those of the box within their set, and resample uneven weights."""
        for step in steps:
            if self.step(step, box, rng) and effective(self.log_weight) < len(self) / 2:
                self.resample(len(self), rng)
        return self

    def step(self, step: int, box: Box, rng: np.random.Generator) -> bool:
        """Draw one column; True when it was conditioned, so that the weights have changed."""
        allowed = box.get(self.chain.schema.learnt[self.chain.order[step]].name)
        if self.computed[step]:
            codes = self.chain.compute(step, self.codes)
            mass = np.ones(len(codes)) if allowed is None else allowed.contains(codes).astype(np.float64)
        else:
            codes, mass = self.drawn(
                step, np.arange(len(self)), self.matrix[:, :step], allowed=allowed, rng=rng
            )
        self.put(step, codes)
        if allowed is None:
            return False
        with np.errstate(divide="ignore"):
            self.log_weight += np.log(mass)
        return True

    def drawn(
        self, step: int, rows: Codes, seen: Features, *, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code of one step for some rows, inside a set and within the rules' bounds, and the set's weight.

        Parameters
        ----------
        rows, seen
            The numbers of the rows, and what the link sees of all.
        """

        def _draw(at: Codes, inside: CodeSet | None) -> tuple[Codes, Floats]:
            some = rows[at]
            return self.chain.link(step, self.codes[some]).draw(seen[some], inside, rng)

        column = self.chain.schema.learnt[self.chain.order[step]]
        if bounds := self.bounds[step]:
            codes, mass, draws = draw_bounded(
                _draw, bounds, self.codes[rows], allowed=allowed, size=column.size
            )
        else:
            (codes, mass), draws = _draw(np.arange(len(rows)), allowed), len(rows)
        self.link_draws += draws
        return codes, mass

    def put(self, step: int, codes: Codes) -> None:
        """Set the column of one step in every row."""
        self.codes[:, self.chain.order[step]] = codes
        self.matrix[:, step] = self.chain.seen(step, self.codes)

    def resample(self, n: int, rng: np.random.Generator) -> None:
        """Go on with n rows in proportion to their weights; each then has the mean weight."""
        if not np.isfinite(self.log_weight).any():
            return
        rows, mean = systematic(self.log_weight, n, rng), log_mean(self.log_weight)
        self.keep(rows)
        self.log_weight = np.full(n, mean)

    def keep(self, rows: Codes) -> None:
        """Go on with these rows, some perhaps several times."""
        self.codes, self.matrix = self.codes[rows], np.asfortranarray(self.matrix[rows])
        self.founder, self.log_weight = self.founder[rows], self.log_weight[rows]


def side_by_side(
    work: Callable[[_Task, np.random.Generator], _Result], tasks: Sequence[_Task], rng: np.random.Generator
) -> list[_Result]:
    """What each task gives with its own random stream, in order, two at a time."""
    streams = rng.spawn(len(tasks))
    if len(tasks) == 1:
        return [work(tasks[0], streams[0])]
    with ThreadPoolExecutor(WORKERS) as threads:
        return list(threads.map(work, tasks, streams))


def log_mean(log_weight: Floats) -> float:
    """The log of the mean weight; -inf when all are 0."""
    top = log_weight.max(initial=-np.inf)
    return float(top + np.log(np.exp(log_weight - top).mean())) if np.isfinite(top) else -np.inf


def effective(log_weight: Floats) -> float:
    """The effective sample size of weights: (sum w)^2 / sum w^2 (Kong 1992), 0 when all are 0."""
    if not np.isfinite(log_weight).any():
        return 0.0
    weight = np.exp(log_weight - log_weight.max())
    return float(weight.sum() ** 2 / (weight**2).sum())


def systematic(log_weight: Floats, n: int, rng: np.random.Generator) -> Codes:
    """Choose n rows in proportion to their weights, with the least variance."""
    steps = np.cumsum(np.exp(log_weight - log_weight.max()))
    points = (np.arange(n) + rng.random()) / n * steps[-1]
    found = np.searchsorted(steps, points, side="right")
    return np.asarray(np.minimum(found, len(log_weight) - 1), np.int64)
