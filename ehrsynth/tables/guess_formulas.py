"""Which columns are computed from others: copies, units, totals, parts of a constant, products, quotients.

A column that a generator learns beside its inputs comes out near what they give (a BMI off by one,
percentages that sum to 97): a proposed formula is recomputed instead. Only what holds in every row is
proposed, and only where the column is missing in exactly the rows in which an input is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, combinations, product
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.expressions import quoted
from ehrsynth.schema import Column, Formula, IntegerColumn, NumberColumn
from ehrsynth.tables.evidence import spread
from ehrsynth.tables.grids import grid

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]
HOLDS = "holds in every row: check that this is a rule"
_FEWEST_ROWS = 30
_DISTINCT = 10  # values that a computed column has: rules between few values hold by chance
_MOST = 60  # columns looked at together
_LOOKED_AT = 2000  # rows of the first look; what holds there is tried on all
_FIRST = 100  # of them, for products
_POWERS = tuple(range(-4, 5))  # of ten, between the units of a product and of its factors
_CLOSE = 1e-6
_FACTOR_DIGITS = range(1, 10)  # of a unit's factor: the fewest that do
_ONE = ""  # stands for the number 1 among columns: no column is called so


class _Found(NamedTuple):
    column: str
    inputs: tuple[str, ...]
    equals: str
    compute: Callable[[Values], Floats]


def guess_formulas(
    columns: Sequence[Column], values: Values, *, computed: Collection[str] = ()
) -> list[Formula]:
    """Formulas that hold in every row, each column's at most one, and none of a column that is computed.

    Parameters
    ----------
    columns
        The columns proposed so far, in the table's order.
    values
        Of each integer and number among them the value in each row, NaN where it is missing.
    computed
        Columns that have a formula already: others may follow from them.
    """
    numbers = [c for c in columns if isinstance(c, IntegerColumn | NumberColumn) and c.name in values]
    some = {c.name: _spaced(values[c.name], _LOOKED_AT) for c in numbers}
    varied = [c for c in numbers if _distinct(some[c.name]) >= 2][: 5 * _MOST]  # noqa: PLR2004 - not constant
    steps = {c.name: 1.0 / grid(c).scale for c in varied}
    found: dict[str, _Found] = {}
    used: set[str] = set()
    for look in (_copies, _multiples, _totals, _constants, _products):
        for one in look({n: some[n] for n in steps if n not in found}, steps):
            taken = one.column in found or one.column in used or one.column in computed
            free = not taken and not found.keys() & set(one.inputs)
            if free and holds(values[one.column], one.compute(values), steps[one.column]):
                found[one.column] = one
                used |= set(one.inputs)
    return [
        Formula(column=f.column, equals=f.equals, description=HOLDS, source="data") for f in found.values()
    ]


def _spaced(values: Floats, most: int) -> Floats:
    return values[spread(len(values), most)]


def _distinct(values: Floats) -> int:
    return len(np.unique(values[~np.isnan(values)]))


def _varied(values: Values) -> list[str]:
    return [name for name in values if _distinct(values[name]) >= _DISTINCT]


def holds(values: Floats, computed: Floats, step: float, *, fewest: int = _FEWEST_ROWS) -> bool:
    """Whether a column is what was computed, to its own last digit, and missing where that is.

    Parameters
    ----------
    values, computed
        One each row, NaN where it is missing.
    step
        Between neighbours of the column's grid.
    fewest
        Rows that must have a value.
    """
    if not np.array_equal(np.isnan(values), np.isnan(computed)):
        return False
    known = ~np.isnan(values)
    close = np.abs(values - computed)[known] <= 0.5 * step * (1 + _CLOSE)
    return int(known.sum()) >= fewest and bool(close.all())


def _copies(values: Values, steps: Mapping[str, float]) -> Iterator[_Found]:
    """A column that repeats another, or is another rounded: of two that are equal the later one."""
    for first, second in combinations(_varied(values), 2):
        low, high = (first, second) if steps[first] <= steps[second] else (second, first)
        if holds(values[high], values[low], steps[high]):
            yield _Found(high, (low,), quoted(low), itemgetter(low))


def _times_constant(factor: float, name: str, values: Values) -> Floats:
    return values[name] * factor


def _multiples(values: Values, steps: Mapping[str, float]) -> Iterator[_Found]:
    """A column that is another in a smaller or larger unit: an age in months, a weight in pounds.

    An age that is written twice would be told by the one that nobody takes for an age.
    """
    for pair in combinations(_varied(values)[:_MOST], 2):
        # The finer of both is computed: years from months would be many months for each year.
        size = {name: steps[name] / float(np.nanmax(np.abs(values[name]))) for name in pair}
        fine, coarse = sorted(pair, key=size.__getitem__)
        for of, to in ((coarse, fine), (fine, coarse)):
            factor = _factor(values[of], values[to], 0.5 * steps[to])
            if factor is not None and holds(values[to], values[of] * factor, steps[to]):
                equals = f"{quoted(of)} * {factor:.9g}"
                yield _Found(to, (of,), equals, partial(_times_constant, factor, of))


def _factor(of: Floats, to: Floats, half: float) -> float | None:
    """The factor of fewest digits that takes one column to another, up to `half`; None if none does."""
    known = ~(np.isnan(of) | np.isnan(to)) & (of != 0)
    if not known.any():
        return None
    ends = np.stack([to[known] - half, to[known] + half]) / of[known]
    least, most = ends.min(axis=0).max(), ends.max(axis=0).min()
    rounded = (float(f"{(least + most) / 2:.{digits}g}") for digits in _FACTOR_DIGITS)
    return next((factor for factor in rounded if least <= factor <= most and factor != 0), None)


def _alike(values: Values) -> Iterator[dict[str, Floats]]:
    """Columns that are missing in the same rows, their known values alone."""
    groups: dict[bytes, dict[str, Floats]] = {}
    for name, column in values.items():
        known = ~np.isnan(column)
        groups.setdefault(np.packbits(known).tobytes(), {})[name] = column[known]
    for group in groups.values():
        rows = len(next(iter(group.values())))
        if len(group) > 1 and rows >= max(_FEWEST_ROWS, 2 * min(len(group), _MOST)):
            yield dict(list(group.items())[:_MOST])


def _weights(target: Floats, others: Values) -> Floats | None:
    """With which weights the others sum to `target` in every row; None where with none, or with several."""
    design = np.column_stack(list(others.values()))
    weights, _, rank, _ = np.linalg.lstsq(design, target, rcond=1e-10)
    misses = np.abs(design @ weights - target).max() > _CLOSE * np.abs(target).max()
    return None if misses or rank < design.shape[1] else np.asarray(weights)


def _counted(weights: Floats, names: Iterable[str], weight: float) -> tuple[str, ...] | None:
    """The names that count with this weight; None where others count too."""
    counted = np.abs(weights - weight) < _CLOSE
    if not (counted | (np.abs(weights) < _CLOSE)).all():
        return None
    return tuple(name for name, counts in zip(names, counted, strict=True) if counts)


def _with_those_before(group: Values) -> Iterator[tuple[str, dict[str, Floats]]]:
    """Each column but the first, and those before it that do not follow from others themselves."""
    before: dict[str, Floats] = {}
    for name, column in group.items():
        if before:
            yield name, dict(before)
        if not before or _weights(column, before) is None:
            before[name] = column


def _sum(parts: Sequence[str], values: Values) -> Floats:
    return np.asarray(np.sum([values[part] for part in parts], axis=0))


def _totals(values: Values, steps: Mapping[str, float]) -> Iterator[_Found]:
    """A column that is the sum of others.

    Of all others it can be told while it is the only one that follows from others; where there are several
    totals, of those before it or after it.
    """
    del steps
    for group in _alike(values):
        alone = ((name, {n: v for n, v in group.items() if n != name}) for name in group)
        turned = dict(reversed(group.items()))
        varied = set(_varied(group))
        for name, others in chain(alone, _with_those_before(group), _with_those_before(turned)):
            weights = _weights(group[name], others) if name in varied else None
            parts = None if weights is None else _counted(weights, others, 1.0)
            if parts and len(parts) > 1:
                ordered = tuple(n for n in group if n in parts)
                yield _Found(name, ordered, " + ".join(map(quoted, ordered)), partial(_sum, ordered))


def _rest(constant: float, parts: Sequence[str], values: Values) -> Floats:
    return constant - _sum(parts, values)


def _constants(values: Values, steps: Mapping[str, float]) -> Iterator[_Found]:
    """The last of several columns whose sum is the same number in every row, as percentages are."""
    del steps
    for group in _alike(values):
        varied = set(_varied(group))
        ones = np.ones(len(next(iter(group.values()))))
        for last, others in _with_those_before({_ONE: ones, **group}):
            weights = _weights(group[last], others) if last in varied else None
            if weights is None or abs(weights[0]) < _CLOSE * np.abs(group[last]).max():
                continue
            parts = _counted(weights[1:], list(others)[1:], -1.0)
            if parts:
                constant = float(f"{weights[0]:.9g}")
                equals = " - ".join([f"{constant:.9g}", *map(quoted, parts)])
                yield _Found(last, parts, equals, partial(_rest, constant, parts))


def _products(values: Values, steps: Mapping[str, float]) -> Iterator[_Found]:
    """A product, a quotient, or a quotient by a square (BMI), in units that differ by a power of ten."""
    many = _varied(values)[:_MOST]
    if len(many) < 3:  # noqa: PLR2004 - two factors and their product
        return
    some = {name: _spaced(values[name], _FIRST) for name in many}
    every = np.stack(list(some.values()))
    half = np.array([0.5 * steps[name] for name in many])[:, None] * (1 + _CLOSE)
    for a, b, form, power in product(many, many, _FORMS, _POWERS):
        if a == b or (form == "product" and b < a):
            continue
        compute = partial(_factors, (form, a, b, power))
        with np.errstate(invalid="ignore"):
            off = (np.abs(every - compute(some)) > half).any(axis=1)
        for k in np.flatnonzero(~off):
            if many[k] not in (a, b) and holds(values[many[k]], compute(values), steps[many[k]]):
                equals = _FORMS[form].format(a=quoted(a), b=quoted(b)) + _times(power)
                yield _Found(many[k], (a, b), equals, compute)


_FORMS = {"product": "{a} * {b}", "quotient": "{a} / {b}", "by square": "{a} / ({b} * {b})"}


def _factors(what: tuple[str, str, str, int], values: Values) -> Floats:
    form, first, second, power = what
    a, b = values[first], values[second]
    if form == "product":
        return a * b * 10.0**power
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b == 0, np.nan, a / (b if form == "quotient" else b * b)) * 10.0**power


def _times(power: int) -> str:
    return "" if power == 0 else f" * {10**power}" if power > 0 else f" / {10**-power}"
