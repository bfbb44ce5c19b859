"""A release, or a model that stands alone, says itself that it was withdrawn: in a file in its folder.

What was released stays as it was: who has a copy has it. What learnt from the patients is erased.
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ehrsynth.engine.checkpoints import discard
from ehrsynth.files import SEAL, canonical_json, remove_drafts, seal, whole_file
from ehrsynth.generators.storage import FILES, WITHDRAWN, withdrawal_mark
from ehrsynth.release.sealing import INTERNAL, PRIVATE_FILE

FORMAT = 1
_ERASE = "erase"  # whether what learnt from the patients was to be taken away
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
        _ERASE: erase,
        **record,
    }
    with whole_file(folder / WITHDRAWN) as draft:
        draft.write_bytes(canonical_json(said))
    erased = _erase(folder, folder / INTERNAL) if erase else ()
    _remove_unfinished(folder)
    return erased


def finish_erasing(folder: Path) -> tuple[str, ...]:
    """Take away what was to be erased when a folder was withdrawn, and is there still: a run was killed.

    Returns
    -------
    tuple
        The names of the files that were erased.
    """
    erased = _erase(folder, folder / INTERNAL) if _erasing(folder) else ()
    _remove_unfinished(folder)
    return erased


def _remove_unfinished(folder: Path) -> None:
    """Take away what killed runs had learnt of the same patients, and left beside the folder."""
    remove_drafts(folder)
    discard(folder)


def to_be_erased(folder: Path) -> tuple[str, ...]:
    """The names of files that were to be erased when a folder was withdrawn, and are there still."""
    return tuple(f.relative_to(folder).as_posix() for f in _erasable(folder)) if _erasing(folder) else ()


def _erasing(folder: Path) -> bool:
    """Whether its own mark says that what learnt from the patients was to be taken away."""
    said = withdrawal(folder) if (folder / WITHDRAWN).is_file() else None
    return said is not None and said.get(_ERASE) is True


def _erasable(folder: Path) -> list[Path]:
    internal = folder / INTERNAL
    files = [folder / name for name in FILES if (folder / name).is_file()]
    files += sorted(f for f in (internal / _MODEL).rglob("*") if f.is_file())
    return files + sorted(f for pattern in _UNRELEASED for f in internal.glob(pattern))


def _erase(folder: Path, internal: Path) -> tuple[str, ...]:
    files = _erasable(folder)
    names = tuple(f.relative_to(folder).as_posix() for f in files)
    for file in files:
        file.unlink()
    shutil.rmtree(internal / _MODEL, ignore_errors=True)
    if internal.is_dir():
        _seal_the_rest(internal)
    return names


def _seal_the_rest(internal: Path) -> None:
    """Take what was erased out of the seal: of all other files it says what it said before."""
    place = internal / SEAL
    try:
        sealed = json.loads(place.read_bytes())
        rest = {name: content for name, content in sealed.items() if not _was_erasable(name)}
    except (OSError, ValueError, AttributeError):
        seal(internal)  # a run was killed while it wrote the seal
    else:
        if rest != sealed:
            place.write_bytes(canonical_json(rest))
    place.chmod(PRIVATE_FILE)


def _was_erasable(name: str) -> bool:
    of_model = name.startswith(f"{_MODEL}/")
    return of_model or ("/" not in name and any(fnmatchcase(name, pattern) for pattern in _UNRELEASED))


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
