"""What is done of a split that takes hours, kept part by part: an interruption loses one part at most."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ehrsynth.engine import Checkpoints, Held
from ehrsynth.files import plain


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
    store
        Where they are kept.
    split
        The number of the split, from 1.
    deadline
        On the clock of `time.monotonic`: no further part is begun after it.
    """

    store: Checkpoints | Held = field(default_factory=Held)
    split: int = 1
    deadline: float = math.inf

    def once(self, number: int, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """A part's result as plain values: that which is kept, or that of `work`, which is kept then.

        Raises
        ------
        TimeOver
            If it is not kept and the deadline is over.
        """
        kept = self.store.get(self._name(number))
        if kept is not None:
            return dict(json.loads(kept))
        if time.monotonic() > self.deadline:
            raise TimeOver
        found = plain_values(work())
        self.store.put(self._name(number), json.dumps(found).encode())
        return found

    def clear(self, count: int) -> None:
        """Remove the first so many: the split is done."""
        for number in range(count):
            self.store.drop(self._name(number))

    def _name(self, number: int) -> str:
        return f"split-{self.split}-part-{number + 1}"
