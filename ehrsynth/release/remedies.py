"""A no names the way to a yes: small changes of the table or the generator, each one measured.

A change of the table is made in the real patients before anything is learnt, and the attacks are tried on the
changed patients: an attacker coarsens what they know in the same way. Each is measured as a release of it
would be: as one more attempt, with as many copies, together with the tables that left before. Nothing is
applied: whoever releases decides, and another attempt is counted as one.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ehrsynth.errors import EhrSynthError
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.registry import known
from ehrsynth.release.attack_checks import held
from ehrsynth.release.gate import COPIED, MEASURED, of_the_table
from ehrsynth.release.policy import Policy
from ehrsynth.release.remedy_changes import Change, changes
from ehrsynth.report.decision import Check, Decision
from ehrsynth.report.words import LEAK, title
from ehrsynth.schema import Schema
from ehrsynth.tables.bands import in_bands, with_bands

TOGETHER = "combined"  # the risk of all attacks on membership as one
_SHOWN = 3
_MOST_ROWS = 20_000
Tables = tuple[pd.DataFrame, ...]


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
        Names of the checks of the synthetic table that still say no: empty where the change would pass.
    how
        What to write or to type for it, word for word.
    """

    change: str
    moved: tuple[Moved, ...]
    left: tuple[str, ...]
    how: str = ""

    @property
    def passes(self) -> bool:
        """Whether every check of the synthetic table would say yes."""
        return not self.left

    @property
    def sentence(self) -> str:
        """The change, the bounds that it moves, and how to ask for it."""
        bounds = "; ".join(one.words for one in self.moved[:_SHOWN])
        said = f"{self.change}: {bounds}" if bounds else self.change
        return f"{said}. To ask for it: {self.how}" if self.how else said


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the release was measured, so that a change is measured no more easily.

    Parameters
    ----------
    attempts
        How often these patients were tried, the release included: a change would be one more.
    copies
        Synthetic tables that are drawn.
    rows
        Synthetic patients in each; None for as many as were learnt from.
    evaluated_rows
        A declared subsample of the evaluation.
    earlier
        Tables of the same patients that left before.
    given
        The schema as a person wrote it; None where the tables are in that one.
    """

    attempts: int = 1
    copies: int = 1
    rows: int | None = None
    evaluated_rows: int | None = None
    earlier: Sequence[pd.DataFrame] = ()
    given: Schema | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything but the change. `given` are synthetic tables that cannot be made anew."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    schema: Schema
    generator: AbstractGenerator | None
    given: Tables
    policy: Policy
    terms: Terms
    seed: int


def remedies(  # noqa: PLR0913 - what a release knows, and how long to look
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    schema: Schema,
    made_by: AbstractGenerator | Tables,
    *,
    decision: Decision,
    policy: Policy,
    seed: int,
    seconds: float,
    terms: Terms | None = None,
    progress: Progress | None = None,
) -> tuple[Remedy, ...]:
    """Try small changes one after another until one passes or the time is over; the smallest come first.

    Parameters
    ----------
    train, holdout
        The patients who were learnt from and those held out; at most 20,000 of each are used.
    made_by
        The generator, or the synthetic tables that somebody else made: of these the bands alone are tried.
    decision
        What the gate said without a change.
    seconds
        No further change is begun after so many; one that was begun is finished.
    terms
        How the release was measured; as a first attempt of one copy where it is not said.

    Returns
    -------
    tuple
        What was tried, in order; the last one passes if any does. A change that the schema's rules or an
        absent package do not allow is passed over.
    """
    start, report = time.monotonic(), progress or silent
    terms, fewer = terms or Terms(), min(1.0, _MOST_ROWS / max(1, len(train)))
    if terms.rows is not None:
        terms = replace(terms, rows=max(1, round(fewer * terms.rows)))
    generator = made_by if isinstance(made_by, AbstractGenerator) else None
    given = () if isinstance(made_by, AbstractGenerator) else made_by
    sides = _drawn(train, seed, "train"), _drawn(holdout, seed, "holdout")
    scene = _Scene(*sides, schema, generator, given, policy, terms, seed)
    before = {check.name: check for check in decision.failed if check.name in _names(policy)}
    tried: list[Remedy] = []
    asked = terms.given or schema
    identity = title("identity_disclosure") in before
    for change in changes(scene.train, schema, generator, given=asked, identity=identity):
        spent = time.monotonic() - start
        if spent > seconds or (tried and tried[-1].passes):
            break
        report(min(1.0, spent / seconds), f"trying {change.words}")
        try:
            checks = _measured(change, scene)
        except EhrSynthError:
            continue  # a generator may need an absent package, or more patients
        tried.append(_remedy(change, before, checks))
    return tuple(tried)


def attacked(decision: Decision, policy: Policy) -> bool:
    """Whether an attack found or could not rule out something: the rest is not mended by what is tried here.

    Where nothing could be measured, the number of patients decides, and the check itself says so.
    """
    failed = [check for check in decision.failed if check.name in _names(policy)]
    found = [check for check in failed if check.computed]
    # Copied rows can be mended, but to no yes while attacks are not measurable.
    return any(check.name != COPIED for check in found) or bool(found and found == failed)


def with_remedies(decision: Decision, tried: Sequence[Remedy], policy: Policy) -> Decision:
    """The same no, whose first reason by an attack also says what was tried and what would pass."""
    if not tried or not attacked(decision, policy):
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
    names = _names(policy)
    first = next(check for check in decision.failed if check.name in names and check.computed)
    longer = replace(first, explanation=f"{first.explanation} {said}")
    return Decision.from_checks(longer if check is first else check for check in decision.checks)


def _names(policy: Policy) -> set[str]:
    """What checks of the attacks are called: of those that the policy asks for, and of all that are run."""
    return {LEAK, COPIED, *map(title, (*policy.attacks, *known("attack"), TOGETHER))}


def _drawn(table: pd.DataFrame, seed: int, name: str) -> pd.DataFrame:
    if len(table) <= _MOST_ROWS:
        return table
    drawn = np.sort(numpy_generator(seed, "remedies", name).permutation(len(table))[:_MOST_ROWS])
    return table.iloc[drawn].reset_index(drop=True)


def _measured(change: Change, scene: _Scene) -> list[Check]:
    """The gate's checks of the synthetic table, after the change."""
    policy, terms, seed = scene.policy, scene.terms, scene.seed
    schema = with_bands(scene.schema, change.bands)
    train, holdout = in_bands(scene.train, schema), in_bands(scene.holdout, schema)
    made = [in_bands(table, schema) for table in _made(change, scene, train, schema)]
    found = evaluate(
        train,
        holdout,
        made[0],
        schema,
        seed=seed,
        metrics=MEASURED,
        rows=terms.evaluated_rows,
        level=policy.family_wise_level.value,
        attempts=terms.attempts + 1,
        copies=made[1:],
        earlier=[in_bands(table, schema) for table in terms.earlier],
    )
    return list(of_the_table(held(found, policy), policy))


def _made(change: Change, scene: _Scene, train: pd.DataFrame, schema: Schema) -> Iterator[pd.DataFrame]:
    generator, terms, seed = change.generator or scene.generator, scene.terms, scene.seed
    if generator is None:
        yield from scene.given
        return
    model = generator.fit(train, schema, seed=derived_seed(seed, "remedies", "fit"))
    for n in range(terms.copies):
        own = derived_seed(seed, "remedies", "sample", *([str(n)] if n else []))
        yield model.sample(terms.rows or len(train), seed=own).table


def _remedy(change: Change, before: Mapping[str, Check], checks: Sequence[Check]) -> Remedy:
    moved = [
        Moved(check.name, before[check.name].value, check.value, check.limit)
        for check in checks
        if check.name in before and check.name != LEAK and check.limit is not None
    ]
    moved = [one for one in moved if (one.before, one.after) != (None, None)]
    moved.sort(key=lambda one: -(one.before or 0.0) / one.limit if one.limit else 0.0)
    left = tuple(check.name for check in checks if not check.passed)
    return Remedy(change.words, tuple(moved), left, change.how)
