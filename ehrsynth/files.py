"""Whole-or-nothing writes, hashes and seals; data files that ship beside the code.

A file or folder appears under its name only when it is complete: it is written beside its place and
renamed at the end, so that a full disk or an interrupt leaves nothing half-written.
"""

import errno
import glob
import hashlib
import hmac
import json
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ehrsynth.errors import ModelError, OutputError

SEAL = "seal.json"
_CHUNK = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends without an exception.

    Raises
    ------
    OutputError
        If the disk is full or the place cannot be written; nothing is left behind.
    """
    path = Path(path)
    with _said_clearly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        draft = Path(name)
        try:
            yield draft
            draft.chmod(0o666 & ~_umask())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `path` when the block ends without an exception.

    What processes that were killed had begun to write for the same path goes.

    Raises
    ------
    OutputError
        If `path` exists and is not an empty folder, the disk is full, or the place cannot be written.
    """
    path = Path(path)
    with _said_clearly(path):
        must_be_free(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(path)
        draft = Path(tempfile.mkdtemp(prefix=f"{_drafts_of(path)}{os.getpid()}-", dir=path.parent))
        try:
            yield draft
            draft.chmod(0o777 & ~_umask())
            if path.exists():
                path.rmdir()
            draft.rename(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes of this user had begun to write for a folder, with a model in it."""
    if os.name != "posix":
        return  # elsewhere nobody can be asked who lives
    for draft in folder.absolute().parent.glob(f"{glob.escape(_drafts_of(folder))}*-*"):
        owner = draft.name.removeprefix(_drafts_of(folder)).partition("-")[0]
        with suppress(FileNotFoundError):  # another process cleans too
            if owner.isdigit() and draft.lstat().st_uid == os.getuid() and not lives(int(owner)):
                shutil.rmtree(draft, ignore_errors=True)


def _drafts_of(folder: Path) -> str:
    """How this machine's drafts of a folder begin: who lives on another that shares the disk is not known."""
    return f".{folder.absolute().name}.{socket.gethostname()}-"


def lives(process: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def must_be_free(folder: Path) -> None:
    """Raise if a folder cannot be made: asked before long work, an hour is not lost to a name.

    Raises
    ------
    OutputError
        If the name is taken by a file or by a folder with something in it, or lies below a file.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder} exists already: name another place, or remove it first")
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir():
        raise OutputError(f"{folder} cannot be written: {parent} is not a folder")


@contextmanager
def _said_clearly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            message = f"the disk is full: {path} was not written, and nothing was left behind"
            raise OutputError(message) from error
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, two-space indent and a final newline: equal values, equal bytes."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def plain(value: Any) -> Any:
    """Mappings, sequences and NumPy values as JSON values; what is not finite becomes None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, Sequence | np.ndarray | set | frozenset):
        return [plain(item) for item in value]
    message = f"a {type(value).__name__} is no JSON value"
    raise TypeError(message)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as canonical JSON, whole or not at all."""
    with whole_file(path) as draft:
        draft.write_bytes(canonical_json(value))


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def content_hash(content: bytes) -> str:
    """Hex SHA-256 of bytes in memory."""
    return hashlib.sha256(content).hexdigest()


def keyed_hash(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes: without the key it can neither be computed nor tested against a guess."""
    return hmac.digest(key, message, "sha256")


def seal(folder: Path) -> None:
    """Write the hash of every file in `folder` to its `seal.json`."""
    (folder / SEAL).write_bytes(canonical_json(_hashes(folder)))


def check_seal(folder: Path, *, beside: Collection[str] = ()) -> None:
    """Raise unless the folder holds exactly the sealed files, byte for byte.

    Parameters
    ----------
    beside
        Names of files and folders in it that the seal says nothing of.

    Raises
    ------
    ModelError
        Names the files that are missing, foreign or changed. The seal finds accidents and not an
        attacker, who could write a new one.
    """
    if not (folder / SEAL).is_file():
        raise ModelError(f"{folder} is not a folder that ehrsynth wrote: it has no {SEAL}")
    written, found = (folder / SEAL).read_bytes(), _hashes(folder, beside)
    if written == canonical_json(found):
        return
    try:
        sealed = json.loads(written)
        names = sorted(n for n in {*sealed, *found} if sealed.get(n) != found.get(n))
    except (ValueError, AttributeError):
        names = []
    what = ", ".join(names or [SEAL])
    raise ModelError(f"{folder} was changed after it was written ({what}): use an intact copy")


def _hashes(folder: Path, beside: Collection[str] = ()) -> dict[str, str]:
    left_out = {SEAL, *beside}
    files = (f for f in folder.rglob("*") if f.is_file() and f.relative_to(folder).parts[0] not in left_out)
    return {f.relative_to(folder).as_posix(): sha256(f) for f in files}


def shipped_yaml(package: str, name: str) -> Any:
    """What a YAML file beside the code of a package says; None where this version ships none."""
    place = resources.files(package).joinpath(name)
    return yaml.safe_load(place.read_text(encoding="utf-8")) if place.is_file() else None
