"""Does every synthetic patient keep the schema's rules?"""

from typing import Any

import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.matrix import Mask, Matrix, stacked
from ehrsynth.evaluation.strata import Stratum, by_group, strata
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema
from ehrsynth.statistics import clopper_pearson
from ehrsynth.tables.constraints import satisfied, violations
from ehrsynth.tables.values import to_values


def constraint_violations(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """The share of synthetic rows that no real patient could have: off a column's grid, or against a rule.

    Range and direction: 0 to 1, lower is better, with the exact interval of Clopper and Pearson. `reference`
    is the training table's own share. `details` has the number of rows that break each rule, and the share
    within each protected group, intersection and site.
    """
    del holdout, seed, progress
    values = to_values(synthetic, schema)
    wrong = tuple(~satisfied(to_values(table, schema), schema) for table in (synthetic, train))
    rows, broken = len(synthetic), int(wrong[0].sum())
    reference = float(wrong[1].mean()) if len(train) else None
    numbers = {id(constraint): number for number, constraint in enumerate(schema.constraints, 1)}
    rules = [
        {
            "constraint": numbers[id(constraint)],
            "kind": constraint.kind,
            "description": constraint.description,
            "rows": count,
        }
        for constraint, count in violations(values, schema)
    ]
    details = {
        "rows": rows,
        "broken": broken,
        "rules": rules,
        "groups": _groups(schema, (synthetic, train), wrong),
    }
    if not rows:
        reason = "not measurable here: the synthetic table has no rows"
        return Score("constraint_violations", None, None, None, reference, "lower", details, reason)
    interval = clopper_pearson(broken, rows)
    return Score("constraint_violations", broken / rows, *interval, reference, "lower", details)


def _groups(
    schema: Schema, tables: tuple[pd.DataFrame, pd.DataFrame], wrong: tuple[Mask, ...]
) -> dict[str, Any]:
    """Rows stand as in the tables: a group's mask fits what is wrong with each."""
    columns = tuple(sorted(schema.learnt, key=lambda column: column.name))
    matrices = [Matrix(columns, stacked(table, schema)) for table in tables]

    def share(one: Stratum) -> dict[str, float]:
        (made, real), (count, size) = (
            [float(found[mask].mean()) for found, mask in zip(wrong, one.masks, strict=True)],
            (int(wrong[0][one.masks[0]].sum()), int(one.masks[0].sum())),
        )
        return {"value": made, **clopper_pearson(count, size)._asdict(), "reference": real}

    return by_group(strata(schema, matrices), share)
