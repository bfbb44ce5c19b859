"""A no names the way to a yes: small changes of the table or the generator, each one measured.

A change of the table is made in the real patients before anything is learnt, and the attacks are tried on the
changed patients: an attacker coarsens what they know in the same way. Nothing is applied: whoever releases
decides, and another attempt is counted as one.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ehrsynth.encoding import decode, values_to_codes
from ehrsynth.errors import EhrSynthError
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.release.exposure import attacks, held, leak
from ehrsynth.release.policy import Policy
from ehrsynth.report.decision import Check, Decision
from ehrsynth.report.words import LEAK, title
from ehrsynth.schema import (
    DateColumn,
    DurationColumn,
    IdentifierColumn,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.tables.evidence import few
from ehrsynth.tables.grids import grid
from ehrsynth.tables.values import to_values

_BANDS = 20  # bands that a column's values are gathered in
_SMOOTHER = 4  # times as many patients in a leaf
_FEW = 3
_SHOWN = 3
_MOST_ROWS = 20_000
Tables = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Moved:
    """One check of the attacks, before and after a change; None where it was not measurable."""

    name: str
    before: float | None
    after: float | None
    limit: float

    @property
    def words(self) -> str:
        """For instance "Linkability .12 to .04 (limit .09)"."""
        said = ["not measurable" if value is None else f"{value:.3f}" for value in (self.before, self.after)]
        return f"{self.name} {said[0]} to {said[1]} (limit {self.limit:g})"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change that was tried: in words, what it moved of the checks that had said no, and what it left.

    Parameters
    ----------
    left
        Names of the checks of the attacks that still say no: empty where the change would pass.
    """

    change: str
    moved: tuple[Moved, ...]
    left: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether every check of the attacks would say yes."""
        return not self.left

    @property
    def sentence(self) -> str:
        """The change, and the bounds that it moves."""
        bounds = "; ".join(one.words for one in self.moved[:_SHOWN])
        return f"{self.change}: {bounds}" if bounds else self.change


@dataclass(frozen=True, slots=True)
class _Change:
    words: str
    generator: AbstractGenerator
    coarsen: Callable[[pd.DataFrame], pd.DataFrame]


def remedies(  # noqa: PLR0913 - what a release knows, and how long to look
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    schema: Schema,
    generator: AbstractGenerator,
    *,
    decision: Decision,
    policy: Policy,
    seed: int,
    seconds: float,
    progress: Progress | None = None,
) -> tuple[Remedy, ...]:
    """Try small changes one after another until one passes or the time is over; the smallest come first.

    Parameters
    ----------
    train, holdout
        The patients who were learnt from and those held out; at most 20,000 of each are used.
    decision
        What the gate said without a change.
    seconds
        No further change is begun after so many; one that was begun is finished.

    Returns
    -------
    tuple
        What was tried, in order; the last one passes if any does. A change that the schema's rules or an
        absent package do not allow is passed over.
    """
    start, report = time.monotonic(), progress or silent
    tables = _drawn(train, seed, "train"), _drawn(holdout, seed, "holdout")
    before = {check.name: check for check in decision.failed if check.name in _names(policy)}
    tried: list[Remedy] = []
    for change in _changes(tables[0], schema, generator, identity=title("identity_disclosure") in before):
        spent = time.monotonic() - start
        if spent > seconds or (tried and tried[-1].passes):
            break
        report(min(1.0, spent / seconds), f"trying {change.words}")
        try:
            checks = _measured(change, tables, schema, policy, seed=seed)
        except EhrSynthError:
            continue  # bands may break a rule between columns, a generator may need an absent package
        tried.append(_remedy(change.words, before, checks))
    return tuple(tried)


def attacked(decision: Decision, policy: Policy) -> bool:
    """Whether an attack is among the reasons of a no: the rest is not mended by what is tried here."""
    names = _names(policy)
    return any(check.name in names for check in decision.failed)


def with_remedies(decision: Decision, tried: Sequence[Remedy]) -> Decision:
    """The same no, whose first reason by an attack also says what was tried and what would pass."""
    if not tried or decision.released:
        return decision
    best = tried[-1]
    if best.passes:
        said = f"What would pass, as measured on the same patients: {best.sentence}."
    else:
        nearest = min(tried, key=lambda one: len(one.left))
        said = (
            f"Tried without a yes: {'; '.join(one.change for one in tried)}. "
            f"The nearest: {nearest.sentence}; {len(nearest.left)} of its checks still say no."
        )
    first = next((c for c in decision.failed if c.limit is not None), decision.failed[0])
    longer = replace(first, explanation=f"{first.explanation} {said}")
    return Decision.from_checks(longer if check is first else check for check in decision.checks)


def _names(policy: Policy) -> set[str]:
    return {LEAK, *map(title, policy.attacks)}


def _drawn(table: pd.DataFrame, seed: int, name: str) -> pd.DataFrame:
    if len(table) <= _MOST_ROWS:
        return table
    drawn = np.sort(numpy_generator(seed, "remedies", name).permutation(len(table))[:_MOST_ROWS])
    return table.iloc[drawn].reset_index(drop=True)


def _same(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _measured(change: _Change, tables: Tables, schema: Schema, policy: Policy, *, seed: int) -> list[Check]:
    """The gate's checks of the attacks, after the change."""
    train, holdout = (change.coarsen(table) for table in tables)
    model = change.generator.fit(train, schema, seed=derived_seed(seed, "remedies", "fit"))
    drawn = model.sample(len(train), seed=derived_seed(seed, "remedies", "sample")).table
    level = policy.family_wise_level.value
    found = evaluate(train, holdout, change.coarsen(drawn), schema, seed=seed, metrics=[], level=level)
    found = held(found, policy)
    return [leak(found.bound, policy), *attacks(found, policy)]


