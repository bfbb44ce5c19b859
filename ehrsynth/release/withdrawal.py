"""A release, or a model that stands alone, says itself that it was withdrawn: in a file in its folder.

What was released stays as it was: who has a copy has it. What learnt from the patients is erased.
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ehrsynth.files import canonical_json, seal, whole_file
from ehrsynth.generators.storage import FILES, WITHDRAWN, withdrawal_mark
from ehrsynth.release.sealing import INTERNAL

FORMAT = 1
_MODEL = "model"
_TABLES = ("synthetic*", "patients", "twins_*", "effects_*")
_UNRELEASED = tuple(
    f"{table}.{ending}" for table in _TABLES for ending in ("csv", "csv.origin.json", "parquet")
)


def withdraw(folder: Path, record: Mapping[str, Any], *, erase: bool) -> tuple[str, ...]:
    """Mark it as withdrawn; with `erase`, take away its model and what was drawn but never left.

    Returns
    -------
    tuple
        The names of the files that were erased.
    """
    said = {
        "format": FORMAT,
        "what": "this was withdrawn: use no table or model of it any more, and tell who has a copy",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **record,
    }
    with whole_file(folder / WITHDRAWN) as draft:
        draft.write_bytes(canonical_json(said))
    return _erase(folder, folder / INTERNAL) if erase else ()


def _erase(folder: Path, internal: Path) -> tuple[str, ...]:
    files = [folder / name for name in FILES if (folder / name).is_file()]
    files += sorted(f for f in (internal / _MODEL).rglob("*") if f.is_file())
    files += sorted(f for pattern in _UNRELEASED for f in internal.glob(pattern))
    names = tuple(f.relative_to(folder).as_posix() for f in files)
    for file in files:
        file.unlink()
    shutil.rmtree(internal / _MODEL, ignore_errors=True)
    if names:
        mode = internal.joinpath("seal.json").stat().st_mode & 0o777
        seal(internal)
        internal.joinpath("seal.json").chmod(mode)
    return names


def withdrawal(folder: Path) -> Mapping[str, Any] | None:
    """What a withdrawn release says of it, or of a part of it that is named; None where none was withdrawn.

    A file that cannot be read still means that it was.
    """
    mark = withdrawal_mark(folder)
    if mark is None:
        return None
    try:
        found = json.loads(mark.read_bytes())
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, dict) else {}
