"""A split that takes hours is kept part by part, and comes to the same however often it was interrupted."""

import time

import numpy as np
import pytest

from ehrsynth.engine import Checkpoints
from ehrsynth.imaging.study import whole
from ehrsynth.imaging.study.arms import FULL_ARMS
from ehrsynth.imaging.study.parts import Parts, TimeOver
from ehrsynth.imaging.study.plan import StudyPlan, whole_plan
from ehrsynth.imaging.study.splits import Data, Pace, run_splits
from pictures import image_set

TINY = {"folds": 2, "seeds": 2, "model": {"shared_steps": 1, "own_steps": 1, "batch": 2, "side": 32}}


def test_a_part_is_worked_on_once_and_removed_in_the_end(tmp_path):
    parts, other = (Parts(Checkpoints(tmp_path, {}), split) for split in (1, 2))
    assert parts.once(0, lambda: {"told": (0.1, 1 / 3)}) == {"told": [0.1, 1 / 3]}
    assert parts.once(0, lambda: pytest.fail("it was kept")) == {"told": [0.1, 1 / 3]}
    other.once(0, dict)
    (kept,) = tmp_path.glob("split-1-*")
    assert kept.stat().st_mode & 0o777 == 0o600
    parts.clear(5)
    assert [file.name for file in tmp_path.iterdir()] == ["split-2-part-1.piece"]


def test_what_is_kept_needs_no_time_and_what_is_not_is_not_begun(tmp_path):
    store = Checkpoints(tmp_path, {})
    Parts(store).once(0, lambda: {"a": 1})
    late = Parts(store, deadline=time.monotonic() - 1)
    assert late.once(0, dict) == {"a": 1}
    with pytest.raises(TimeOver):
        late.once(1, dict)


def test_an_interruption_loses_one_arm_of_a_classifier_taught_whole(tmp_path, monkeypatch):
    plan, data = whole_plan(StudyPlan(**TINY), None, size=32), Data(image_set((6, 4)))
    taught = []

    def teach(_fold, arm, *_given, **_named):
        taught.append(arm.name)
        if taught == ["none", "class weights", "flips and rotations"]:
            raise KeyboardInterrupt
        return len(arm.name)  # stands for the network

    def told(network, pixels, _side):
        first = np.linspace(0.1, network / 50, len(pixels))
        return np.stack([first, 1 - first], axis=1)

    monkeypatch.setattr(whole, "teach_whole", teach)
    monkeypatch.setattr(whole, "probabilities", told)
    monkeypatch.setattr(whole, "_under", lambda network, *_: {"blur": network / 3})
    monkeypatch.setattr(whole, "_attention", lambda network, *_: np.array([[network / 7, 1.0, 0.0]]))
    with pytest.raises(KeyboardInterrupt):
        run_splits(data, plan, tmp_path / "stopped", pace=Pace())
    assert len(list((tmp_path / "stopped").glob("split-1-part-*.piece"))) == 2
    found = run_splits(data, plan, tmp_path / "stopped", pace=Pace())
    assert taught[3:8] == [
        "flips and rotations",
        *(arm.name for arm in FULL_ARMS[2:]),
        "none",
        "class weights",
    ]
    assert found == run_splits(data, plan, tmp_path / "straight", pace=Pace())
    assert not list((tmp_path / "stopped").glob("*part*"))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_split_that_time_ended_is_left_for_the_next_call(tmp_path, monkeypatch, processes):
    monkeypatch.setattr("ehrsynth.imaging.study.splits.run_split", _out_of_time)
    monkeypatch.setattr("ehrsynth.imaging.study.splits._one", _no_time)
    data = Data(image_set((6, 4), 28))
    assert run_splits(data, StudyPlan(**TINY), tmp_path, pace=Pace(processes)) == []
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def _out_of_time(*_given, **_named):
    raise TimeOver


def _no_time(_place):
    raise TimeOver
