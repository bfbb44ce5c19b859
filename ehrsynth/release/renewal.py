"""A release that takes the place of an earlier one: what the job then does otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.progress import Progress
from ehrsynth.release.reading import Sampled
from ehrsynth.report.decision import Check, Decision, compare
from ehrsynth.schema import Schema


class Learn(Protocol):
    """How the model comes about, where not by a fit alone: exactly what a fit of `train` gives."""

    def __call__(
        self, chosen: AbstractGenerator, train: pd.DataFrame, schema: Schema, *, seed: int, progress: Progress
    ) -> AbstractFitted | None:
        """The model, or None where nothing is known that a fit needs not learn again."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is different in a release that takes the place of an earlier one.

    Parameters
    ----------
    learn
        See `Learn`.
    checks
        Further checks of the gate.
    attempt
        How often these patients were tried before, in the releases that this one replaces.
    record
        What the internal manifest says of them.
    files
        Further internal files by name, for the decision that was made.
    sampled
        Who had been drawn where the first table was long.
    finish
        Called with the folder when all else is written, before it gets its name.
    """

    learn: Learn
    checks: tuple[Check, ...]
    attempt: int
    record: Mapping[str, Any]
    files: Callable[[Decision], Mapping[str, bytes]]
    finish: Callable[[Path], None]
    sampled: Sampled | None = None


def with_checks(decision: Decision, renewal: Renewal | None, *, missing: int) -> Decision:
    """The decision with the further checks of a renewal.

    Parameters
    ----------
    missing
        How many tables that left before are not at hand: patients are forgotten all the same, and no new
        table leaves.
    """
    if renewal is None:
        return decision
    lost = [_all_together(missing)] if missing else []
    return Decision.from_checks([*decision.checks, *renewal.checks, *lost])


def _all_together(missing: int) -> Check:
    return compare(
        "Earlier tables that are missing",
        missing,
        0,
        "at most",
        explanation=f"{missing} of the tables that left before are neither where they were written nor "
        "beside the register: the attacks must be tried on all together. Put them back, or take what never "
        "left out of the register.",
        source="ours",
        citation="Whoever has several tables of the same patients can compare them.",
    )
