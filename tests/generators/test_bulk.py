"""Many rows drawn part by part are one table: in one file, with identifiers that run on."""

from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.cli import bulk
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import silent
from ehrsynth.tables import is_synthetic, read_table
from ehrsynth.tables.writing import write_tables
from ward import WARD, patients


@pytest.fixture(scope="module")
def model() -> AbstractFitted:
    return recipe("independent", None).fit(patients(300), WARD, seed=1)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_parts_are_one_table(
    model: AbstractFitted, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PART", 40)
    parts = list(bulk.drawn_in_parts(model, 100, seed=5, progress=silent))
    assert [len(part.table) for part in parts] == [40, 40, 20]
    facts = bulk.Facts()
    write_tables(facts.tables(iter(parts)), WARD, tmp_path / name)
    read = read_table(tmp_path / name, WARD)
    expected = pd.concat([part.table for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(read, expected, check_flags=False)
    assert read["id"].tolist() == [f"P{number:04d}" for number in range(1, 101)]
    assert is_synthetic(read)
    assert facts.rows == facts.effective_sample_size == 100
    assert facts.acceptance == pytest.approx(100 / sum(len(p.table) / p.acceptance for p in parts))


def test_the_first_part_is_what_sample_gives(model: AbstractFitted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PART", 40)
    first, second, _ = bulk.drawn_in_parts(model, 100, seed=5, progress=silent)
    pd.testing.assert_frame_equal(first.table, model.sample(40, seed=5).table)
    assert not second.table.drop(columns="id").equals(first.table.drop(columns="id"))


def test_progress_runs_on_to_one(model: AbstractFitted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PART", 40)
    seen: list[float] = []
    list(bulk.drawn_in_parts(model, 100, seed=5, progress=lambda share, _: seen.append(share)))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
