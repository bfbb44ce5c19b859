"""What becomes of a group's regression when patients are removed and rows put in their place."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.utility.regression import fit, independent
from ehrsynth.rebalance.plan import Plan, Rows, inputs, rows_of
from ehrsynth.schema import Schema
from ehrsynth.statistics import normal_quantile
from ehrsynth.tables.origin import COLUMN

Floats = NDArray[np.float64]
_MOST = 10
_EVENTS_EACH = 5


class Kept(NamedTuple):
    """A group's logistic regression from a treated table, held against that from all its training patients.

    `bias` is the mean absolute difference of coefficients in standard errors of the latter, 0 or more, lower
    is better; `overlap` the mean overlap of 95 % intervals (Karr et al. 2006, doi 10.1198/000313006X124640),
    at most 1, higher is better.
    """

    bias: float
    overlap: float


def kept_coefficients(
    treated: pd.DataFrame, whole: pd.DataFrame, plan: Plan, schema: Schema, *, group: str
) -> Kept | None:
    """Compare; None where the group has too few events for a regression.

    At most one coefficient for five events, ten at most: those of the predictors in the schema's order.
    """
    number = plan.names.index(group)
    one, other = (
        rows_of(table.drop(columns=COLUMN, errors="ignore"), plan, schema) for table in (treated, whole)
    )
    truth, mine = (np.asarray(rows.group == number) for rows in (other, one))
    rarer = min(int(other.event[truth].sum()), int((~other.event[truth]).sum()))
    most = min(_MOST, rarer // _EVENTS_EACH)
    if most < 1 or not mine.any():
        return None
    flags = Flags(inputs(other.matrix, plan).rows(truth))
    base = _design(flags, other, truth, plan)
    chosen = np.flatnonzero(independent(base))[:most]
    real = fit("logistic", base[:, chosen], other.event[truth].astype(np.float64))
    made = fit("logistic", _design(flags, one, mine, plan)[:, chosen], one.event[mine].astype(np.float64))
    known = ~np.isnan(real.coefficients) & ~np.isnan(made.coefficients)
    if not known.any():
        return None
    bias = np.abs(made.coefficients - real.coefficients)[known] / real.errors[known]
    return Kept(
        float(bias.mean()),
        float(_overlap(made.coefficients, made.errors, real.coefficients, real.errors)[known].mean()),
    )


def _design(flags: Flags, rows: Rows, mine: NDArray[np.bool_], plan: Plan) -> Floats:
    return flags(inputs(rows.matrix, plan).rows(mine))


def _overlap(a: Floats, a_error: Floats, b: Floats, b_error: Floats) -> Floats:
    z = normal_quantile(0.95)
    low, high = np.maximum(a - z * a_error, b - z * b_error), np.minimum(a + z * a_error, b + z * b_error)
    return np.asarray(((high - low) / (2 * z * a_error) + (high - low) / (2 * z * b_error)) / 2)
