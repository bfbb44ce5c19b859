"""Groups of patients: a name and a `where` expression, so that a generator can be asked for one.

Each protected column is an axis: its listed values, or bands of its numbers. Groups that somebody wrote as
expressions are one more axis, and whoever is surely in none of them is "others". The groups are the
intersections of all axes. A missing value of a protected column is a level of its own; a patient of whom a
named group's expression cannot be decided is in no group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import RequestError, unknown
from ehrsynth.evaluation.strata import is_listed, level_name
from ehrsynth.expressions import quoted, text_literal, truth
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, DateColumn, LearntColumn, Schema
from ehrsynth.schema.binding import bind
from ehrsynth.schema.meanings import word_value
from ehrsynth.tables.grids import grid

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]
Values = Mapping[str, Floats]

EVERYONE = "all patients"
OTHERS = "others"
NOWHERE = -1
_MOST_GROUPS = 400


@dataclass(frozen=True, slots=True)
class Group:
    """Patients of one kind: a name for a person, and the expression that selects them."""

    name: str
    where: str


def selected(where: str, values: Values, schema: Schema) -> Mask:
    """Which rows an expression selects: those for which it is definitely true.

    Parameters
    ----------
    values
        As `ehrsynth.tables.to_values` gives them for `schema`.
    """
    found = truth(bind(where, schema, expects="truth"), values) == 1
    rows = len(next(iter(values.values()), ()))
    return np.asarray(np.broadcast_to(found, (rows,)), np.bool_)


def membership(groups: Sequence[Group], values: Values, schema: Schema) -> Whole:
    """The number of each row's group, -1 for none.

    Raises
    ------
    RequestError
        If a row is in two groups: they must not overlap.
    """
    found = np.full(len(next(iter(values.values()), ())), NOWHERE, np.int64)
    for place, group in enumerate(groups):
        mask = selected(group.where, values, schema)
        both = int((mask & (found != NOWHERE)).sum())
        if both:
            raise RequestError(
                f"group {group.name!r} shares {both} patients with another group: write groups that do not"
                " overlap"
            )
        found[mask] = place
    return found


def make_groups(
    values: Values,
    schema: Schema,
    *,
    protected: Sequence[str] = (),
    bands: Mapping[str, Sequence[str | float]] | None = None,
    named: Mapping[str, str] | None = None,
) -> tuple[Group, ...]:
    """The groups of a table that have patients: intersections of protected columns and of named groups.

    Parameters
    ----------
    values
        As `ehrsynth.tables.to_values` gives them for `schema`.
    protected
        Columns; none and no named group is one group of all patients.
    bands
        Where numbers and dates are cut: each cut begins a new band. A column without cuts is cut into
        thirds of the table.
    named
        Expressions by name; they must not overlap.

    Raises
    ------
    RequestError
        If a column does not exist or is an identifier, cuts do not rise, named groups overlap or are empty,
        or there are more than 400 groups.
    """
    cuts = dict(bands or {})
    strange = sorted(set(cuts) - set(protected))
    if strange:
        raise RequestError(
            f"bands are given for {', '.join(strange)}, which is no protected column: name it so"
        )
    axes = [_levels(learnt(schema, name), values, cuts.get(name)) for name in protected]
    if named:
        axes.append(_named(named, values, schema))
    found = _present(axes, values, schema)
    if len(found) > _MOST_GROUPS:
        raise RequestError(
            f"the protected columns make {len(found)} groups; at most {_MOST_GROUPS} are looked at:"
            f" take fewer"
            " columns, or bands and named groups that are wider"
        )
    return found


def learnt(schema: Schema, name: str) -> LearntColumn:
    """One learnt column by name.

    Raises
    ------
    RequestError
        If there is none, or it is an identifier.
    """
    for column in schema.learnt:
        if column.name == name:
            return column
    if name in schema.names:
        raise RequestError(f"column {name!r} is an identifier: it tells patients apart and makes no group")
    raise RequestError(unknown("column", name, tuple(c.name for c in schema.learnt)))


def _present(axes: Sequence[Sequence[Group]], values: Values, schema: Schema) -> tuple[Group, ...]:
    """The intersections that have patients, in the order of the axes."""
    rows = len(next(iter(values.values()), ()))
    levels = np.zeros((rows, len(axes)), np.int64)
    for place, axis in enumerate(axes):
        levels[:, place] = membership(axis, values, schema)
    seen = np.unique(levels[(levels != NOWHERE).all(axis=1)], axis=0)
    return tuple(_crossed([axes[a][level] for a, level in enumerate(one)]) for one in seen)


def _crossed(levels: Sequence[Group]) -> Group:
    if not levels:
        return Group(EVERYONE, "true")
    if len(levels) == 1:
        return levels[0]
    return Group(
        " and ".join(level.name for level in levels), " and ".join(f"({level.where})" for level in levels)
    )


def _named(named: Mapping[str, str], values: Values, schema: Schema) -> list[Group]:
    if OTHERS in named:
        raise RequestError(f"{OTHERS!r} are the patients in no named group: choose another name")
    groups = [Group(name, where) for name, where in named.items()]
    seen = membership(groups, values, schema)
    for place, group in enumerate(groups):
        if not (seen == place).any():
            raise RequestError(f"no patient is in the group {group.name!r}: {group.where}")
    nobody = " and ".join(f"not ({group.where})" for group in groups)
    return [*groups, Group(OTHERS, nobody)]


def _levels(column: LearntColumn, values: Values, cuts: Sequence[str | float] | None) -> list[Group]:
    name, seen = quoted(column.name), values[column.name]
    if cuts is None and is_listed(column):
        codes = grid(column).codes(seen)
        found = [_one_value(column, int(code)) for code in np.unique(codes[codes >= 0])]
    else:
        found = _bands(column, _edges(column, seen, cuts))
    if np.isnan(seen).any():
        found.append(Group(f"{column.name}: missing", f"missing({name})"))
    return found


def _one_value(column: LearntColumn, code: int) -> Group:
    name, word = quoted(column.name), level_name(column, code)
    if isinstance(column, BooleanColumn):
        return Group(f"{column.name}: {word}", name if code else f"not {name}")
    literal = text_literal(word) if isinstance(column, CategoryColumn | CodeColumn) else word
    return Group(f"{column.name}: {word}", f"{name} == {literal}")


def _edges(column: LearntColumn, seen: Floats, cuts: Sequence[str | float] | None) -> list[str]:
    """The words at which a new band begins."""
    if cuts is not None:
        return [_checked(column, str(cut)) for cut in cuts]
    known = seen[~np.isnan(seen)]
    if not len(known):
        return []
    thirds = np.unique(np.quantile(known, (1 / 3, 2 / 3), method="higher"))
    return [_written(column, float(edge)) for edge in thirds if edge > known.min()]


def _checked(column: LearntColumn, word: str) -> str:
    try:
        word_value(column, word)
    except ValueError as error:
        raise RequestError(f"a band of {column.name!r} cannot begin at {word!r}: {error}") from None
    return word


def _written(column: LearntColumn, value: float) -> str:
    if isinstance(column, DateColumn):
        return str(np.datetime64(int(value), "D"))
    if column.kind == "datetime":
        return str(np.datetime64(int(value), "s"))
    return f"{value:.15g}"


def _bands(column: LearntColumn, edges: Sequence[str]) -> list[Group]:
    at = [word_value(column, edge) for edge in edges]
    if any(low >= high for low, high in pairwise(at)):
        raise RequestError(
            f"the bands of {column.name!r} begin at {', '.join(edges)}: write them in rising order"
        )
    name, said = quoted(column.name), column.name
    if not edges:
        return [Group(f"{said}: known", f"not missing({name})")]
    literal = [text_literal(e) if column.kind in {"date", "datetime", "category"} else e for e in edges]
    low = Group(f"{said}: below {edges[0]}", f"{name} < {literal[0]}")
    high = Group(f"{said}: {edges[-1]} or more", f"{name} >= {literal[-1]}")
    between = [
        Group(f"{said}: {a} to below {b}", f"{name} >= {x} and {name} < {y}")
        for (a, b), (x, y) in zip(pairwise(edges), pairwise(literal), strict=True)
    ]
    return [low, *between, high]
