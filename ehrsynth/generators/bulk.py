"""Many rows, piece by piece: each piece has a seed of its own, so that who draws it changes no byte.

A piece is drawn and written by whichever worker is free, and comes back as the bytes of a file. The pieces
are then put one below the other, one of them in memory at a time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Self

from ehrsynth.conditions import Condition
from ehrsynth.engine import Checkpoints, work
from ehrsynth.engine.checkpoints import checkpoints
from ehrsynth.engine.spilling import spill_folder
from ehrsynth.errors import OutputError, RequestError
from ehrsynth.files import SEAL
from ehrsynth.generators.base import AbstractFitted, Sample
from ehrsynth.generators.forbidden import refuse_forbidden
from ehrsynth.generators.storage import FILES, load_model
from ehrsynth.progress import Progress
from ehrsynth.randomness import derived_seed, fresh_seed
from ehrsynth.schema import IdentifierColumn
from ehrsynth.tables.databases import DatabaseTable
from ehrsynth.tables.joining import join_pieces
from ehrsynth.tables.origin import COLUMN
from ehrsynth.tables.values import identifiers
from ehrsynth.tables.writing import write_table

Model = tuple[tuple[str, bytes], ...]  # the name and the content of each file of a model

PART = 50_000
_DRAWN, _JOINED = 0.97, 0.98  # of the progress
_HEAD = 4  # bytes that say how long the facts in front of a piece are


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of rows besides themselves: see `ehrsynth.generators.base.Sample`."""

    rows: int
    effective_sample_size: float
    acceptance: float
    probability: float

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """The facts of one sample."""
        return cls(len(sample.table), sample.effective_sample_size, sample.acceptance, sample.probability)

    @classmethod
    def together(cls, facts: Sequence["Facts"]) -> Self:
        """The facts of several samples as one."""
        rows = sum(f.rows for f in facts)
        proposed = sum(f.rows / max(f.acceptance, 1e-12) for f in facts)
        return cls(
            rows,
            sum(f.effective_sample_size for f in facts),
            rows / proposed,
            sum(f.probability * f.rows for f in facts) / rows,
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: so many rows, such as meet `where`; `seed` None draws a fresh one."""

    rows: int
    where: str | None
    seed: int | None
    origin_column: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the rows: `start` of them come before; `ending` says how they are written."""

    start: int
    size: int
    seed: int
    where: str | None
    ending: str
    origin_column: bool


def pieces(wish: Wish, seed: int, ending: str) -> list[Piece]:
    """All rows in pieces of up to `PART`, each with a seed of its own.

    Parameters
    ----------
    ending
        Of the files that the pieces are: ".csv" or ".parquet".
    """
    return [
        Piece(
            start,
            min(PART, wish.rows - start),
            # The first piece has the seed itself: a small sample is the one that `sample` gives.
            seed if start == 0 else derived_seed(seed, "part", str(start // PART)),
            wish.where,
            ending,
            wish.origin_column,
        )
        for start in range(0, wish.rows, PART)
    ]


def draw_table(model: Path, wish: Wish, out: Path | DatabaseTable, progress: Progress) -> tuple[Facts, int]:
    """Draw rows from a model on the current engine and write them as one table, whole or not at all.

    Pieces that are done stand beside the table until it is whole; a run that was killed goes on from them.

    Parameters
    ----------
    model
        A folder that `save` wrote.

    Returns
    -------
    facts, seed
        What is known of all rows together, and the seed that they came from.

    Raises
    ------
    SamplingExhausted, OutputError
        As `AbstractFitted.sample` and `write_table`.
    """
    fitted = load_model(model)  # first of all: a damaged model, or a wish that it cannot read, is said here
    _look_at(wish, fitted)
    if wish.rows <= PART:
        seed = fresh_seed() if wish.seed is None else wish.seed
        sample = fitted.sample(wish.rows, where=wish.where, seed=seed, progress=progress)
        write_table(sample.table, fitted.schema, out, origin_column=wish.origin_column)
        return Facts.of(sample), seed
    del fitted
    files = _files(model)
    whole_model = hashlib.sha256(dict(files)[SEAL]).hexdigest()
    asked = {
        **asdict(wish),
        "out": str(out),
        "model": whole_model,
        "part": PART,
        "ehrsynth": version("ehrsynth"),
    }
    beside = out if isinstance(out, Path) else Path(f"{out.name}.rows")
    with checkpoints(beside, asked, {"drawn": fresh_seed()}) as keep:
        seed = keep.asked["drawn"] if wish.seed is None else wish.seed
        facts = _draw_and_join(files, pieces(wish, seed, _ending(out)), out, keep, progress)
    return facts, seed


def _ending(out: Path | DatabaseTable) -> str:
    return ".csv" if isinstance(out, Path) and not out.name.lower().endswith(".parquet") else ".parquet"


def _look_at(wish: Wish, fitted: AbstractFitted) -> None:
    """Raise what the first piece would."""
    if wish.where is not None:
        refuse_forbidden(Condition.parse(wish.where, fitted.schema))
    if wish.origin_column and COLUMN in fitted.schema.names:
        raise RequestError(f"the schema has a column {COLUMN!r} of its own: rename it, or do without")


def _draw_and_join(
    model: Model, wanted: Sequence[Piece], out: Path | DatabaseTable, keep: Checkpoints, progress: Progress
) -> Facts:
    rows = sum(piece.size for piece in wanted)

    def report(done: int, of: int) -> None:
        progress(_DRAWN * done / of, f"{min(done * PART, rows)} of {rows} rows")

    names = [f"{place:06d}" for place in range(len(wanted))]
    work(draw_piece, model, wanted, names=names, keep=keep, done=report)
    facts: list[Facts] = []
    progress(_JOINED, "putting the pieces together")
    join_pieces((_body(keep.get(name), facts) for name in names), out)
    progress(1.0, "written")
    return Facts.together(facts)


def _body(piece: bytes | None, facts: list[Facts]) -> tuple[bytes, int]:
    """The file of a piece and the length of its header, with its facts put where they are gathered."""
    if piece is None:
        raise OutputError("a piece of the sample went from the disk while it was needed: run it again")
    length = int.from_bytes(piece[:_HEAD], "big")
    head = json.loads(piece[_HEAD : _HEAD + length])
    facts.append(Facts(**head["facts"]))
    return piece[_HEAD + length :], head["header"]


def draw_piece(model: Model, piece: Piece) -> bytes:
    """One piece: its facts, then the bytes of its file."""
    fitted = loaded(model)
    sample = fitted.sample(piece.size, where=piece.where, seed=piece.seed)
    for column in fitted.schema.columns:
        if piece.start and isinstance(column, IdentifierColumn):
            sample.table[column.name] = identifiers(column, piece.size, piece.start + 1)
    with spill_folder() as folder:
        file = folder / f"piece{piece.ending}"
        write_table(sample.table, fitted.schema, file, origin_column=piece.origin_column)
        content = file.read_bytes()
        write_table(sample.table.iloc[:0], fitted.schema, file, origin_column=piece.origin_column)
        header = len(file.read_bytes())
    head = json.dumps({"facts": asdict(Facts.of(sample)), "header": header}).encode()
    return len(head).to_bytes(_HEAD, "big") + head + content


def _files(model: Path) -> Model:
    return tuple((name, (model / name).read_bytes()) for name in sorted(FILES))


@lru_cache(maxsize=1)
def loaded(model: Model) -> AbstractFitted:
    """The model whose files these are, checked as any other, once in a process."""
    with spill_folder() as folder:
        for name, content in model:
            (folder / Path(name).name).write_bytes(content)
        return load_model(folder)
