"""Private folders for what does not fit into memory: it can be patients, and must not outlive the work."""

import glob
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ehrsynth.files import lives

_PREFIX = "ehrsynth-spill-"


@contextmanager
def spill_folder() -> Iterator[Path]:
    """A folder that its owner alone can read; it goes with the block.

    What processes that were killed have left of this kind goes too.
    """
    _clean()
    folder = Path(tempfile.mkdtemp(prefix=f"{_own()}{os.getpid()}-"))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own() -> str:
    """How this machine's folders begin: others may share the disk, and cannot be asked who lives."""
    return f"{_PREFIX}{socket.gethostname()}-"


def _clean() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{glob.escape(_own())}*-*"):
        owner = folder.name.removeprefix(_own()).partition("-")[0]
        with suppress(FileNotFoundError):  # another process cleans too
            if owner.isdigit() and folder.stat().st_uid == os.getuid() and not lives(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)
