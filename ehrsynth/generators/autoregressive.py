"""The flagship: a table's joint distribution as a chain of conditionals, one link a column.

Links are trees that learn each column given the columns before it (`chain.order`), or one network that
knows each column given any others. A condition is met inside the chain: a link draws within the condition's
set, and the mass of the set is an exact importance weight. Rows are then resampled by their weights
(sequential Monte Carlo: Doucet and Johansen 2009, "A Tutorial on Particle Filtering and Smoothing").
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ehrsynth.conditions import Condition
from ehrsynth.encoding import decode, encode
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts, PrivacySpent, Sample
from ehrsynth.generators.chain.classifier import Boosting
from ehrsynth.generators.chain.completion import complete_codes
from ehrsynth.generators.chain.conditioned import MOST_BLOCKS, Pool, draw_within
from ehrsynth.generators.chain.growing import Bagging
from ehrsynth.generators.chain.learning import learn_chain
from ehrsynth.generators.chain.link import Learner
from ehrsynth.generators.chain.packing import pack_chain, unpack_chain
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.coverage import IN_STEPS, Coverage
from ehrsynth.generators.density import AbstractDensity, Completions, known_identifiers
from ehrsynth.generators.edges import draw_edge
from ehrsynth.generators.rejection import collect
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.tables.origin import mark_completed
from ehrsynth.tables.streaming import TableStream

if TYPE_CHECKING:
    from ehrsynth.generators.chain.networks import Neural
    from ehrsynth.generators.private import Till

Codes = NDArray[np.int64]

_SCORED_TOGETHER = 20_000
# A condition that so many rows or fewer are asked for shares its free rows with the others.
_FROM_ONE_POOL = 5_000
# Interactions that few patients cannot bear out are learnt from many.
_FEW, _LEAVES_OF_FEW, _LEAVES_OF_MANY = 10_000, 4, 7
_PRIVATE = {"learner": "neural", "width": 128, "depth": 1, "batch_size": 2_000}


@dataclass(frozen=True, eq=False)
class FittedAutoregressive(AbstractFitted, AbstractDensity):
    """A chain of links with the features that they see.

    Conditioned samples of up to 5,000 rows share the free rows that they descend from, so that the next
    condition is answered at once: samples of two seeds are a little more alike than independent ones. Larger
    samples have free rows of their own.
    """

    chain: Chain
    spent: PrivacySpent | None = None

    @property
    def privacy(self) -> PrivacySpent | None:
        """The guarantee, where there is one."""
        return self.spent

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, self.recipe.name, "sample")
        if condition is not None:
            chain = self.chain.led_by(condition.columns)
            # Few rows wait less on rows that are drawn already; many shall not all descend from these.
            pool = self._pool if n <= _FROM_ONE_POOL else self._pool_of(rng)
            return draw_within(chain, pool, n, condition, rng=rng, progress=progress)
        found = collect(self, self.chain.draw, n, None, rng=rng, progress=progress)
        return Draw(found.codes, float(n), found.acceptance, 1.0)

    @cached_property
    def _pool(self) -> Pool:
        def draw(rows: int, number: int) -> Codes:
            # Its own stream: the pool is the same whatever was drawn before it was first needed.
            return self.chain.draw(rows, numpy_generator(number, self.recipe.name, "pool"))

        return Pool(self.chain, draw)

    def _pool_of(self, rng: np.random.Generator) -> Pool:
        """Rows of one draw alone."""
        streams = rng.spawn(MOST_BLOCKS)
        return Pool(self.chain, lambda rows, number: self.chain.draw(rows, streams[number]))

    def log_prob(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """The log probability of each row under the chain, in nats; at most 0 and higher is likelier.

        Minus infinity means that no patient like this can be drawn. A value that a rule of the kind
        `inequality` bounds by an earlier one is cut at the bound, as where it is drawn. Other rules between
        columns are not part of the chain, and a row that breaks any rule has a value all the same.
        """
        codes = encode(table, self.schema)
        pieces = np.split(codes, range(_SCORED_TOGETHER, len(codes), _SCORED_TOGETHER))
        return np.concatenate([self.chain.log_prob(piece) for piece in pieces])

    def _complete(self, rows: pd.DataFrame, draws: int, seed: int, progress: Progress) -> Completions:
        rng, known = numpy_generator(seed, self.recipe.name, "complete"), encode(rows, self.schema)
        found = complete_codes(self.chain, known, draws, rng=rng, progress=progress)
        table, patient = decode(found.codes, self.schema), np.repeat(np.arange(len(rows)), draws)
        for name in known_identifiers(rows, self.schema):
            table[name] = rows[name].iloc[patient].array
        return Completions(mark_completed(table), patient, found.effective_sample_size, found.log_probability)

    def edge(
        self, n: int, *, where: str | None = None, seed: int, progress: Progress | None = None
    ) -> Sample:
        """Draw valid patients of low density, for testing edge cases: see `ehrsynth.generators.edges`."""
        return draw_edge(self, n, where=where, seed=seed, progress=progress)

    def parts(self) -> Parts:
        """The links, what they see of each column, and the order."""
        if self.chain.any_order:
            from ehrsynth.generators.chain.networks import pack_network

            values, arrays = pack_network(self.chain)
            return Parts(values | {"spent": self.spent.as_json() if self.spent else None}, arrays)
        return Parts(*pack_chain(self.chain))

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`."""
        settings = recipe.model_dump()
        if settings.get("learner") == "neural":
            from ehrsynth.generators.chain.networks import unpack_network

            shape = {name: settings[name] for name in ("width", "depth")}
            spent = parts.values["spent"]
            chain = unpack_network(schema, parts.values, parts.arrays, **shape)
            return cls(schema, recipe, chain, PrivacySpent.from_json(spent) if spent else None)
        return cls(schema, recipe, unpack_chain(schema, parts.values, parts.arrays))


