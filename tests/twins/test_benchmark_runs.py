"""The benchmark's runs: kept, resumed, and the same however many processes make them."""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "scripts" / "benchmark"
# A run that is quickly made, which every worker knows, and which fails for a number.
KEYS, MEASURE = ["yz", "ab", "q"], dict.fromkeys
CLOCK = {"seconds", "cpu", "elapsed", "processes", "settings"}


@pytest.fixture
def writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    from twins import writing

    monkeypatch.setattr(writing, "OUT", tmp_path)
    for name in writing.ONE_THREAD:  # put back afterwards
        monkeypatch.setenv(name, "1")
    return writing


def how(processes: int, *, again: bool = False) -> argparse.Namespace:
    return argparse.Namespace(processes=processes, again=again)


def test_processes_change_no_result_and_what_is_kept_is_not_made_again(
    writing: ModuleType, tmp_path: Path
) -> None:
    one = writing.kept("one", "set", KEYS, MEASURE, given=how(1))
    two = writing.kept("two", "set", KEYS, MEASURE, given=how(2))
    assert [set(r) - CLOCK for r in one] == [set(r) - CLOCK for r in two] == [set(key) for key in KEYS]
    assert list(json.loads((tmp_path / "two.json").read_text())) == KEYS
    # What was kept stands, though nothing could make it now.
    assert writing.kept("two", "set", KEYS, int, given=how(2)) == two
    assert writing.kept("two", "other settings", KEYS[:1], MEASURE, given=how(1))[0]["processes"] == 1


def test_what_ended_before_a_failure_is_kept(writing: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        writing.kept("broken", "set", ["ab", 13], MEASURE, given=how(1))
    assert {"a", "b"} < set(json.loads((tmp_path / "broken.json").read_text())["ab"])


def test_minutes_add_up_by_the_clock_and_over_processes(writing: ModuleType) -> None:
    apart = [{"seconds": 300.0, "cpu": 290.0}] * 3
    clock, used = writing.clock(apart)
    assert (clock.found, clock.met, used.asked) == (15.0, False, "at most 10")
    beside = [
        {"seconds": 300.0, "cpu": 290.0, "elapsed": e, "processes": 2} for e in (300.0, 1.0, 150.0, 149.0)
    ]
    clock, used = writing.clock(beside)
    assert (clock.found, clock.met, used.asked) == (10.0, True, "at most 20")
    assert used.found == pytest.approx(4 * 290 / 60)
    # Where some were made by one process, what one process may take holds.
    assert writing.clock([*beside, *apart])[1].asked == "at most 10"
