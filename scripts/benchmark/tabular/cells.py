"""One cell of the benchmark: a small JSON file that says what it depends on, so that a run can be resumed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehrsynth.files import write_json

Json = dict[str, Any]
MADE = "made"


@dataclass(frozen=True)
class Cell:
    """A system on one split of one table.

    Attributes
    ----------
    made
        What generating gave: `state` ("made", "stopped", "failed"), the key, and times; empty before.
    judged
        What judging gave, with its key; empty before.
    """

    table: str
    system: str
    seed: int
    made: Json
    judged: Json

    @property
    def state(self) -> str:
        """What can be said of it in a word."""
        return str(self.made.get("state", "not run yet"))


def read(folder: Path, table: str, system: str, seed: int) -> Cell:
    """The cell as it stands on disk; empty where it has not been begun, or is damaged."""
    try:
        found = json.loads(_path(folder, table, system, seed).read_text())
    except (OSError, ValueError):
        found = {}
    return Cell(table, system, seed, found.get("made", {}), found.get("judged", {}))


def write(folder: Path, cell: Cell) -> None:
    """Store a cell, whole or not at all."""
    path = _path(folder, cell.table, cell.system, cell.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"made": cell.made, "judged": cell.judged})


def is_made(cell: Cell, *, version: str, split: str, quiet: bool = False) -> bool:
    """Whether generating need not be done again; `quiet`: not on a busy machine's times."""
    same = cell.made.get("version") == version and cell.made.get("split") == split
    return same and not (quiet and cell.made.get("busy", False))


def is_judged(cell: Cell, *, protocol: str) -> bool:
    """Whether judging need not be done again."""
    return (
        cell.judged.get("protocol") == protocol
        and cell.judged.get("of") == cell.made.get("csv")
        and bool(cell.judged)
    )


def _path(folder: Path, table: str, system: str, seed: int) -> Path:
    return folder / table / f"{system}-{seed}.json"
