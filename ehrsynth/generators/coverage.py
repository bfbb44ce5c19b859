"""What a model that was learnt piece by piece has seen of its table."""

from dataclasses import dataclass

import pandas as pd

from ehrsynth.progress import Progress
from ehrsynth.tables.streaming import TableStream, subsample

COUNTED = "every patient, counted exactly"
IN_STEPS = "every patient, in steps of some of them"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a table a model has seen.

    `patients` were read and checked; of `learnt_from` of them, as `how` says, the relations between columns
    were learnt.
    """

    patients: int
    learnt_from: int
    how: str


def part_of(
    table: TableStream, most: int, *, seed: int, progress: Progress
) -> tuple[pd.DataFrame, Coverage | None]:
    """At most so many patients of a stream, and what they cover; None where they are all."""
    drawn = subsample(table, most, seed=seed, progress=progress)
    if len(drawn) == table.rows:
        return drawn, None
    by = "their places" if table.schema.patient_key is None else "a keyed hash of each"
    how = f"a uniform subsample of the patients, drawn by {by}"
    return drawn, Coverage(table.rows, len(drawn), how)
