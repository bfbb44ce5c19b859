"""The small changes of a table or a generator that are tried after a no, and how each is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema import DateColumn, DatetimeColumn, IntegerColumn, LearntColumn, Schema
from ehrsynth.tables.bands import Banded, band_of, days_of
from ehrsynth.tables.grids import grid
from ehrsynth.tables.times import SECONDS_A_DAY
from ehrsynth.tables.values import to_values

_BANDS = 20  # bands that a column's values are gathered in
_SMOOTHER = 4  # times as many patients in a leaf
_FEW = 3


@dataclass(frozen=True, slots=True)
class Change:
    """Columns in bands and another generator, either or both; `how` says what to write for it."""

    words: str
    how: str
    bands: Mapping[str, float] = field(default_factory=dict)
    generator: AbstractGenerator | None = None


def changes(
    train: pd.DataFrame,
    schema: Schema,
    generator: AbstractGenerator | None,
    *,
    given: Schema,
    identity: bool,
) -> Iterator[Change]:
    """From the smallest to the largest.

    Parameters
    ----------
    train
        The patients who were learnt from, in `schema`.
    generator
        Who learnt; None where the synthetic tables cannot be made anew, and bands alone can be tried.
    given
        The schema as a person wrote it, in which a band is told.
    identity
        Whether a risk of being named is to be mended: what others are likely to know comes first then.
    """
    telling = _telling(train, schema, identity=identity)
    sizes = sorted({min(1, len(telling)), min(_FEW, len(telling)), len(telling)} - {0})
    coarser = [_coarser(telling[:count], given) for count in sizes]
    smoother = None if generator is None else _smoother(generator)
    tried = list(coarser)
    if smoother is not None and generator is not None:
        words = f"{_SMOOTHER} times as many patients in a leaf"
        how = f"--set leaf={smoother.model_dump()['leaf']}"
        tried.insert(1, Change(f"{generator.name} with {words}", how, {}, smoother))
        if coarser:
            last = coarser[-1]
            tried.append(Change(f"{last.words}, and {words}", f"{last.how}; and {how}", last.bands, smoother))
    yield from tried
    if generator is not None and generator.name != "copula":
        yield Change("the generator copula", "--generator copula, without --set", {}, recipe("copula", None))


def _coarser(chosen: Sequence[tuple[LearntColumn, float]], given: Schema) -> Change:
    lines = [f"`band: {_written(given, column, width):.10g}` under {column.name}" for column, width in chosen]
    how = f"write in the schema {', '.join(lines)}"
    return Change(_in_bands(chosen), how, {column.name: width for column, width in chosen})


def _written(given: Schema, column: LearntColumn, width: float) -> float:
    """The band as it stands in the schema that was given: dates, which became years, have theirs in days."""
    before = given.column(column.name)
    became = isinstance(before, DateColumn | DatetimeColumn) and isinstance(column, IntegerColumn)
    return days_of(width) if became else width


def _in_bands(chosen: Sequence[tuple[LearntColumn, float]]) -> str:
    if len(chosen) > _FEW:
        return f"all {len(chosen)} columns of many values in about {_BANDS} bands each"
    return ", ".join(
        f"{column.name} in bands of {width:.10g}"
        f"{' days' if isinstance(column, DateColumn | DatetimeColumn) else ''}"
        for column, width in chosen
    )


def _smoother(generator: AbstractGenerator) -> AbstractGenerator | None:
    settings = generator.model_dump()
    leaf = settings.get("leaf")
    if not isinstance(leaf, int):
        return None
    return recipe(generator.name, settings | {"leaf": _SMOOTHER * leaf})


def _telling(table: pd.DataFrame, schema: Schema, *, identity: bool) -> list[tuple[LearntColumn, float]]:
    """Columns with more values than bands, the most distinct first, with the width of their bands."""
    found, values = [], to_values(table, schema)
    for column in schema.learnt:
        distinct = int(table[column.name].nunique())
        if isinstance(column, Banded) and distinct > _BANDS:
            low, high = np.nanquantile(values[column.name], (0.01, 0.99))
            width = _width(column, float(high - low) / _BANDS)
            at = grid(column)
            if width <= max(band_of(column) or 0.0, at.step / at.scale):
                continue  # it would change nothing
            known = identity and "quasi_identifier" in column.roles
            found.append((not known, -distinct, column.name, column, width))
    return [(column, width) for *_, column, width in sorted(found, key=lambda one: one[:3])]


def _width(column: LearntColumn, width: float) -> float:
    """A round width in the unit of the column's band."""
    if isinstance(column, DatetimeColumn):
        width /= SECONDS_A_DAY
    whole = isinstance(column, IntegerColumn | DateColumn | DatetimeColumn)
    return max(1.0, _round_width(width)) if whole else _round_width(width)


def _round_width(width: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if width <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * next(step for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)))
