"""Sequential CART, the classical synthesiser of synthpop: a baseline.

Each column is drawn from the leaf of one decision tree grown on the columns before it (Nowok, Raab and
Dibben 2016, "synthpop: Bespoke Creation of Synthetic Data in R", Journal of Statistical Software 74(11)).
Here too no value held by fewer than eleven patients is stored.
"""

from typing import ClassVar

import pandas as pd
from pydantic import Field

from ehrsynth.generators.autoregressive import FittedAutoregressive
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.generators.chain.classifier import Boosting
from ehrsynth.generators.chain.growing import Bagging
from ehrsynth.generators.chain.learning import learn_chain
from ehrsynth.generators.chain.link import Learner
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema


class Cart(AbstractGenerator):
    """A chain of single decision trees."""

    name: ClassVar[str] = "cart"
    fitted: ClassVar[type[AbstractFitted]] = FittedAutoregressive

    leaf: int = Field(default=5, ge=1, description="fewest patients in a leaf")

    def _fit(
        self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress
    ) -> FittedAutoregressive:
        learner = Learner("bagged", Bagging(1, self.leaf), Boosting())
        return FittedAutoregressive(
            schema, self, learn_chain(table, schema, learner, seed=seed, progress=progress)
        )
