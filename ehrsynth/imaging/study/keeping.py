"""What is done of a split that takes hours, kept part by part: an interruption loses one part at most."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehrsynth.files import plain, write_json


class TimeOver(Exception):
    """No further part of this split is begun: those that are done are kept."""


def plain_values(found: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values, as they will be read back."""
    return dict(json.loads(json.dumps(plain(found))))


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one split.

    Parameters
    ----------
    folder
        Where they are kept; None keeps none.
    split
        The number of the split, from 1.
    deadline
        On the clock of `time.monotonic`: no further part is begun after it.
    """

    folder: Path | None = None
    split: int = 1
    deadline: float = math.inf

    def once(self, number: int, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """A part's result as plain values: that which is kept, or that of `work`, which is kept then.

        Raises
        ------
        TimeOver
            If it is not kept and the deadline is over.
        """
        file = None if self.folder is None else self.folder / f"split-{self.split}-part-{number + 1}.json"
        if file is not None and file.is_file():
            return dict(json.loads(file.read_bytes()))
        if time.monotonic() > self.deadline:
            raise TimeOver
        found = plain_values(work())
        if file is not None:
            write_json(file, found)
            file.chmod(0o600)
        return found

    def clear(self) -> None:
        """Remove what was kept: the split is done."""
        if self.folder is not None:
            for file in self.folder.glob(f"split-{self.split}-part-*.json"):
                file.unlink()
