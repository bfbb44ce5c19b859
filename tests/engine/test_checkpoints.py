"""What a run has done stays, whole, for the same run alone."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from ehrsynth.engine import Held, InProcess, current, keeping, kept, using, work
from ehrsynth.engine.checkpoints import Checkpoints, checkpoints, folder_of
from ehrsynth.errors import OutputError

ASKED = {"rows": 5, "where": None}


def doubled(shared: int, item: int) -> bytes:
    return bytes([shared * item])


def counting(calls: list[int]):
    def count(shared: int, item: int) -> bytes:
        calls.append(item)
        return bytes([shared * item])

    return count


class Broken(Exception):
    pass


def interrupted(out: Path, asked: dict, pieces: dict[str, bytes], seed: int = 1) -> None:
    """A run that put some pieces and then failed."""
    with pytest.raises(Broken), checkpoints(out, asked, {"seed": seed}) as found:  # noqa: PT012
        for name, piece in pieces.items():
            found.put(name, piece)
        raise Broken


def test_pieces_stay_for_the_same_run_and_go_with_the_end(tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    interrupted(out, ASKED, {"a": b"one", "b": b"two"}, seed=7)
    with checkpoints(out, ASKED, {"seed": 8}) as found:
        assert found.asked["seed"] == 7  # what the first run drew
        assert (found.get("a"), found.get("b"), found.get("c")) == (b"one", b"two", None)
    assert not folder_of(out).exists()


def test_another_request_begins_anew(tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    interrupted(out, ASKED, {"a": b"one"}, seed=7)
    with checkpoints(out, {**ASKED, "rows": 6}, {"seed": 8}) as found:
        assert found.asked["seed"] == 8
        assert found.get("a") is None


def test_a_piece_that_a_disk_cut_short_is_none(tmp_path: Path) -> None:
    with checkpoints(tmp_path / "x", ASKED, {}) as found:
        found.put("a", bytes(1000))
        file = found.place("a")
        for damaged in (file.read_bytes()[:500], b"", bytes(1032)):
            file.write_bytes(damaged)
            assert found.get("a") is None


def test_only_the_owner_can_look_in(tmp_path: Path) -> None:
    with checkpoints(tmp_path / "x", ASKED, {}) as found:
        assert stat.S_IMODE(found.folder.stat().st_mode) == 0o700


def hold(out: Path, ready, done) -> None:
    with checkpoints(out, ASKED, {}):
        ready.set()
        done.wait(30)


def test_two_runs_do_not_write_one_result(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    ready, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(tmp_path / "x", ready, done))
    other.start()
    assert ready.wait(30)
    with pytest.raises(OutputError, match="another run"), checkpoints(tmp_path / "x", ASKED, {}):
        pass
    done.set()
    other.join()
    with checkpoints(tmp_path / "x", ASKED, {}):
        pass


def test_drafts_of_a_killed_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    draft, other = tmp_path / ".rows.parquet.abcdefgh.parquet", tmp_path / ".rows.parquet.mine"
    draft.touch()
    other.touch()
    with checkpoints(out, ASKED, {}):
        assert not draft.exists()
    assert other.exists()


def test_an_interrupt_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="goes on"), checkpoints(tmp_path / "x", ASKED, {}):
        raise KeyboardInterrupt
    assert folder_of(tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_what_is_done_is_not_done_again(tmp_path: Path, kind: str) -> None:
    keep: Checkpoints | Held = Held() if kind == "memory" else Checkpoints(tmp_path, {})
    keep.put("n1", b"kept")
    calls: list[int] = []
    seen: list[tuple[int, int]] = []
    names = [f"n{number}" for number in range(3)]
    work(counting(calls), 2, [0, 1, 2], names=names, keep=keep, done=lambda *state: seen.append(state))
    assert calls == [0, 2]
    assert [keep.get(name) for name in names] == [b"\0", b"kept", b"\4"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    keep.drop("n1")
    assert keep.get("n1") is None


def test_the_engine_and_the_checkpoints_are_those_of_the_block(tmp_path: Path) -> None:
    assert isinstance(current(), InProcess)
    assert kept() is None
    engine, keep = InProcess(), Checkpoints(tmp_path, {})
    with using(engine), keeping(keep):
        assert current() is engine
        assert kept() is keep
    assert current() is not engine
    assert kept() is None
    assert list(InProcess().each(doubled, 3, [1, 2])) == [(0, b"\3"), (1, b"\6")]
