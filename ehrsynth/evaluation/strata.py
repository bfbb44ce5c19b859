"""Protected groups, their intersections and sites: the parts of the population that scores are shown for.

A group is left out and named where a table has too few of its patients for a score to mean anything.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, is_discrete
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, LearntColumn, Schema
from ehrsynth.tables.grids import grid

_THIRDS = ("lowest third", "middle third", "highest third")


class Stratum(NamedTuple):
    """One group of patients: its name, and which rows of each table belong to it."""

    name: str
    masks: tuple[Mask, ...]


class Strata(NamedTuple):
    """The groups that can be measured, and the names of those that cannot, each with the reason."""

    measured: tuple[Stratum, ...]
    left_out: Mapping[str, str]


def strata(schema: Schema, tables: Sequence[Matrix], *, minimum: int | None = None) -> Strata:
    """The groups by the columns with the role protected, each pair of these columns, and each site.

    Listed values and integers of few values make a group each; numbers and dates are cut into thirds of the
    first table, whose ends are not told. Missing is a group of its own.

    Parameters
    ----------
    tables
        The masks of a stratum follow their order.
    minimum
        The fewest patients of a group in each table; the protocol's `strata_minimum` when None. At most
        the protocol's `strata` groups are measured: single ones before intersections.
    """
    least = protocol().strata_minimum if minimum is None else minimum
    columns = _columns(schema, "protected")
    single = {column.name: _groups_of(column, tables) for column in columns}
    found = [group for groups in single.values() for group in groups]
    found += [
        group
        for column in _columns(schema, "site")
        if column.name not in single
        for group in _groups_of(column, tables)
    ]
    for first, second in combinations(single, 2):
        found += [_both(a, b) for a in single[first] for b in single[second]]
    return _measurable(found, least)


def by_group(strata: Strata, score: Callable[[Stratum], Mapping[str, Any]]) -> dict[str, Any]:
    """The entry `groups` of a score's details: what `score` gives for each group, and what was left out."""
    return {
        "measured": [{"group": one.name, **score(one)} for one in strata.measured],
        "left_out": [{"group": name, "reason": why} for name, why in strata.left_out.items()],
    }


def level_name(column: LearntColumn, code: int) -> str:
    """What the schema calls a value: its word, or its number."""
    if isinstance(column, CategoryColumn | CodeColumn):
        return column.values[code]
    if isinstance(column, BooleanColumn):
        return (column.false, column.true)[code]
    return str(grid(column).origin + code)


def is_listed(column: LearntColumn) -> bool:
    """Whether each value of a column can be a group: listed values, or few whole numbers."""
    return is_discrete(column) or (column.kind == "integer" and column.size <= protocol().few_values)


def _columns(schema: Schema, role: str) -> list[LearntColumn]:
    return sorted((c for c in schema.learnt if role in c.roles), key=lambda column: column.name)


def _groups_of(column: LearntColumn, tables: Sequence[Matrix]) -> list[Stratum]:
    values = [table.values[:, table.place(column.name)] for table in tables]
    if is_listed(column):
        codes = [grid(column).codes(v) for v in values]
        seen = sorted({int(code) for c in codes for code in np.unique(c) if code >= 0})
        found = [
            Stratum(f"{column.name}: {level_name(column, code)}", tuple(c == code for c in codes))
            for code in seen
        ]
    else:
        found = _thirds(column.name, values)
    missing = tuple(np.isnan(v) for v in values)
    return [*found, Stratum(f"{column.name}: missing", missing)] if any(m.any() for m in missing) else found


def _thirds(name: str, values: Sequence[Floats]) -> list[Stratum]:
    known = values[0][~np.isnan(values[0])]
    if not len(known):
        return []
    low, high = np.quantile(known, (1 / 3, 2 / 3), method="lower")
    cuts = (
        tuple(v <= low for v in values),
        tuple((v > low) & (v <= high) for v in values),
        tuple(v > high for v in values),
    )
    return [Stratum(f"{name}: {third}", masks) for third, masks in zip(_THIRDS, cuts, strict=True)]


def _both(first: Stratum, second: Stratum) -> Stratum:
    masks = tuple(a & b for a, b in zip(first.masks, second.masks, strict=True))
    return Stratum(f"{first.name} and {second.name}", masks)


def _measurable(found: Sequence[Stratum], least: int) -> Strata:
    measured: list[Stratum] = []
    left_out: dict[str, str] = {}
    for one in found:
        fewest = min((int(mask.sum()) for mask in one.masks), default=0)
        if fewest < least:
            left_out[one.name] = f"fewer than {least} patients in a table"
        elif len(measured) == protocol().strata:
            left_out[one.name] = f"beyond the {protocol().strata} groups that are measured"
        else:
            measured.append(one)
    return Strata(tuple(measured), left_out)
