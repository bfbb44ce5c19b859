"""What is spilt is its owner's alone and does not outlive its process."""

import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ehrsynth.engine.spilling import spill_folder

SPILL_AND_DIE = """
import os, signal
from ehrsynth.engine.spilling import spill_folder
with spill_folder() as folder:
    (folder / "patients").write_text("some")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


def test_it_is_private_and_goes_with_the_block(place: Path) -> None:
    with spill_folder() as folder, spill_folder() as other:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == place
        assert folder != other
        assert folder.exists()
    assert not list(place.iterdir())


def test_what_a_killed_process_left_goes_with_the_next(place: Path) -> None:
    run = subprocess.run([sys.executable, "-c", SPILL_AND_DIE], capture_output=True, text=True, check=False)
    left = Path(run.stdout.strip())
    (place / "ehrsynth-spill-another.machine-999999999-x").mkdir()
    assert (left / "patients").is_file()
    with spill_folder():
        assert not left.exists()
    assert [folder.name for folder in place.iterdir()] == ["ehrsynth-spill-another.machine-999999999-x"]
