"""Keeps formulas true while bounds are drawn in: a BMI stays the BMI of its height and weight.

A computed column is not clipped on its own. Where its inputs were, it is computed anew; and where its result
lies beyond the common bounds, its inputs are drawn towards their medians, no further than is needed. Nobody
gets or loses a value: a result that is missing stays so, and one that is known where an input is not is
clipped, since no formula says anything of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ehrsynth.expressions import Expression
from ehrsynth.schema import Formula, LearntColumn, Schema
from ehrsynth.schema.binding import bind
from ehrsynth.tables.constraints import recompute
from ehrsynth.tables.evidence import few
from ehrsynth.tables.extremes import Bounds, Numeric, common_bounds
from ehrsynth.tables.grids import Floats, Mask, grid

_STEPS = 32  # of the way from a value to its column's median
_PASSES = 4  # formulas may share inputs: what one moves, another must bear


class Drawn(NamedTuple):
    """What became of a computed column: its bounds, its inputs, and of how many patients they were moved.

    `clipped`: of how many patients the result itself was, for want of an input.
    """

    bounds: Bounds
    inputs: tuple[str, ...]
    patients: int
    clipped: int


def computed_from(schema: Schema, columns: Mapping[str, LearntColumn]) -> dict[str, frozenset[str]]:
    """Each column with a formula of numbers alone, and the columns without formula that it comes from."""
    direct = {
        rule.column: _expression(rule, schema).columns
        for rule in schema.constraints
        if isinstance(rule, Formula)
    }
    found = {name: frozenset(_sources(name, direct)) for name in direct}
    unchanged = {n for n, c in columns.items() if isinstance(c, Numeric) and c.kind == schema.column(n).kind}
    return {name: sources for name, sources in found.items() if sources and unchanged >= {name, *sources}}


def _expression(rule: Formula, schema: Schema) -> Expression:
    return bind(rule.equals, schema, expects="number")


def _sources(name: str, direct: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for source in direct[name]:
        if source in direct:
            yield from _sources(source, direct)
        else:
            yield source


def draw_in_computed(
    before: Mapping[str, Floats],
    values: Mapping[str, Floats],
    columns: Mapping[str, LearntColumn],
    schema: Schema,
) -> tuple[dict[str, Floats], dict[str, Drawn]] | None:
    """The values of computed columns and of their inputs after bounds were drawn in.

    Parameters
    ----------
    before, values
        The columns before and after the bounds of those without formula were drawn in.
    columns
        Their declarations now.
    schema
        With the formulas.

    Returns
    -------
    values, drawn
        The changed columns, and what to say of each computed one. None where the medians of the inputs are
        themselves beyond a result's bounds, or formulas that share inputs do not settle.
    """
    sources = computed_from(schema, columns)
    inputs, alone = set().union(*sources.values()), _formulas_of(sources, schema)
    new = dict(values) | computed_anew(before, values, columns, schema)
    drawn = {n: _bounds(columns[n], new[n]) for n in sources}
    clipped = _clipped(new, drawn, alone)
    unset, new = new, new | clipped
    start = dict(new)
    for _ in range(_PASSES):
        for name in sources:
            found = _pulled(new, (name, sources), drawn[name], (columns, alone))
            if found is None:
                return None
            new = found
        if all(_inside(new[n], drawn[n]).all() for n in sources):
            break
    else:
        return None
    touched = {n for n in (*sources, *inputs) if not _same(before[n], new[n]).all()}
    pulled = {n: np.logical_or.reduce([~_same(start[i], new[i]) for i in sources[n]]) for n in sources}
    told = {
        n: Drawn(
            b,
            tuple(sorted(sources[n], key=list(columns).index)),
            int(pulled[n].sum()),
            int((~_same(unset[n], clipped[n])).sum()),
        )
        for n, b in drawn.items()
    }
    return {n: new[n] for n in touched}, told


def said_of(name: str, became: Drawn, *, narrower: bool) -> str:
    """What became of a computed column, as an action of a release; `narrower` if its bounds were drawn in."""
    minimum, maximum = became.bounds
    bounds = f"{minimum:.10g} and {maximum:.10g}"
    said = f"bounds guessed from the data were drawn in to {bounds}" if narrower else f"bounds {bounds} stay"
    said += (
        f", and {', '.join(became.inputs)} drawn towards the middle where it was beyond them, so that its"
        f" formula holds ({few(became.patients)} patients)"
    )
    if became.clipped:
        said += f"; where an input is missing it was set to these ({few(became.clipped)} patients)"
    return f"{name}: {said}"


def computed_anew(
    before: Mapping[str, Floats],
    values: Mapping[str, Floats],
    columns: Mapping[str, LearntColumn],
    schema: Schema,
) -> dict[str, Floats]:
    """Computed columns, written anew in the rows of which an input was moved; see `draw_in_computed`."""
    sources = computed_from(schema, columns)
    fresh = _written(values, sources, _formulas_of(sources, schema))
    moved = {n: ~_same(before[n], values[n]) for n in set().union(*sources.values())}
    # Elsewhere the last digit stays as it was.
    rows = {name: np.logical_or.reduce([moved[i] for i in inputs]) for name, inputs in sources.items()}
    return {name: np.where(rows[name], fresh[name], values[name]) for name in sources}


def _formulas_of(sources: Mapping[str, frozenset[str]], schema: Schema) -> Schema:
    """The schema with no rules but the formulas of some columns."""
    rules = [c for c in schema.constraints if isinstance(c, Formula) and c.column in sources]
    return schema.changed(constraints=tuple(rules))


def _same(a: Floats, b: Floats) -> Mask:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _written(values: Mapping[str, Floats], names: Iterable[str], alone: Schema) -> dict[str, Floats]:
    """Computed columns, written anew where they and their inputs are known; elsewhere as they were."""
    fresh = recompute(values, alone)
    kept = {n: np.isnan(values[n]) | np.isnan(fresh[n]) for n in names}
    return {n: np.where(rows, values[n], fresh[n]) for n, rows in kept.items()}


def _clipped(values: Mapping[str, Floats], drawn: Mapping[str, Bounds], alone: Schema) -> dict[str, Floats]:
    """Computed columns, clipped where they cannot be computed: no input can be drawn in for them there."""
    fresh = recompute(values, alone)
    return {
        n: np.where(np.isnan(fresh[n]), np.clip(values[n], *bounds), values[n]) for n, bounds in drawn.items()
    }


def _bounds(column: LearntColumn, values: Floats) -> Bounds:
    if not isinstance(column, Numeric):  # `computed_from` names none
        message = f"{column.name!r} is not a number"
        raise TypeError(message)
    return common_bounds(column, values) or Bounds(column.minimum, column.maximum)


def _inside(values: Floats, bounds: Bounds) -> Mask:
    return np.asarray(np.isnan(values) | ((values >= bounds.minimum) & (values <= bounds.maximum)))


def _pulled(
    values: dict[str, Floats],
    asked: tuple[str, Mapping[str, frozenset[str]]],
    bounds: Bounds,
    declared: tuple[Mapping[str, LearntColumn], Schema],
) -> dict[str, Floats] | None:
    """The values with the inputs of rows beyond the bounds moved as far as needed; None if nothing helps."""
    (name, sources), (columns, alone) = asked, declared
    out = np.flatnonzero(~_inside(values[name], bounds))
    if not len(out):
        return values
    new = {n: v.copy() for n, v in values.items()}
    centres = {n: float(np.nanmedian(values[n])) for n in sources[name]}
    sharing = [n for n in sources if sources[n] & sources[name]]
    for step in range(1, _STEPS + 1):
        part = {n: v[out] for n, v in values.items()}
        for n, centre in centres.items():
            part[n] = grid(columns[n]).snap(part[n] + step / _STEPS * (centre - part[n]))
        part |= _written(part, sharing, alone)
        good = _inside(part[name], bounds)
        for n in (*centres, *sharing):
            new[n][out[good]] = part[n][good]
        out = out[~good]
        if not len(out):
            return new
    return None
