"""The flagship: a table's joint distribution as a chain of conditionals whose links are trees.

Each column is learnt given the columns before it (`chain.order`), so that a condition is met inside the
chain: a link draws within the condition's set, and the mass of the set is an exact importance weight. Rows
are then resampled by their weights (sequential Monte Carlo: Doucet and Johansen 2009, "A Tutorial on
Particle Filtering and Smoothing").
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode, encoding
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts
from ehrsynth.generators.chain.classifier import Boosting
from ehrsynth.generators.chain.conditioned import POOL, draw_within
from ehrsynth.generators.chain.features import (
    Feature,
    feature_matrix,
    learn_feature,
    pack_features,
    unpack_features,
)
from ehrsynth.generators.chain.link import Learner, Link, learn_link, pack_link, unpack_link
from ehrsynth.generators.chain.order import chain_order
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.rejection import collect
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FittedAutoregressive(AbstractFitted):
    """A chain of links with the features that they see."""

    chain: Chain

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, self.recipe.name, "sample")
        if condition is not None:
            return draw_within(self.chain, lambda: self._pool, n, condition, rng=rng, progress=progress)
        found = collect(self, self.chain.draw, n, None, rng=rng, progress=progress)
        return Draw(found.codes, float(n), found.acceptance, 1.0)

    @cached_property
    def _pool(self) -> Codes:
        # Its own stream: the pool is the same whatever was drawn before it was first needed.
        rng = numpy_generator(0, self.recipe.name, "pool")
        return collect(self, self.chain.draw, POOL, None, rng=rng, progress=silent).codes

    def log_prob(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """The log probability of each row under the chain, in nats; higher is likelier.

        Rules between columns are not part of the chain: a row that breaks one has a value all the same.
        """
        return self.chain.log_prob(encode(table, self.schema))

    def parts(self) -> Parts:
        """The links, the cuts of the features and the order."""
        values, arrays = [], pack_features(self.chain.features)
        for place, link in enumerate(self.chain.links):
            plain, held = pack_link(link, f"link{place}")
            values.append(plain)
            arrays |= held
        return Parts({"order": list(self.chain.order), "links": values}, arrays)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`."""
        features = unpack_features(parts.arrays, _listed(schema))
        links = [unpack_link(v, parts.arrays, f"link{p}") for p, v in enumerate(parts.values["links"])]
        return cls(schema, recipe, Chain(schema, tuple(parts.values["order"]), features, tuple(links)))


class Autoregressive(AbstractGenerator):
    """A chain of boosted trees (or bagged ones), one link a column, with conditions met inside the chain."""

    name: ClassVar[str] = "autoregressive"
    fitted: ClassVar[type[AbstractFitted]] = FittedAutoregressive

    learner: Literal["boosted", "bagged"] = Field(default="boosted", description="what the links are made of")
    trees: int = Field(default=10, ge=1, le=200, description="trees of each forest")
    leaf: int = Field(default=10, ge=1, description="fewest patients in a leaf of a forest")
    leaves: int = Field(default=7, ge=2, le=255, description="leaves of a boosted tree")
    rate: float = Field(default=0.1, gt=0, le=1, description="learning rate of the boosted trees")
    rounds: int = Field(default=400, ge=1, le=10_000, description="most boosting rounds")

    def _fit(
        self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress
    ) -> FittedAutoregressive:
        boosting = Boosting(leaves=self.leaves, rate=self.rate, rounds=self.rounds)
        learner = Learner(self.learner, self.trees, self.leaf, boosting)
        return FittedAutoregressive(
            schema, self, learn_chain(table, schema, learner, seed=seed, progress=progress)
        )


def learn_chain(
    table: pd.DataFrame, schema: Schema, learner: Learner, *, seed: int, progress: Progress
) -> Chain:
    """Learn every link, each from its own random stream."""
    codes, listed = encode(table, schema), _listed(schema)
    features = tuple(learn_feature(codes[:, p], listed=is_listed) for p, is_listed in enumerate(listed))
    order = chain_order(schema.learnt, [len(np.unique(codes[:, p])) for p in range(len(listed))])
    matrix, report = feature_matrix(codes, features), part(progress, 0.0, 1.0)
    links: list[Link] = []
    for step, place in enumerate(order):
        column, before = schema.learnt[place], order[:step]
        report(step / len(order), f"column {step + 1} of {len(order)}")
        links.append(
            learn_link(
                matrix[:, before],
                codes[:, place],
                size=column.size,
                is_listed=listed[place],
                listed=[i for i, p in enumerate(before) if listed[p]],
                learner=learner,
                rng=numpy_generator(seed, "chain", column.name),
            )
        )
    return Chain(schema, tuple(order), features, tuple(links))


def _listed(schema: Schema) -> list[bool]:
    return [not encoding(column).numeric for column in schema.learnt]


__all__ = ["Autoregressive", "Feature", "FittedAutoregressive", "learn_chain"]
