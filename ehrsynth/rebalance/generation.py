"""Conditional generation: a generator learns the training patients and is asked for the small groups."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from ehrsynth.errors import ConditionError, SamplingExhausted
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import derived_seed
from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.plan import Plan, rows_of
from ehrsynth.rebalance.rows import Made, assemble
from ehrsynth.rebalance.targets import staying, stratum_counts, wanted
from ehrsynth.schema import Schema
from ehrsynth.tables.origin import COLUMN
from ehrsynth.tables.values import to_values


class Generation(AbstractMethod):
    """Groups are filled up with patients from a conditional generator that learnt all training patients."""

    name: ClassVar[str] = "generation"
    generator: str = Field(default="autoregressive", description="a registered generator")
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the generator")

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Learn, then draw what is missing of each group and outcome, each under its own condition."""
        rows = rows_of(train, plan, schema)
        targets = wanted(train, plan, schema, "up")
        missing = targets - stratum_counts(rows, len(plan.groups))
        maker = recipe(self.generator, self.settings)
        fitted = maker.fit(train, schema, seed=derived_seed(seed, "generation", "fit"))
        made, acceptance = [], []
        for group, event in np.argwhere(missing > 0):
            where = plan.where(int(group), event=bool(event))
            small = derived_seed(seed, "generation", str(group), str(event))
            try:
                drawn = fitted.sample(int(missing[group, event]), where=where, seed=small)
            except ConditionError as error:
                raise SamplingExhausted(
                    f"{self.text} cannot draw the group {plan.groups[int(group)].name!r}: {error}"
                ) from None
            acceptance.append(drawn.acceptance)
            made.append(Made(to_values(drawn.table, schema)))
        kept = staying(rows, targets, seed)
        table = assemble(train, schema, kept=kept, repeats=np.empty(0, np.int64), made=made)
        counts = {str(k): int(v) for k, v in table[COLUMN].value_counts().items() if v}
        notes = {"rows": counts, "generator": self.generator, "recipe": maker.model_dump(mode="json")}
        return Treatment(
            self.text, table=table, notes={**notes, "least_acceptance": min(acceptance, default=None)}
        )

    @property
    def text(self) -> str:
        """The generator's name, with the settings that were given."""
        return " ".join([self.generator, *(f"{key}={value}" for key, value in self.settings.items())])
