"""What a long run has done so far, on disk: a killed run goes on from there with the same result.

A folder beside the result, readable by its owner alone. Its journal says what was asked for; each piece is a
file that appears whole or not at all, with its hash in front, so that a piece which a dying disk cut short
is worked out again. The folder goes when the result is in its place.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ehrsynth.errors import OutputError
from ehrsynth.files import canonical_json, whole_file

JOURNAL, _LOCK = "journal.json", "lock"
_FORMAT = 1
_PRIVATE, _OWN = 0o700, 0o600
_GOES_ON = "interrupted: the result was not written; the same command goes on from what is done"
_DIGEST = hashlib.sha256().digest_size


class Checkpoints:
    """The pieces of one run; `asked` is what the run was asked for, with what it drew itself (its seed)."""

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self.folder, self.asked = folder, asked

    def get(self, name: str) -> bytes | None:
        """The bytes that were put under a name, or None."""
        try:
            content = self.place(name).read_bytes()
        except FileNotFoundError:
            return None
        digest, piece = content[:_DIGEST], content[_DIGEST:]
        return piece if hashlib.sha256(piece).digest() == digest else None

    def put(self, name: str, piece: bytes) -> None:
        """Keep a piece, whole or not at all; it is on the disk when this returns."""
        with whole_file(self.place(name)) as draft, draft.open("wb") as file:
            file.write(hashlib.sha256(piece).digest())
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        self.place(name).chmod(_OWN)

    def drop(self, name: str) -> None:
        """Forget a piece that is no longer needed."""
        self.place(name).unlink(missing_ok=True)

    def place(self, name: str) -> Path:
        """The file of a piece."""
        return self.folder / f"{name}.piece"

    @property
    def pieces(self) -> int:
        """How many pieces are there."""
        return sum(1 for _ in self.folder.glob("*.piece"))


class Held:
    """The same in memory, for a run that is not worth a file."""

    def __init__(self) -> None:
        self._pieces: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """The bytes that were put under a name, or None."""
        return self._pieces.get(name)

    def put(self, name: str, piece: bytes) -> None:
        """Hold a piece."""
        self._pieces[name] = piece

    def drop(self, name: str) -> None:
        """Forget a piece that is no longer needed."""
        self._pieces.pop(name, None)


def folder_of(out: Path) -> Path:
    """Where the checkpoints of a result stand: beside it, hidden."""
    return out.with_name(f".{out.name}.unfinished")


@contextmanager
def checkpoints(out: Path, asked: Mapping[str, Any], drawn: Mapping[str, Any]) -> Iterator[Checkpoints]:
    """The checkpoints of a result that is about to be made.

    What an earlier run left is gone on from when it was asked for the same; else it is removed. The folder is
    removed when the block ends well, and stays when it does not.

    Parameters
    ----------
    out
        Where the result will stand.
    asked
        Everything that the result depends on and that is known before, as plain JSON values.
    drawn
        What this run draws for itself where it is not gone on from another: a fresh seed.

    Raises
    ------
    OutputError
        If another run is at work on the same result, or the place cannot be written.
    """
    folder = folder_of(out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        _take(lock, out)
        earlier = _journal(folder)
        if earlier is None or earlier.get("asked") != json.loads(canonical_json(dict(asked))):
            _empty(folder)
            earlier = {"format": _FORMAT, "asked": dict(asked), "drawn": dict(drawn)}
            with whole_file(folder / JOURNAL) as draft:
                draft.write_bytes(canonical_json(earlier))
        _clean(out)
        try:
            yield Checkpoints(folder, {**earlier["asked"], **earlier["drawn"]})
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_GOES_ON) from None
        shutil.rmtree(folder, ignore_errors=True)


def discard(out: Path) -> None:
    """Remove what a killed run had left beside a result that is there: it goes on from nothing any more."""
    folder = folder_of(out)
    if not folder.is_dir():
        return
    # A run that is at work clears up itself; what another user has left is theirs.
    with suppress(OutputError, OSError), (folder / _LOCK).open("w") as lock:
        _take(lock, out)
        shutil.rmtree(folder, ignore_errors=True)


def _take(lock: IO[str], out: Path) -> None:
    try:
        import fcntl  # not on Windows, where two runs are not told apart
    except ModuleNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it goes with the process, however that ends
    except OSError:
        raise OutputError(f"another run is at work on {out}: wait for it, or name another place") from None


def _journal(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / JOURNAL).read_bytes())
    except (OSError, ValueError):
        return None
    fine = isinstance(found, dict) and found.get("format") == _FORMAT and isinstance(found.get("drawn"), dict)
    return found if fine else None


def _clean(out: Path) -> None:
    """Remove what a killed run began to write: drafts are renamed when they are whole."""
    for draft in (*out.parent.glob(f".{out.name}.????????{out.suffix}"), *folder_of(out).glob(".*")):
        if draft.is_file():
            draft.unlink()


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name != _LOCK:
            file.unlink()
