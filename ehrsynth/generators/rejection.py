"""The bounded proposal loop: propose, repair, check every row, stop in time.

Generators that cannot meet rules or conditions by construction share it. It never loops in silence: it
ends with n rows or with `SamplingExhausted`, which gives the numbers seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import Condition
from ehrsynth.encoding import codes_to_values, values_to_codes
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.ties import settle
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema
from ehrsynth.tables.constraints import repair, satisfied

Codes = NDArray[np.int64]
Propose = Callable[[int, np.random.Generator], Codes]

FEWEST_PROPOSALS = 100_000
MOST_PER_ROW = 1_000
MOST_PROPOSALS = 2_000_000
_FEWEST_PER_ROW = 20
_SMALLEST_BATCH = 256
_LARGEST_BATCH = 20_000
_MOST_CELLS = 2_000_000  # of one batch: some 100 MB with all its copies


@dataclass(frozen=True, slots=True)
class Collected:
    """Rows that passed every check, and the counts of proposals behind them.

    Of `proposed` proposals `valid` met the schema after repair, and `accepted` of those the condition too.
    """

    codes: Codes
    proposed: int
    valid: int
    accepted: int

    @property
    def acceptance(self) -> float:
        """Share of proposals that became rows, 0 to 1."""
        return self.accepted / self.proposed

    @property
    def met(self) -> float:
        """Share of valid proposals that met the condition, 0 to 1."""
        return self.accepted / max(self.valid, 1)


def most_proposals(n: int) -> int:
    """How many proposals are made for n rows before giving up.

    >>> most_proposals(10), most_proposals(1_000), most_proposals(1_000_000)
    (100000, 1000000, 20000000)
    """
    return max(FEWEST_PROPOSALS, min(n * MOST_PER_ROW, MOST_PROPOSALS), n * _FEWEST_PER_ROW)


def repaired(codes: Codes, schema: Schema) -> tuple[Codes, NDArray[np.bool_]]:
    """The rows with what the rules decide put right, and which of them are valid."""
    if schema.constraints:
        codes = settle(codes, schema)
        codes = values_to_codes(repair(codes_to_values(codes, schema), schema), schema)
    return codes, satisfied(codes_to_values(codes, schema), schema)


def collect(
    fitted: AbstractFitted,
    propose: Propose,
    n: int,
    condition: Condition | None,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> Collected:
    """Gather n valid rows that meet the condition.

    Parameters
    ----------
    fitted
        Whose rows they are: its schema is checked, and its name said in errors.
    propose
        Called with a number of rows and a generator; gives at most that many rows of codes. Rows that it
        does not give count as proposals that failed.

    Raises
    ------
    SamplingExhausted
        After `most_proposals(n)` proposals, or `FEWEST_PROPOSALS` without a single row.
    """
    schema, limit = fitted.schema, most_proposals(n)
    found: list[Codes] = []
    proposed = valid = accepted = 0
    while accepted < n:
        if proposed >= limit or (proposed >= FEWEST_PROPOSALS and accepted == 0):
            raise _exhausted(
                fitted.recipe.name,
                n,
                Collected(np.empty((0, 0), np.int64), proposed, valid, accepted),
                condition,
            )
        size = _batch(n - accepted, accepted / proposed if accepted else 0.0, proposed, len(schema.learnt))
        codes, passed = repaired(propose(size, rng), schema)
        proposed, valid = proposed + size, valid + int(passed.sum())
        if condition is not None:
            passed = passed & condition.mask(codes)
        found.append(codes[passed])
        accepted += len(found[-1])
        progress(min(accepted / n, 1.0), f"{min(accepted, n)} of {n} rows")
    return Collected(np.concatenate(found)[:n], proposed, valid, accepted)


def _batch(needed: int, acceptance: float, proposed: int, width: int) -> int:
    # While nothing was found yet, each batch is as large as all before it together.
    guess = needed / acceptance * 1.1 if acceptance else max(needed * 1.2, proposed)
    largest = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, _MOST_CELLS // max(width, 1)))
    return int(min(max(guess, _SMALLEST_BATCH), largest))


def _exhausted(name: str, n: int, seen: Collected, condition: Condition | None) -> SamplingExhausted:
    summary = (
        f"{name} found {seen.accepted} of the {n} rows asked for in {seen.proposed} proposals, "
        "which is the most it makes: nothing is returned"
    )
    problems = [f"{seen.valid} proposals met the schema's bounds and rules"]
    if condition is not None:
        problems.append(f"{seen.accepted} of those met the condition {condition.text}")
        problems.append("ask for fewer rows or a wider condition, or use a generator that conditions exactly")
    else:
        problems.append("train longer or on more patients, or use another generator")
    return SamplingExhausted(summary, problems)
