"""A file or folder is whole or not there, readable as the user's umask says, and sealed byte for byte."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ehrsynth.errors import ModelError, OutputError
from ehrsynth.files import (
    SEAL,
    canonical_json,
    check_seal,
    keyed_hash,
    remove_drafts,
    seal,
    sha256,
    whole_file,
    whole_folder,
    write_json,
)

WAYS = {"file": whole_file, "folder": whole_folder}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
ERRORS = (KeyboardInterrupt(), RuntimeError("x"), OSError(errno.ENOSPC, "No space left on device"))


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def fill(draft: Path) -> None:
    (draft / "a" if draft.is_dir() else draft).write_text("half")


def break_half_way(way: Callable[..., Any], path: Path, error: BaseException) -> None:
    with way(path) as draft:
        fill(draft)
        raise error


@every_way
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_what_breaks_half_way_leaves_nothing(way, error: BaseException, tmp_path: Path) -> None:
    wanted = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted):
        break_half_way(way, tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@every_way
def test_a_full_disk_is_called_so(way, number: int, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the disk is full") as caught, way(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    assert caught.value.exit_code == 2
    assert "out" in str(caught.value)


def test_what_a_killed_process_left_goes_when_the_folder_is_written_again(tmp_path: Path) -> None:
    killed = (
        "import os, pathlib, sys\n"
        "from ehrsynth.files import whole_folder\n"
        "with whole_folder(sys.argv[1]) as draft:\n"
        "    (draft / 'model').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    for name in ("out", "out.2"):
        subprocess.run([sys.executable, "-c", killed, str(tmp_path / name)], check=False)
    (other,) = (p.name for p in tmp_path.glob(".out.2.*"))
    assert len(list(tmp_path.iterdir())) == 2
    with whole_folder(tmp_path / "out") as living:
        remove_drafts(tmp_path / "out")
        assert living.is_dir(), "of a process that lives"
        assert (tmp_path / other).is_dir(), "of another folder"
    assert sorted(p.name for p in tmp_path.iterdir()) == [other, "out"]
    remove_drafts(tmp_path / "out.2")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@every_way
def test_it_is_not_there_before_the_end(way, tmp_path: Path) -> None:
    with way(tmp_path / "out") as draft:
        fill(draft)
        assert not (tmp_path / "out").exists()
        assert stat.S_IMODE(draft.stat().st_mode) & 0o077 == 0, "others must not read what is being written"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_others_can_read_what_the_users_umask_lets_them(umask: int, tmp_path: Path) -> None:
    with whole_file(tmp_path / "file") as draft:
        draft.write_text("x")
    with whole_folder(tmp_path / "folder"):
        pass
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask
    assert os.umask(umask) == umask, "the user's umask was changed"


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        break_half_way(whole_file, path, RuntimeError())
    assert path.read_text() == "old"
    with whole_file(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_in_use_is_refused_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious").write_text("kept")
    (tmp_path / "file").write_text("kept")
    for name in ("used", "file"):
        with pytest.raises(OutputError, match="exists already"), whole_folder(tmp_path / name):
            pytest.fail("there is nothing to write")
    assert (tmp_path / "used" / "precious").read_text() == "kept"
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty") as draft:
        fill(draft)
    assert (tmp_path / "empty" / "a").is_file()


@every_way
def test_a_place_below_a_file_cannot_be_written(way, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), way(tmp_path / "file" / "out"):
        pytest.fail("there is nowhere to write")


@every_way
def test_a_place_without_permission_cannot_be_written(way, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), way(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert list(tmp_path.iterdir()) == []


def test_equal_values_are_equal_bytes(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == canonical_json({"a": "ü", "b": 1})
    write_json(tmp_path / "x.json", {"b": [1], "a": "ü"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": [\n    1\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_hashes_are_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
    assert sha256(tmp_path / "abc") == known
    answer = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"  # RFC 4231, case 2
    assert keyed_hash(b"Jefe", b"what do ya want for nothing?").hex() == answer


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "one").write_text("1")
    (tmp_path / "in" / "two").write_text("2")
    seal(tmp_path)
    check_seal(tmp_path)
    return tmp_path


def test_what_was_changed_lost_or_added_is_named(sealed: Path) -> None:
    (sealed / "one").write_text("x")
    (sealed / "in" / "two").unlink()
    (sealed / "three").write_text("3")
    with pytest.raises(ModelError, match=r"\(in/two, one, three\)"):
        check_seal(sealed)


@pytest.mark.parametrize("content", ["", "[]", "no JSON", "{}"])
def test_a_damaged_seal_is_no_seal(sealed: Path, content: str) -> None:
    (sealed / SEAL).write_text(content)
    with pytest.raises(ModelError, match="intact copy"):
        check_seal(sealed)


def test_a_folder_without_a_seal_is_not_ours(sealed: Path) -> None:
    (sealed / SEAL).unlink()
    with pytest.raises(ModelError, match="not a folder that ehrsynth wrote"):
        check_seal(sealed)
