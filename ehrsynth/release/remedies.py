"""A no names the way to a yes: small changes of the table or the generator, each one measured.

Nothing is applied: whoever releases decides. The measuring is done on a drawn part of the patients with fewer
seconds than a release takes, so it says what is worth trying, not what the next release will measure.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ehrsynth.encoding import codes_to_values, decode, encode, values_to_codes
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.release.exposure import attacks, held, leak
from ehrsynth.release.policy import Policy
from ehrsynth.report.decision import Decision
from ehrsynth.report.words import LEAK, title
from ehrsynth.schema import IntegerColumn, LearntColumn, NumberColumn, Schema
from ehrsynth.tables.evidence import few

_BANDS = 20  # bands that a column's values are gathered in
_SMOOTHER = 4  # times as many patients in a leaf
Tables = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change that was tried.

    Parameters
    ----------
    change
        In words.
    before, after
        The largest upper end over its limit, 1 or less passes; on the same patients without and with the
        change. Infinite where nothing could be measured.
    passes
        Whether every check of the attacks would have said yes.
    """

    change: str
    before: float
    after: float
    passes: bool

    @property
    def sentence(self) -> str:
        """In words, with the figures as parts of their limits."""
        figures = f"from {self.before:.2f} to {self.after:.2f} of its limit"
        return f"{self.change}: the largest bound goes {figures}"


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
    policy: Policy,
    seed: int,
    seconds: float,
    rows: int = 4_000,
    progress: Progress | None = None,
) -> tuple[Remedy, ...]:
    """Try small changes one after another until one passes or the time is over; the smallest come first.

    Parameters
    ----------
    train, holdout
        The patients who were learnt from and those held out.
    seconds
        No further change is begun after so many; one that was begun is finished.
    rows
        At most so many patients of each table, drawn by the seed.

    Returns
    -------
    tuple
        What was tried, in order; the last one passes if any does.
    """
    start, report = time.monotonic(), progress or silent
    tables = _drawn(train, rows, seed, "train"), _drawn(holdout, rows, seed, "holdout")
    report(0.0, "measuring what a change would do")
    as_it_is = _Change("as it is", generator, _same)
    before, _ = _measured(as_it_is, tables, schema, policy, seed=seed)
    tried: list[Remedy] = []
    for change in _changes(tables[0], schema, generator):
        spent = time.monotonic() - start
        if spent > seconds or (tried and tried[-1].passes):
            break
        report(min(1.0, spent / seconds), f"trying {change.words}")
        tried.append(Remedy(change.words, before, *_measured(change, tables, schema, policy, seed=seed)))
    return tuple(tried)


def attacked(decision: Decision, policy: Policy) -> bool:
    """Whether an attack is among the reasons of a no: the rest is not mended by what is tried here."""
    names = {LEAK, *map(title, policy.attacks)}
    return any(check.name in names for check in decision.failed)


def with_remedies(decision: Decision, tried: Sequence[Remedy]) -> Decision:
    """The same no, whose first reason also says what was tried and what would pass."""
    if not tried or decision.released:
        return decision
    best = tried[-1]
    said = (
        f"What would pass, as measured on a part of the patients: {best.sentence}."
        if best.passes
        else f"Tried without a yes: {'; '.join(one.change for one in tried)}."
    )
    first = decision.failed[0]
    longer = replace(first, explanation=f"{first.explanation} {said}")
    return Decision.from_checks(longer if check is first else check for check in decision.checks)


def _drawn(table: pd.DataFrame, rows: int, seed: int, name: str) -> pd.DataFrame:
    drawn = np.sort(numpy_generator(seed, "remedies", name).permutation(len(table))[:rows])
    return table.iloc[drawn].reset_index(drop=True)


def _same(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _measured(
    change: _Change, tables: Tables, schema: Schema, policy: Policy, *, seed: int
) -> tuple[float, bool]:
    """The largest upper end over its limit, and whether all checks of the attacks pass."""
    train, holdout = (change.coarsen(table) for table in tables)
    model = change.generator.fit(train, schema, seed=derived_seed(seed, "remedies", "fit"))
    drawn = model.sample(len(train), seed=derived_seed(seed, "remedies", "sample")).table
    level = policy.family_wise_level.value
    found = evaluate(train, holdout, change.coarsen(drawn), schema, seed=seed, metrics=[], level=level)
    found = held(found, policy)
    checks = list(attacks(found, policy))
    shares = [c.value / c.limit if c.value is not None and c.limit else np.inf for c in checks]
    yes = leak(found.bound, policy).passed and all(check.passed for check in checks)
    return max(shares, default=np.inf), yes


def _changes(table: pd.DataFrame, schema: Schema, generator: AbstractGenerator) -> Iterator[_Change]:
    """From the smallest to the largest."""
    telling = _telling(table, schema)
    for count in sorted({min(1, len(telling)), min(3, len(telling)), len(telling)} - {0}):
        bands = {column.name: width for column, width in telling[:count]}
        words = ", ".join(f"{name} in bands of {width:g}" for name, width in bands.items())
        if count > 3:  # noqa: PLR2004
            words = f"all {few(count)} columns of many values in about {_BANDS} bands each"
        yield _Change(words, generator, _banding(bands, schema))
    smoother = _smoother(generator)
    if smoother is not None:
        words = f"{generator.name} with {_SMOOTHER} times as many patients in a leaf"
        yield _Change(words, smoother, _same)
    if generator.name != "copula":
        yield _Change("the generator copula", recipe("copula", None), _same)


def _smoother(generator: AbstractGenerator) -> AbstractGenerator | None:
    settings = generator.model_dump()
    leaf = settings.get("leaf")
    if not isinstance(leaf, int):
        return None
    return recipe(generator.name, settings | {"leaf": _SMOOTHER * leaf})


def _telling(table: pd.DataFrame, schema: Schema) -> list[tuple[LearntColumn, float]]:
    """Numbers with more values than bands, the most distinct first, with the width of their bands."""
    found = []
    for column in schema.learnt:
        distinct = int(table[column.name].nunique())
        if isinstance(column, IntegerColumn | NumberColumn) and distinct > _BANDS:
            low, high = np.quantile(table[column.name].dropna().astype(float), (0.01, 0.99))
            found.append((-distinct, column.name, column, _round_width(float(high - low) / _BANDS)))
    return [(column, width) for *_, column, width in sorted(found, key=lambda one: one[:2])]


def _round_width(width: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if width <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * next(step for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)))


def _banding(bands: dict[str, float], schema: Schema) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put each value on the middle of its band, within the schema's bounds."""

    def coarsen(table: pd.DataFrame) -> pd.DataFrame:
        values = codes_to_values(encode(table, schema), schema)
        for name, width in bands.items():
            column = schema.column(name)
            if isinstance(column, IntegerColumn | NumberColumn):
                middle = np.floor(values[name] / width) * width + width / 2
                values[name] = np.clip(middle, column.minimum, column.maximum)
        return decode(values_to_codes(values, schema), schema)

    return coarsen
