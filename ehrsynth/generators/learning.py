"""A fit from a table on disk to a model on disk: whole or piece by piece, and able to go on when killed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import pandas as pd

from ehrsynth.engine import keeping
from ehrsynth.engine.checkpoints import checkpoints
from ehrsynth.errors import EhrSynthError, OutputError, RequestError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, PrivacySpent
from ehrsynth.generators.private import paying
from ehrsynth.generators.storage import save_model
from ehrsynth.progress import Progress
from ehrsynth.randomness import fresh_seed
from ehrsynth.schema import Schema
from ehrsynth.tables import accept_synthetic, read_table
from ehrsynth.tables.databases import located
from ehrsynth.tables.streaming import MOST_CELLS, TableStream, stream

_WORTH_KEEPING = 1_000_000  # cells: smaller fits take seconds


class Witness(Protocol):
    """Who takes down what was learnt, and from whom."""

    def sees(self, table: pd.DataFrame) -> None:
        """The table as it was read, before anything is learnt; not called for one that is read in pieces."""

    def enter(self, model: AbstractFitted) -> None:
        """The model before it is saved: a guarantee is entered in a register."""

    def breaks_off(self, spent: PrivacySpent) -> None:
        """What a fit that ends without a model has spent."""

    def write(self, folder: Path) -> None:
        """Write what is to stand beside the model, into its folder."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is to be learnt: a table by its file or URL, and who learns it.

    `at_most` patients are held in memory (None: `MOST_CELLS` cells); `accepted` if a table that is marked as
    synthetic may be learnt from.
    """

    data: str
    schema: Schema
    recipe: AbstractGenerator
    at_most: int | None = None
    accepted: bool = False

    @property
    def most(self) -> int:
        """How many patients are held in memory."""
        return self.at_most or max(2, MOST_CELLS // len(self.schema.columns))


def learn(
    lesson: Lesson,
    out: Path,
    *,
    seed: int | None,
    witness: Witness,
    progress: Progress,
    agree: Callable[[int], int] = int,
) -> tuple[AbstractFitted, int, int | None]:
    """Learn a table and save the model; what a killed run had learnt of the same is not learnt again.

    Parameters
    ----------
    seed
        None: a fresh one, or that of the run that is gone on from.
    witness
        Takes down what was learnt, and from whom.
    agree
        Called once with the seed that is learnt with, before anything is learnt; gives it back.

    Returns
    -------
    model, patients, seed
        How many patients the table has, and the seed that was used; None where nobody may know it.

    Raises
    ------
    DataError, RequestError, OutputError
        As `read_table`, `fit` and `save`.
    """
    if lesson.recipe.asked is not None:
        # Nothing is kept: who knows the seed or what was learnt on the way can take the noise off again.
        with paying(witness.breaks_off):
            table = _in_memory(lesson, witness)
            model = lesson.recipe.fit(table, lesson.schema, seed=seed, progress=progress)
        _save(model, out, witness)
        return model, len(table), seed
    found = _read(lesson, witness)
    with _kept(lesson, found, out, seed) as drawn:
        model = _fitted(lesson, found, agree(drawn), progress)
        _save(model, out, witness)
    return model, _patients(found), drawn


def _save(model: AbstractFitted, out: Path, witness: Witness) -> None:
    witness.enter(model)
    save_model(model, out, beside=witness.write)


def learn_together(
    lesson: Lesson, out: Path, *, seed: int | None, witness: Witness, progress: Progress
) -> tuple[AbstractFitted, int, int | None]:
    """As `learn`, in several processes that torchrun started; the first one writes.

    Raises
    ------
    RequestError
        If torchrun did not start this process, or the recipe is none that trains a network of ours.
    """
    from ehrsynth.generators.autoregressive import Autoregressive
    from ehrsynth.generators.chain.together import joined

    recipe = lesson.recipe
    if not (isinstance(recipe, Autoregressive) and recipe.learner == "neural" and recipe.asked is None):
        raise RequestError(
            "--distributed trains a network: say --generator autoregressive --set learner=neural, and no"
            " --epsilon"
        )
    with joined() as team:
        if team.leads:
            # Its seed may be that of a killed run that it goes on from: the others learn with what it says.
            return learn(lesson, out, seed=seed, witness=witness, progress=progress, agree=team.seed)
        drawn, found = team.seed(0), _read(lesson, None)
        return _fitted(lesson, found, drawn, progress), _patients(found), drawn


def _read(lesson: Lesson, witness: Witness | None) -> TableStream | pd.DataFrame:
    """A table that does not fit into memory as a stream; any other is read once, and seen as it is learnt."""
    long = stream(lesson.data, lesson.schema, accepted=lesson.accepted)
    return long if long is not None and long.rows > lesson.most else _in_memory(lesson, witness)


def _in_memory(lesson: Lesson, witness: Witness | None) -> pd.DataFrame:
    table = read_table(lesson.data, lesson.schema)
    table = accept_synthetic(table) if lesson.accepted else table
    if lesson.at_most is not None and len(table) > lesson.at_most:
        if lesson.recipe.asked is not None:
            raise RequestError("a guarantee needs every patient in memory: do without --at-most")
        raise RequestError(
            f"{lesson.data} has {len(table):,} patients, and a CSV is read whole: write it as Parquet, which"
            " is read in pieces, or do without --at-most"
        )
    if witness is not None:
        witness.sees(table)
    return table


def _patients(found: TableStream | pd.DataFrame) -> int:
    return found.rows if isinstance(found, TableStream) else len(found)


def _fitted(
    lesson: Lesson, found: TableStream | pd.DataFrame, seed: int, progress: Progress
) -> AbstractFitted:
    if isinstance(found, TableStream):
        return lesson.recipe.fit_stream(found, seed=seed, most=lesson.most, progress=progress)
    return lesson.recipe.fit(found, lesson.schema, seed=seed, progress=progress)


@contextmanager
def _kept(lesson: Lesson, found: TableStream | pd.DataFrame, out: Path, seed: int | None) -> Iterator[int]:
    """Keep what is done while the block runs, where that takes long; the seed to learn with."""
    rows, place = _patients(found), located(lesson.data)
    if rows * len(lesson.schema.columns) < _WORTH_KEEPING:
        yield fresh_seed() if seed is None else seed
        return
    state = place.stat() if isinstance(place, Path) else None
    asked = {
        "data": str(place),
        "state": [rows, state.st_size, state.st_mtime_ns] if state else [rows],
        "schema": lesson.schema.hash(),
        "generator": lesson.recipe.name,
        "recipe": lesson.recipe.model_dump(mode="json"),
        "most": lesson.most,
        "seed": seed,
        "ehrsynth": version("ehrsynth"),
    }
    with checkpoints(out, asked, {"drawn": fresh_seed()}) as keep, keeping(keep):
        try:
            yield keep.asked["drawn"] if seed is None else seed
        except EhrSynthError as error:
            if not isinstance(error, OutputError):  # the same command would end as it did now
                shutil.rmtree(keep.folder, ignore_errors=True)
            raise
