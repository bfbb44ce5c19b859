"""Rules between columns that every patient meets, real or synthetic.

A rule with a missing value in it is met (as a CHECK in SQL): say ``present_together`` or
``not missing(x)`` where presence itself is the rule.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ehrsynth.schema.columns import Source, Strict, Word


class AbstractConstraint(Strict):
    """What all rules share."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    description: str = ""
    source: Source = "data"
    citation: str = ""


class Inequality(AbstractConstraint):
    """`low` is at most `high` (below it when `strict`); two columns of comparable kinds."""

    kind: Literal["inequality"] = "inequality"
    low: Word
    high: Word
    strict: bool = False


class FixedCombination(AbstractConstraint):
    """The columns' values occur together only as listed; null stands for missing."""

    kind: Literal["fixed_combination"] = "fixed_combination"
    columns: tuple[Word, ...] = Field(min_length=2)
    values: tuple[tuple[Word | None, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.values):
            message = f"each combination needs {len(self.columns)} values"
            raise ValueError(message)
        return self


class Implication(AbstractConstraint):
    """Where the expression `if` is true, the expression `then` is not false."""

    kind: Literal["implication"] = "implication"
    if_: str = Field(alias="if")
    then: str


class Formula(AbstractConstraint):
    """`column` is the value of the expression `equals`, rounded to the column's grid.

    It is recomputed, never learnt.
    """

    kind: Literal["formula"] = "formula"
    column: Word
    equals: str


class PresentTogether(AbstractConstraint):
    """The columns are all present or all missing."""

    kind: Literal["present_together"] = "present_together"
    columns: tuple[Word, ...] = Field(min_length=2)


Constraint = Annotated[
    Inequality | FixedCombination | Implication | Formula | PresentTogether, Field(discriminator="kind")
]
