"""Does every synthetic patient keep the schema's rules?"""

import pandas as pd

from ehrsynth.evaluation.base import Score
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
    is the training table's own share. `details` has the number of rows that break each rule.
    """
    del holdout, seed, progress
    values = to_values(synthetic, schema)
    rows, broken = len(synthetic), int((~satisfied(values, schema)).sum())
    reference = _share(train, schema)
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
    details = {"rows": rows, "broken": broken, "rules": rules}
    if not rows:
        reason = "not measurable here: the synthetic table has no rows"
        return Score("constraint_violations", None, None, None, reference, "lower", details, reason)
    interval = clopper_pearson(broken, rows)
    return Score("constraint_violations", broken / rows, *interval, reference, "lower", details)


def _share(table: pd.DataFrame, schema: Schema) -> float | None:
    return float((~satisfied(to_values(table, schema), schema)).mean()) if len(table) else None
