"""A long fit inside a release or a forgetting that was killed goes on from what was learnt.

What is kept meanwhile is learnt from patients: it stands beside the result, hidden, in a folder for its owner
alone, and goes when the job ends, well or with an error. Only a run that was cut off leaves it. Under
differential privacy nothing is kept, neither seed nor what was learnt on the way, so that no noise is drawn
twice or used again: such a run begins anew.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.engine import Checkpoints, keeping
from ehrsynth.engine.checkpoints import checkpoints
from ehrsynth.errors import EhrSynthError
from ehrsynth.files import content_hash
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.randomness import fresh_seed
from ehrsynth.release.manifest import KEY_BYTES
from ehrsynth.tables.databases import located

WORTH_KEEPING = 2_000_000  # bytes of the table: smaller ones are learnt in seconds


@dataclass(frozen=True, slots=True)
class Drawn:
    """The seed and the key of a job: given, fresh, or those of the run that is gone on from.

    `given` says whether the key was.
    """

    seed: int = field(repr=False)
    key: bytes = field(repr=False)
    given: bool
    _kept: Checkpoints | None = None

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Keep what is learnt in the block."""
        with nullcontext() if self._kept is None else keeping(self._kept):
            yield


@contextmanager
def going_on(
    out: Path,
    chosen: AbstractGenerator,
    data: Path | str | pd.DataFrame,
    asked: Mapping[str, Any],
    *,
    seed: int | None,
    key: bytes | None,
) -> Iterator[Drawn]:
    """Go on in the block from what an earlier run of the same job had learnt, if one was cut off.

    Parameters
    ----------
    chosen
        Who learns.
    data
        The table: what is learnt in seconds is not kept.
    asked
        What else the job depends on, as plain values.
    seed, key
        None: fresh.
    """
    fresh, secret = fresh_seed(), secrets.token_bytes(KEY_BYTES)
    size, state = _state(data)
    if chosen.asked is not None or size < WORTH_KEEPING:
        yield Drawn(fresh if seed is None else seed, secret if key is None else key, key is not None)
        return
    said = {
        **asked,
        "data": state,
        "generator": chosen.name,
        "recipe": chosen.model_dump(mode="json"),
        "seed": seed,
        "key": None if key is None else content_hash(key),
        "ehrsynth": version("ehrsynth"),
    }
    with checkpoints(out, said, {"drawn": fresh, "secret": secret.hex()}) as found:
        drawn, hidden = found.asked["drawn"], bytes.fromhex(found.asked["secret"])
        try:
            own, secret = drawn if seed is None else seed, hidden if key is None else key
            yield Drawn(own, secret, key is not None, found)
        except EhrSynthError:
            shutil.rmtree(found.folder, ignore_errors=True)  # the same command would end as it did now
            raise


def _state(data: Path | str | pd.DataFrame) -> tuple[int, list[object]]:
    """About how many bytes a table has, and what tells it from another."""
    if isinstance(data, pd.DataFrame):
        size = int(data.memory_usage(deep=True).sum())
        rows = (
            b""
            if size < WORTH_KEEPING
            else pd.util.hash_pandas_object(data, index=False).to_numpy().tobytes()
        )
        return size, [content_hash(rows)]
    place = located(data)
    if not isinstance(place, Path):
        return WORTH_KEEPING, [str(place)]
    if not place.is_file():
        return 0, []  # reading it says so
    found = place.stat()
    return found.st_size, [str(place), found.st_size, found.st_mtime_ns]
