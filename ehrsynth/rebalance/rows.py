"""Real rows that stay and rows that were made become one table, every row valid and marked.

Whatever a sampler computes is put on the schema's grid; formulas are recomputed, rules that say how are
carried out, and a row that is then not valid, or no longer in its group, is made anew: never dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.encoding import codes_to_values, values_to_codes
from ehrsynth.errors import SamplingExhausted
from ehrsynth.rebalance.base import REPEATED, with_origin
from ehrsynth.rebalance.groups import selected
from ehrsynth.rebalance.plan import Plan, Rows, values_of
from ehrsynth.schema import IdentifierColumn, Schema
from ehrsynth.tables.constraints import recompute, repair, satisfied
from ehrsynth.tables.origin import REAL, SYNTHETIC
from ehrsynth.tables.values import from_values, identifiers

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Values = Mapping[str, Floats]
MOST_ROUNDS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Synthetic rows of one group: the columns by name in expression space, all valid."""

    values: dict[str, Floats]

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), ()))


Propose = Callable[[tuple[int, int], int], dict[bool, dict[str, Floats]]]


def valid_rows(
    propose: Propose, counts: tuple[int, int], plan: Plan, schema: Schema, *, group: int, what: str
) -> list[Made]:
    """Exactly so many valid rows of one group without and with the event.

    Parameters
    ----------
    propose
        Called with the numbers that are still missing and the number of the round (from 0); gives proposals
        by outcome, every learnt column of the schema.
    what
        The method, for messages.

    Raises
    ------
    SamplingExhausted
        If 30 rounds of proposals did not give enough valid rows.
    """
    found: dict[bool, list[dict[str, Floats]]] = {False: [], True: []}
    missing = list(counts)
    for number in range(MOST_ROUNDS):
        if not any(missing):
            break
        for event, proposal in propose((missing[0], missing[1]), number).items():
            good = _valid(proposal, plan, schema, group, event=event)
            size = len(next(iter(good.values()), ()))
            taken = min(size, missing[event])
            found[event].append({name: values[:taken] for name, values in good.items()})
            missing[event] -= taken
    if any(missing):
        raise SamplingExhausted(
            f"{what} did not find {sum(missing)} more valid rows for the group {plan.groups[group].name!r}:"
            " its rows break the schema's rules, or leave the group"
        )
    return [Made(_joined(parts)) for parts in found.values() if parts]


def _valid(
    proposal: dict[str, Floats], plan: Plan, schema: Schema, group: int, *, event: bool
) -> dict[str, Floats]:
    snapped = codes_to_values(values_to_codes(recompute(proposal, schema), schema), schema)
    mended = repair(snapped, schema) if schema.constraints else snapped
    good = satisfied(mended, schema) & selected(plan.where(group, event=event), mended, schema)
    return {name: values[good] for name, values in mended.items()}


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def outcome_values(
    rows: Rows, stratum: Whole, count: int, plan: Plan, *, rng: np.random.Generator
) -> dict[str, Floats]:
    """The outcome's columns for made rows: those of real patients of the stratum, drawn with replacement."""
    values = values_of(rows.matrix)
    drawn = rng.choice(stratum, count)
    return {name: values[name][drawn] for name in plan.outcomes}


def assemble(
    train: pd.DataFrame, schema: Schema, *, kept: Whole, repeats: Whole, made: list[Made]
) -> pd.DataFrame:
    """One table: real rows that stay, real rows once more, synthetic rows.

    Identifiers of all but the real rows are new, and none of theirs.

    Parameters
    ----------
    kept, repeats
        Places of training patients.
    """
    table = train[list(schema.names)].reset_index(drop=True)
    parts = [table.iloc[kept]]
    origins = [np.full(len(kept), REAL, dtype=object)]
    if len(repeats):
        parts.append(table.iloc[repeats])
        origins.append(np.full(len(repeats), REPEATED, dtype=object))
    for some in made:
        if len(some):
            parts.append(from_values(some.values, schema))
            origins.append(np.full(len(some), SYNTHETIC, dtype=object))
    joined = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)
    joined = _with_new_identifiers(joined, schema, len(kept))
    joined.attrs = dict(train.attrs)
    return with_origin(joined, np.concatenate(origins))


def _with_new_identifiers(joined: pd.DataFrame, schema: Schema, real: int) -> pd.DataFrame:
    for column in schema.columns:
        if isinstance(column, IdentifierColumn) and real < len(joined):
            new = _unused(column, joined[column.name].iloc[:real], len(joined) - real)
            joined[column.name] = pd.concat([joined[column.name].iloc[:real], new], ignore_index=True)
    return joined


def _unused(column: IdentifierColumn, taken: "pd.Series[str]", count: int) -> "pd.Series[str]":
    known, first = set(taken.dropna()), 1
    while True:
        new = identifiers(column, count, first)
        if known.isdisjoint(new):
            return new
        first += count
