"""A network's training goes on where it was killed, to the same weights."""

from pathlib import Path

import pytest

from ehrsynth.engine import keeping
from ehrsynth.engine.checkpoints import Checkpoints
from ehrsynth.generators.autoregressive import Autoregressive
from ehrsynth.generators.chain.course import Course
from ward import WARD, patients

RECIPE = Autoregressive(learner="neural", width=16, depth=1, epochs=2)
TABLE = patients(300)


class Killed(Exception):
    pass


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RECIPE.fit(TABLE, WARD, seed=1).save(tmp_path / "calm")
    take, steps = Course.take, []

    def dies(self: Course, *given, **named) -> None:
        steps.append(self.step)
        if len(steps) in {130, 200}:
            raise Killed
        take(self, *given, **named)

    monkeypatch.setattr(Course, "take", dies)
    (tmp_path / "kept").mkdir()
    with keeping(Checkpoints(tmp_path / "kept", {})):
        for _ in range(2):
            with pytest.raises(Killed):
                RECIPE.fit(TABLE, WARD, seed=1)
        RECIPE.fit(TABLE, WARD, seed=1).save(tmp_path / "resumed")
    assert steps.count(0) == 1  # it did not begin again
    assert files(tmp_path / "resumed") == files(tmp_path / "calm")


def test_another_seed_does_not_go_on_from_it(tmp_path: Path) -> None:
    with keeping(Checkpoints(tmp_path, {})) as keep:
        RECIPE.fit(TABLE, WARD, seed=1)
        RECIPE.fit(TABLE, WARD, seed=2)
        assert keep.pieces == 2
