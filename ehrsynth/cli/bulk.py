"""Many rows drawn part by part, so that only one part is in memory while a file is written."""

from collections.abc import Iterable, Iterator

import pandas as pd

from ehrsynth.generators.base import AbstractFitted, Sample
from ehrsynth.progress import Progress
from ehrsynth.randomness import derived_seed
from ehrsynth.schema import IdentifierColumn
from ehrsynth.tables.values import identifiers

PART = 50_000


def drawn_in_parts(fitted: AbstractFitted, rows: int, *, seed: int, progress: Progress) -> Iterator[Sample]:
    """Free samples of up to `PART` rows that together have so many; identifiers run on."""
    for start in range(0, rows, PART):
        size = min(PART, rows - start)
        # The first part has the seed itself: a small sample is the one that `sample` gives.
        own = seed if start == 0 else derived_seed(seed, "part", str(start // PART))
        drawn = fitted.sample(size, seed=own, progress=_counting(progress, start, size, rows))
        for column in fitted.schema.columns:
            if start and isinstance(column, IdentifierColumn):
                drawn.table[column.name] = identifiers(column, size, start + 1)
        yield drawn


def _counting(progress: Progress, start: int, size: int, rows: int) -> Progress:
    def report(fraction: float, message: str) -> None:  # noqa: ARG001 - it counts one part, not all
        done = start + fraction * size
        progress(done / rows, f"{done:.0f} of {rows} rows")

    return report


class Facts:
    """What is known about all samples that passed by, without their tables."""

    def __init__(self) -> None:
        self.rows, self.effective_sample_size, self._proposed, self.probability = 0, 0.0, 0.0, 1.0

    def tables(self, samples: Iterable[Sample]) -> Iterator[pd.DataFrame]:
        """The samples' tables, noting the rest."""
        for sample in samples:
            size = len(sample.table)
            self.rows += size
            self.effective_sample_size += sample.effective_sample_size
            self._proposed += size / max(sample.acceptance, 1e-12)
            self.probability = sample.probability
            yield sample.table

    @property
    def acceptance(self) -> float:
        """The share of proposals that became rows, 0 to 1."""
        return self.rows / self._proposed
