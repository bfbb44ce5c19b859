"""From a plan's goal to numbers: patients wanted of each group and outcome, and a weight for each patient."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import RequestError, unknown
from ehrsynth.randomness import numpy_generator
from ehrsynth.rebalance.plan import Counts, Equal, Plan, Population, Rows, rows_of
from ehrsynth.rebalance.population import margins_of
from ehrsynth.rebalance.raking import Raked, rake, reachable
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Direction = Literal["up", "down"]
MOST_TIMES = 20


def stratum_counts(rows: Rows, groups: int) -> Whole:
    """Groups x 2: patients of each group without and with the event."""
    inside = rows.group >= 0
    place = 2 * rows.group[inside] + rows.event[inside]
    return np.bincount(place, minlength=2 * groups).reshape(groups, 2)


def wanted(table: pd.DataFrame, plan: Plan, schema: Schema, direction: Direction) -> Whole:
    """Groups x 2: how many patients there shall be of each group without and with the event.

    Parameters
    ----------
    direction
        "up": no group and no outcome in it shrinks. "down": none grows. `Counts` say themselves.

    Raises
    ------
    RequestError
        If a count names no group, or more than 20 times the table's rows would be made.
    """
    rows = rows_of(table, plan, schema)
    counts = stratum_counts(rows, len(plan.groups)).astype(np.float64)
    shares = _shares(rows, plan, schema, counts)
    sizes = shares.sum(axis=1)
    if not isinstance(plan.goal, Counts):
        have = counts.sum(axis=1)
        ratio = have[sizes > 0] / sizes[sizes > 0]
        shares = shares * (ratio.max() if direction == "up" else ratio.min())
    found = _with_classes(shares, counts, plan, direction)
    most = MOST_TIMES * len(rows)
    if found.sum() > most:
        raise RequestError(
            f"the goal asks for {found.sum():,.0f} patients, more than {MOST_TIMES} times the table's"
            f" {len(rows):,}: take a nearer goal, counts of your own, or a method that weighs or takes away"
        )
    return np.rint(found).astype(np.int64)


def _shares(rows: Rows, plan: Plan, schema: Schema, counts: Floats) -> Floats:
    """Groups x 2, in any unit for a goal of shares, in patients for one of counts."""
    sizes = counts.sum(axis=1, keepdims=True)
    within = counts / np.maximum(sizes, 1)
    match plan.goal:
        case Equal():
            return np.asarray(within * (sizes > 0), np.float64)
        case Counts(asked):
            target = _asked_sizes(asked, plan, sizes[:, 0], len(rows))
            return np.asarray(within * target[:, None], np.float64)
    raked = raked_weights(rows, plan, schema).weights
    inside = rows.group >= 0
    place = 2 * rows.group[inside] + rows.event[inside]
    return np.asarray(
        np.bincount(place, raked[inside], minlength=counts.size).reshape(counts.shape), np.float64
    )


def _asked_sizes(asked: Mapping[str, int], plan: Plan, sizes: Floats, rows: int) -> Floats:
    """Patients wanted of each group in so many of the plan's rows; where none is asked, those there are."""
    check_counts(asked, plan)
    part = rows / plan.rows
    return np.array(
        [asked[name] * part if name in asked else n for name, n in zip(plan.names, sizes, strict=True)]
    )


def check_counts(asked: Mapping[str, int], plan: Plan) -> None:
    """Raise where a count names no group.

    Raises
    ------
    RequestError
        Lists the groups.
    """
    for name in asked:
        if name not in plan.names:
            raise RequestError(unknown("group", name, plan.names))


def _with_classes(wanted_kept: Floats, counts: Floats, plan: Plan, direction: Direction) -> Floats:
    if plan.classes == "kept":
        return wanted_kept
    half = wanted_kept.sum(axis=1) / 2
    if direction == "up" and not isinstance(plan.goal, Counts):
        half = np.maximum(half, counts.max(axis=1))
    if direction == "down" and not isinstance(plan.goal, Counts):
        half = np.minimum(half, counts.min(axis=1))
    return np.stack([half, half], axis=1)


def staying(rows: Rows, target: Whole, seed: int) -> Whole:
    """Places of the patients who stay where the goal asks for fewer of a stratum: drawn at random."""
    keep = [np.flatnonzero(rows.group < 0)]
    for group, event in np.ndindex(target.shape):
        places = np.flatnonzero((rows.group == group) & (rows.event == bool(event)))
        most = int(target[group, event])
        rng = numpy_generator(seed, "staying", str(group), str(event))
        keep.append(rng.permutation(places)[:most] if most < len(places) else places)
    return np.sort(np.concatenate(keep))


def raked_weights(rows: Rows, plan: Plan, schema: Schema) -> Raked:
    """Weights that give the table the plan's population.

    In a part of the table (a training set) a cell may have nobody: it is left out there.

    Raises
    ------
    TypeError
        If the plan's goal is no population.
    """
    if not isinstance(plan.goal, Population):
        message = "only a target population is raked"
        raise TypeError(message)
    margins = margins_of(plan.goal.margins, rows.values, schema)
    whole = len(rows) == plan.rows
    return rake(margins if whole else [reachable(margin) for margin in margins], len(rows))


def goal_weights(rows: Rows, plan: Plan, schema: Schema) -> Floats:
    """A weight for each patient, mean 1, under which groups are as the goal wants; outcomes keep theirs."""
    if isinstance(plan.goal, Population):
        return raked_weights(rows, plan, schema).weights
    counts = stratum_counts(rows, len(plan.groups)).sum(axis=1)
    size = np.maximum(counts, 1)
    if isinstance(plan.goal, Counts):
        target = _asked_sizes(plan.goal.wanted, plan, counts.astype(np.float64), len(rows))
    else:
        target = np.full(len(counts), counts.sum() / len(counts))
    weights = np.ones(len(rows))
    inside = rows.group >= 0
    weights[inside] = (target / size)[rows.group[inside]]
    return np.asarray(weights / weights.mean())


def class_weights(rows: Rows, groups: int) -> Floats:
    """A weight for each patient, mean 1: in each group both outcomes weigh alike, and the group as before."""
    counts = stratum_counts(rows, groups)
    each = counts.sum(axis=1, keepdims=True) / 2 / np.maximum(counts, 1)
    weights = np.ones(len(rows))
    inside = rows.group >= 0
    weights[inside] = each[rows.group[inside], rows.event[inside].astype(int)]
    return np.asarray(weights / weights.mean())


def helped(table: pd.DataFrame, plan: Plan, schema: Schema) -> tuple[str, ...]:
    """The groups that the goal makes larger against the others; all groups where it makes none so."""
    rows = rows_of(table, plan, schema)
    weights = goal_weights(rows, plan, schema)
    mean = [float(weights[rows.group == g].mean()) for g in range(len(plan.groups))]
    larger = tuple(name for name, w in zip(plan.names, mean, strict=True) if w > 1 + 1e-9)
    return larger or plan.names