class Autoregressive(AbstractGenerator):
    """A chain of boosted trees, bagged ones, or one network, with conditions met inside the chain."""

    name: ClassVar[str] = "autoregressive"
    fitted: ClassVar[type[AbstractFitted]] = FittedAutoregressive

    learner: Literal["boosted", "bagged", "neural"] = Field(
        default="boosted", description="what the links are made of"
    )
    trees: int = Field(default=6, ge=1, le=200, description="trees of each size of leaf in a forest")
    leaf: int = Field(default=10, ge=1, description="fewest patients in the smallest leaf of a forest")
    leaves: int | None = Field(
        default=None, ge=2, le=255, description="leaves of a boosted tree; 4 up to 10,000 patients, then 7"
    )
    rate: float = Field(default=0.1, gt=0, le=1, description="learning rate of the boosted trees")
    rounds: int = Field(default=400, ge=1, le=10_000, description="most boosting rounds")
    ridge: float = Field(
        default=1.0, gt=0, description="weakest pull of small groups towards all; or 20 times as strong"
    )
    width: int = Field(default=256, ge=1, le=8192, description="width of the network")
    depth: int = Field(default=2, ge=0, le=50, description="blocks of the network")
    epochs: int = Field(default=100, ge=1, le=100_000, description="most passes of the network's training")
    batch_size: int = Field(
        default=512, ge=1, le=1_000_000, description="patients in one step of the network"
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, le=1, description="highest step of the network's training"
    )

    epsilon: float | None = Field(
        default=None, gt=0, le=1000, description="what one patient may change: the most; needs the network"
    )
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="chance of more; default and most: 1 / (10 x public rows)"
    )
    ones_share: float = Field(default=0.2, gt=0, lt=1, description="of the budget, for single columns")
    steps: int = Field(default=400, ge=1, le=100_000, description="steps of private training")
    clip: float = Field(default=1.0, gt=0, description="largest gradient of a patient in private training")
    masks: int = Field(
        default=4, ge=1, le=64, description="choices of hidden columns for a patient in a step"
    )

    @model_validator(mode="before")
    @classmethod
    def _network_if_private(cls, given: Any) -> Any:
        """Under differential privacy other settings are good, where none are given."""
        if isinstance(given, dict) and given.get("epsilon") is not None:
            return _PRIVATE | given
        return given

    @model_validator(mode="after")
    def _private_form(self) -> Self:
        if self.epsilon is None and self.delta is not None:
            message = "delta means nothing without epsilon"
            raise ValueError(message)
        if self.epsilon is not None and self.learner != "neural":
            message = (
                f"only the network learns privately: leave learner out, or set neural, not {self.learner}"
            )
            raise ValueError(message)
        return self

    @property
    def asked(self) -> tuple[float, float | None] | None:
        """Epsilon and delta, or None."""
        return None if self.epsilon is None else (self.epsilon, self.delta)

    def _fit_private(self, till: "Till", schema: Schema, progress: Progress) -> FittedAutoregressive:
        from ehrsynth.generators.chain.private_network import PrivateTeaching, learn_private_network

        teaching = PrivateTeaching(
            width=self.width,
            depth=self.depth,
            ones_share=self.ones_share,
            steps=self.steps,
            patients=self.batch_size,
            clip=self.clip,
            learning_rate=self.learning_rate,
            masks=self.masks,
        )
        return FittedAutoregressive(schema, self, *learn_private_network(till, schema, teaching, progress))

    def _fit(
        self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress
    ) -> FittedAutoregressive:
        if self.learner == "neural":
            return FittedAutoregressive(schema, self, self._network(table, schema, seed, progress))
        leaves = self.leaves or (_LEAVES_OF_FEW if len(table) <= _FEW else _LEAVES_OF_MANY)
        boosting = Boosting(leaves=leaves, rate=self.rate, rounds=self.rounds, ridge=self.ridge)
        learner = Learner(self.learner, Bagging(self.trees, self.leaf), boosting)
        return FittedAutoregressive(
            schema, self, learn_chain(table, schema, learner, seed=seed, progress=progress)
        )

    def _fit_stream(self, table: TableStream, seed: int, most: int, progress: Progress) -> AbstractFitted:
        if self.learner != "neural" or table.rows <= most:
            return super()._fit_stream(table, seed, most, progress)
        from ehrsynth.generators.chain.networks import learn_network_streamed

        chain = learn_network_streamed(table, self._neural(), seed=seed, progress=progress)
        coverage = Coverage(table.rows, table.rows, IN_STEPS)
        return FittedAutoregressive(table.schema, self, chain, coverage=coverage)

    def _network(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> Chain:
        from ehrsynth.generators.chain.networks import learn_network  # torch is slow to import

        return learn_network(table, schema, self._neural(), seed=seed, progress=progress)

    def _neural(self) -> "Neural":
        from ehrsynth.generators.chain.networks import Neural
        from ehrsynth.generators.chain.teaching import Teaching

        return Neural(self.width, self.depth, Teaching(self.epochs, self.batch_size, self.learning_rate))
