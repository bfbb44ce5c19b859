"""The shortest exact way to the model of the remaining patients: keep it, mend it, or learn it again.

A shorter way is taken only where all that the old model saw of the remaining patients is, cell by cell, what
a new fit would see. Where one patient less changes how the table is made coarser, all is learnt again.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.deletion.earlier import Earlier
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.generators.forgetting import able_to_forget
from ehrsynth.generators.sharded import FittedSharded
from ehrsynth.generators.storage import load_model
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema
from ehrsynth.tables.splitting import HOLDOUT, held_out

RETRAINED = "all was learnt again, from the beginning, without the patients"
KEPT = (
    "nothing had been learnt from the patients, who were held out: the model stands, all was measured again"
)
SUBTRACTED = "the patients were subtracted from exact counts, and the model was made from what is left"


@dataclass(slots=True)
class Relearning:
    """How the model of a renewal comes about; `said` tells which way was taken.

    Parameters
    ----------
    earlier
        The release that is replaced.
    table, gone
        The table that it was made of, and which of its rows are to be forgotten; None where that table cannot
        be had any more, or was changed.
    test
        Whether the bytes are to be those of a new fit with the same seed.
    """

    earlier: Earlier
    table: pd.DataFrame | None = field(repr=False)
    gone: NDArray[np.bool_] = field(repr=False)
    test: bool
    said: str = RETRAINED

    def __call__(
        self, chosen: AbstractGenerator, train: pd.DataFrame, schema: Schema, *, seed: int, progress: Progress
    ) -> AbstractFitted | None:
        """The model, or None where all must be learnt again."""
        rows = self._learnt_rows(train, schema)
        if rows is None or not self.earlier.model.is_dir():
            return None
        old = load_model(self.earlier.model)
        if old.recipe != chosen or old.privacy is not None:
            return None
        if not len(rows):
            self.said = RETRAINED if self.test else KEPT
            return None if self.test else old
        able = able_to_forget(old)
        if able is None:
            return None
        self.said = in_words(old, rows)
        mended = able.forget(rows, train, seed=seed, progress=progress)
        return mended if isinstance(mended, AbstractFitted) else None

    def _learnt_rows(self, train: pd.DataFrame, schema: Schema) -> pd.DataFrame | None:
        """The rows to forget as the old model saw them; None where it saw the others otherwise than now."""
        if self.table is None:
            return None
        before, old_schema = self.earlier.coarse(self.table)
        out = held_out(before, old_schema, key=self.earlier.split_key, holdout=HOLDOUT)
        others = before.loc[~out & ~self.gone].reset_index(drop=True)
        if old_schema != schema or not others.equals(train):
            return None
        return before.loc[~out & self.gone].reset_index(drop=True)


def in_words(old: AbstractFitted, rows: pd.DataFrame) -> str:
    """How a model forgets these rows that forgets with less work than a new fit."""
    if not isinstance(old, FittedSharded):
        return SUBTRACTED
    again = len(np.unique(old.shard_of(rows)))
    return (
        f"{again} of {len(old.shards)} shards were learnt again, from the beginning, without the patients; "
        "the others had never seen them"
    )
