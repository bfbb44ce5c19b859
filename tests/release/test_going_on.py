"""A fit inside a long job that was cut off goes on to the same result; noise is never kept."""

import json
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.engine import kept
from ehrsynth.errors import RequestError
from ehrsynth.generators import sharded as shards
from ehrsynth.generators.chain import learning as links
from ehrsynth.generators.recipes import recipe
from ehrsynth.release import going_on as place_of_work
from ehrsynth.release.going_on import going_on
from ehrsynth.release.job import release
from ehrsynth.release.register import NAME
from ehrsynth.schema import BooleanColumn, IntegerColumn, Schema

TREES = {"rounds": 3, "trees": 2}
SCHEMA = Schema(
    name="ward",
    citation="Made up for a test",
    rows={"value": 200, "source": "public"},
    columns=(
        IntegerColumn(name="age", minimum=18, maximum=90, source="public"),
        IntegerColumn(name="sbp", minimum=60, maximum=240, source="public"),
        BooleanColumn(name="died", source="public"),
    ),
)


@pytest.fixture(autouse=True)
def everything_is_long(monkeypatch):
    monkeypatch.setattr(place_of_work, "WORTH_KEEPING", 1)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    age = rng.integers(40, 90, 200)
    return pd.DataFrame(
        {"age": age, "sbp": 100 + age // 2 + rng.integers(-9, 9, 200), "died": rng.random(200) < age / 140}
    )


def job(data, out: Path, generator: str, settings: dict, **how):
    how = {"evaluated_rows": 60, "rows": 50} | how
    return release(data, SCHEMA, out, generator=generator, settings=settings, **how)


def made(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "internal" / "model").iterdir(), *(folder / "internal").glob("synthetic.*")]
    return {file.name: file.read_bytes() for file in files}


def dies_at(number: int, monkeypatch, where, name: str) -> list[int]:
    """Let the process end at that call; how often it was called."""
    calls, work = [], getattr(where, name)

    def dying(*given, **named):
        calls.append(1)
        if len(calls) == number:
            raise MemoryError
        return work(*given, **named)

    monkeypatch.setattr(where, name, dying)
    return calls


@pytest.mark.parametrize(
    ("asked", "piece"),
    [
        (("autoregressive", TREES), (links, "learn_step")),
        (("sharded", {"generator": "copula", "shards": 3}), (shards, "_kept")),
    ],
)
def test_a_release_goes_on_to_the_bytes_of_one_that_nobody_disturbed(
    asked, piece, table, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        dies_at(3, patch, *piece)
        with pytest.raises(MemoryError):
            job(table, tmp_path / "out", *asked)
    unfinished = tmp_path / ".out.unfinished"
    assert not (tmp_path / "out").exists()
    assert stat.S_IMODE(unfinished.stat().st_mode) == 0o700
    assert len(list(unfinished.glob("*.piece"))) == 2
    with monkeypatch.context() as patch:
        again = dies_at(0, patch, *piece)
        job(table, tmp_path / "out", *asked)
    assert len(again) == 3 - 2, "what was kept is not learnt again"
    assert not unfinished.exists()
    hidden = json.loads((tmp_path / "out" / "internal" / "manifest.json").read_text())
    seed, key = hidden["seed"], bytes.fromhex(hidden["split_key"])
    (tmp_path / "calm").mkdir()
    job(table, tmp_path / "calm" / "out", *asked, seed=seed, key=key)
    assert made(tmp_path / "out") == made(tmp_path / "calm" / "out")


def test_another_table_begins_anew(table, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        dies_at(3, patch, links, "learn_step")
        with pytest.raises(MemoryError):
            job(table, tmp_path / "out", "autoregressive", TREES)
    again = dies_at(0, monkeypatch, links, "learn_step")
    job(table.assign(age=table["age"] - 1), tmp_path / "out", "autoregressive", TREES)
    assert len(again) == 3


def cut_off(out: Path, generator: str, table: pd.DataFrame, ends: type[Exception]) -> tuple[int, bytes, bool]:
    """Begin a job that an exception ends; its seed, its key, and whether it kept what it learnt."""
    found = []
    settings = {"epsilon": 1.0} if generator.startswith("dp") else {}

    def work() -> None:
        chosen = recipe(generator, settings)
        with going_on(out, chosen, table, {}, seed=None, key=None) as drawn, drawn.learning():
            found.append((drawn.seed, drawn.key, kept() is not None))
            raise ends

    with pytest.raises(ends):
        work()
    return found[0]


def test_an_error_leaves_nothing(table, tmp_path):
    assert cut_off(tmp_path / "out", "independent", table, RequestError)[2]
    assert not list(tmp_path.iterdir())


def test_what_is_cut_off_goes_on_with_its_seed_and_its_key(table, tmp_path):
    first, second = (cut_off(tmp_path / "out", "independent", table, MemoryError) for _ in range(2))
    assert first == second
    assert first[2]


def test_a_private_job_keeps_nothing_and_draws_anew(table, tmp_path):
    first, second = (cut_off(tmp_path / "out", "dp-independent", table, MemoryError) for _ in range(2))
    assert first[:2] != second[:2]
    assert not first[2]
    assert not list(tmp_path.iterdir())


def test_a_private_release_that_is_cut_off_leaves_nothing(table, tmp_path, monkeypatch):
    def dies(*_, **__):
        raise MemoryError

    monkeypatch.setattr("ehrsynth.release.steps.evaluate", dies)
    with pytest.raises(MemoryError):
        job(table, tmp_path / "out", "dp-independent", {"epsilon": 1.0})
    assert {file.name for file in tmp_path.iterdir()} <= {NAME}