def _remedy(words: str, before: Mapping[str, Check], checks: Sequence[Check]) -> Remedy:
    moved = [
        Moved(check.name, before[check.name].value, check.value, check.limit)
        for check in checks
        if check.name in before and check.name != LEAK and check.limit is not None
    ]
    moved.sort(key=lambda one: -(one.before or 0.0) / one.limit if one.limit else 0.0)
    return Remedy(words, tuple(moved), tuple(check.name for check in checks if not check.passed))


def _changes(
    table: pd.DataFrame, schema: Schema, generator: AbstractGenerator, *, identity: bool
) -> Iterator[_Change]:
    """From the smallest to the largest; what others are likely to know first where that names patients."""
    telling = _telling(table, schema, identity=identity)
    smoother, leaves = _smoother(generator), f"{_SMOOTHER} times as many patients in a leaf"
    coarser = [
        (_in_bands(telling[:count]), _banding({c.name: w for c, w in telling[:count]}, schema))
        for count in sorted({min(1, len(telling)), min(_FEW, len(telling)), len(telling)} - {0})
    ]
    changes = [_Change(words, generator, coarsen) for words, coarsen in coarser]
    if smoother is not None:
        changes.insert(1, _Change(f"{generator.name} with {leaves}", smoother, _same))
        changes += [_Change(f"{words}, and {leaves}", smoother, coarsen) for words, coarsen in coarser[-1:]]
    yield from changes
    if generator.name != "copula":
        yield _Change("the generator copula", recipe("copula", None), _same)


def _in_bands(chosen: Sequence[tuple[LearntColumn, float]]) -> str:
    if len(chosen) > _FEW:
        return f"all {few(len(chosen))} columns of many values in about {_BANDS} bands each"
    return ", ".join(
        f"{column.name} in bands of {width:g}{' days' if isinstance(column, DateColumn) else ''}"
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
    found = []
    for column in schema.learnt:
        distinct = int(table[column.name].nunique())
        if _has_width(column) and distinct > _BANDS:
            low, high = np.nanquantile(to_values(table, schema)[column.name], (0.01, 0.99))
            known = identity and "quasi_identifier" in column.roles
            found.append(
                (not known, -distinct, column.name, column, _round_width(float(high - low) / _BANDS))
            )
    return [(column, width) for *_, column, width in sorted(found, key=lambda one: one[:3])]


def _has_width(column: LearntColumn) -> bool:
    return isinstance(column, IntegerColumn | NumberColumn | DateColumn | DurationColumn)


def _round_width(width: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if width <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * next(step for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)))


def _banding(bands: dict[str, float], schema: Schema) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put each value on the middle of its band, within the schema's bounds."""

    def coarsen(table: pd.DataFrame) -> pd.DataFrame:
        values = to_values(table, schema)
        for column in schema.learnt:
            if width := bands.get(column.name):
                middle = np.floor(values[column.name] / width) * width + width / 2
                values[column.name] = np.clip(middle, grid(column).low, grid(column).high)
        made = decode(values_to_codes(values, schema), schema)
        keys = [column.name for column in schema.columns if isinstance(column, IdentifierColumn)]
        return made.assign(**{name: table[name].array for name in keys})

    return coarsen
