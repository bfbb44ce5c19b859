"""Many rows, piece by piece: each piece has a seed of its own, so that who draws it changes no byte.

A piece is drawn and written by whichever worker is free, and comes back as the bytes of a file. The pieces
are then put one below the other, one of them in memory at a time.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from ehrsynth.engine import Checkpoints, Held, work
from ehrsynth.errors import OutputError
from ehrsynth.generators.base import AbstractFitted, Sample
from ehrsynth.generators.storage import load_model
from ehrsynth.progress import Progress
from ehrsynth.randomness import derived_seed
from ehrsynth.schema import IdentifierColumn
from ehrsynth.tables.databases import DatabaseTable
from ehrsynth.tables.joining import join_pieces
from ehrsynth.tables.values import identifiers
from ehrsynth.tables.writing import write_table

PART = 50_000
_DRAWN = 0.97  # of the progress
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
class Piece:
    """Some of the rows: `start` of them come before; `ending` says how they are written."""

    start: int
    size: int
    seed: int
    where: str | None
    ending: str
    origin_column: bool


def pieces(
    rows: int, *, where: str | None, seed: int, ending: str, origin_column: bool = False
) -> list[Piece]:
    """So many rows in pieces of up to `PART`.

    Parameters
    ----------
    ending
        Of the files that the pieces are: ".csv" or ".parquet".
    """
    return [
        Piece(
            start,
            min(PART, rows - start),
            # The first piece has the seed itself: a small sample is the one that `sample` gives.
            seed if start == 0 else derived_seed(seed, "part", str(start // PART)),
            where,
            ending,
            origin_column,
        )
        for start in range(0, rows, PART)
    ]


def packed_model(folder: Path) -> dict[str, bytes]:
    """A model's files, as they travel to whoever draws."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def draw_to_file(
    model: Mapping[str, bytes],
    wanted: Sequence[Piece],
    out: Path | DatabaseTable,
    *,
    keep: Checkpoints | Held,
    progress: Progress,
) -> Facts:
    """Draw all pieces on the current engine and write them as one table, whole or not at all.

    Parameters
    ----------
    model
        As `packed_model` gives it.
    keep
        Where pieces that are done are kept.

    Raises
    ------
    SamplingExhausted, OutputError
        As `AbstractFitted.sample` and `write_table`.
    """
    rows = sum(piece.size for piece in wanted)

    def report(done: int, of: int) -> None:
        progress(_DRAWN * done / of, f"{min(done * PART, rows)} of {rows} rows")

    names = [f"{place:06d}" for place in range(len(wanted))]
    work(draw_piece, model, wanted, names=names, keep=keep, done=report)
    facts: list[Facts] = []
    progress(_DRAWN, "putting the pieces together")
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


def draw_piece(model: Mapping[str, bytes], piece: Piece) -> bytes:
    """One piece: its facts, then the bytes of its file."""
    fitted = loaded(tuple(model.items()))
    sample = fitted.sample(piece.size, where=piece.where, seed=piece.seed)
    for column in fitted.schema.columns:
        if piece.start and isinstance(column, IdentifierColumn):
            sample.table[column.name] = identifiers(column, piece.size, piece.start + 1)
    with tempfile.TemporaryDirectory(prefix="ehrsynth-") as folder:
        file = Path(folder) / f"piece{piece.ending}"
        write_table(sample.table, fitted.schema, file, origin_column=piece.origin_column)
        content = file.read_bytes()
        write_table(sample.table.iloc[:0], fitted.schema, file, origin_column=piece.origin_column)
        header = len(file.read_bytes())
    head = json.dumps({"facts": asdict(Facts.of(sample)), "header": header}).encode()
    return len(head).to_bytes(_HEAD, "big") + head + content


@lru_cache(maxsize=1)
def loaded(model: tuple[tuple[str, bytes], ...]) -> AbstractFitted:
    """The model behind `packed_model`, checked as any other, once in a process."""
    with tempfile.TemporaryDirectory(prefix="ehrsynth-") as folder:
        for name, content in model:
            (Path(folder) / Path(name).name).write_bytes(content)
        return load_model(folder)
