"""A chain is the same whoever learns its links, and when a killed fit goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehrsynth.engine import InProcess, keeping, using
from ehrsynth.engine.checkpoints import Checkpoints
from ehrsynth.errors import ModelError
from ehrsynth.generators.autoregressive import Autoregressive
from ehrsynth.generators.chain import learning
from ehrsynth.generators.chain.packing import pack_step, unpack_step
from ward import WARD, patients

RECIPE = Autoregressive(rounds=10, trees=2)
TABLE = patients(400)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def fitted(folder: Path, seed: int = 1) -> dict[str, bytes]:
    RECIPE.fit(TABLE, WARD, seed=seed).save(folder)
    return files(folder)


class Elsewhere:
    """An engine that is not this process: links travel as bytes."""

    workers = 2

    def each(self, function, shared, items):
        return InProcess().each(function, shared, items)


def test_links_that_travelled_or_were_kept_are_the_same(tmp_path: Path) -> None:
    plain = fitted(tmp_path / "plain")
    with using(Elsewhere()):
        assert fitted(tmp_path / "elsewhere") == plain
    (tmp_path / "kept").mkdir()
    with keeping(Checkpoints(tmp_path / "kept", {})) as keep:
        assert fitted(tmp_path / "first") == plain
        assert keep.pieces == len(WARD.learnt)
        for file in sorted(keep.folder.iterdir())[::2]:
            file.unlink()
        assert fitted(tmp_path / "resumed") == plain


def test_links_that_are_kept_are_not_learnt_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with keeping(Checkpoints(tmp_path, {})):
        fitted(tmp_path / "first")
        monkeypatch.setattr(learning, "learn_step", lambda *_: pytest.fail("it was learnt again"))
        fitted(tmp_path / "second")


def test_other_patients_or_another_seed_take_no_kept_link(tmp_path: Path) -> None:
    with keeping(Checkpoints(tmp_path, {})) as keep:
        fitted(tmp_path / "first")
        fitted(tmp_path / "other", seed=2)
        assert keep.pieces == 2 * len(WARD.learnt)


def test_a_link_survives_being_packed_and_a_damaged_one_is_said() -> None:
    chain = RECIPE.fit(TABLE, WARD, seed=1).chain
    step = len(chain.links) - 1
    packed = pack_step(WARD, chain.links[step], chain.echoes.get(step))
    size = WARD.learnt[chain.order[step]].size
    inputs = len(chain.links[step].classifier.card.cells)
    link, echo = unpack_step(packed, size, inputs)
    assert pack_step(WARD, link, echo) == packed
    with pytest.raises(ModelError):
        unpack_step(packed, 1, inputs)
    assert np.isclose(link.states.share.sum(), 1)


def test_a_link_that_tells_who_is_missing_and_calls_others_so_is_damaged() -> None:
    chain = RECIPE.fit(TABLE, WARD, seed=1).chain
    step = next(s for s, link in enumerate(chain.links) if link.missing is not None and len(link.states) > 16)
    link = chain.links[step]
    size, inputs = WARD.learnt[chain.order[step]].size, len(link.classifier.card.cells)
    assert unpack_step(pack_step(WARD, link, None), size, inputs)[0].missing is not None
    cell = link.cell.copy()
    cell[0] = cell[-1]  # other states stay in its cell
    with pytest.raises(ModelError, match="who is missing"):
        unpack_step(pack_step(WARD, replace(link, cell=cell), None), size, inputs)
