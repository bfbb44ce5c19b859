"""The benchmark's judges on known answers, its cells, and its page with cells that are not done."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts" / "benchmark"))

from tabular import bars, cells, generating, learners, membership, report, systems
from tabular.cells import Cell

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.schema import CategoryColumn, NumberColumn


def patients(seed: int, rows: int = 400, shift: float = 0.0) -> Matrix:
    rng = np.random.default_rng(seed)
    columns = (
        CategoryColumn(name="group", values=("a", "b")),
        *(NumberColumn(name=f"x{k}", minimum=-99, maximum=99, decimals=3) for k in range(4)),
    )
    values = np.column_stack([rng.integers(0, 2, rows), rng.normal(shift, 1, (rows, 4)).round(3)])
    return Matrix(columns, values.astype(np.float64))


@pytest.mark.parametrize("judge", learners.JUDGES)
def test_real_against_real_is_a_coin_and_a_shift_is_told(judge: str) -> None:
    assert abs(learners.telling(judge, patients(1), patients(2), 3) - 0.5) < 0.08
    assert learners.telling(judge, patients(1, shift=2.0), patients(2), 3) > 0.95


def test_copies_give_their_patients_away_and_fresh_rows_nobody() -> None:
    train, holdout = patients(1), patients(2)
    copied = membership.attacked(train, holdout, train, 3)
    found = membership.told(copied.member["nearest"], copied.other["nearest"])
    assert found["auroc"] > 0.95
    assert found["tpr_low"] > 0.1  # ten times what chance gives
    fresh = membership.attacked(train, holdout, patients(4), 3)
    for attack in membership.ATTACKS:
        found = membership.told(fresh.member[attack], fresh.other[attack])
        assert found["auroc_low"] < 0.5 < found["auroc_high"]
    assert membership.paired(copied, fresh, "nearest", 5)["low"] > 0
    assert membership.paired(fresh, fresh, "nearest", 5)["difference"] == 0


def test_the_threshold_lets_one_in_a_hundred_through() -> None:
    other = np.arange(1_000.0)
    assert (other > membership.threshold(other)).sum() == 10


def test_a_cell_is_done_until_the_version_the_split_or_the_judges_change(tmp_path: Path) -> None:
    made = {"state": "made", "version": "1", "split": "s", "csv": "c", "busy": True}
    cells.write(tmp_path, Cell("ist", "cart", 1, made, {"protocol": "p", "of": "c"}))
    cell = cells.read(tmp_path, "ist", "cart", 1)
    assert cells.is_made(cell, version="1", split="s")
    assert not cells.is_made(cell, version="1", split="s", quiet=True)
    assert not cells.is_made(cell, version="2", split="s")
    assert not cells.is_made(cell, version="1", split="t")
    assert cells.is_judged(cell, protocol="p")
    assert not cells.is_judged(cell, protocol="q")
    cells.write(tmp_path, Cell("ist", "cart", 1, made | {"csv": "d"}, cell.judged))
    assert not cells.is_judged(cells.read(tmp_path, "ist", "cart", 1), protocol="p")


# A system that learns by `lines`, run as adapters are: by `measured`, which sets the cap.
ADAPTER = """
import sys, time
sys.path.append({folder!r})
from measured import System, run
def learn(data, job):
    {lines}
run(System(learn, lambda model, rows, job: None, lambda job: None, lambda made, job: None))
"""


def attempted(lines: str, tmp_path: Path, cap: int) -> dict:
    adapter, job, figures = (tmp_path / name for name in ("adapter.py", "job.json", "figures.json"))
    adapter.write_text(ADAPTER.format(folder=str(systems.ADAPTERS), lines=lines))
    job.write_text(json.dumps({"rows": 1, "cap": cap, "figures": str(figures)}))
    conditions = generating.Conditions(cap, threads=1)
    return generating.run([sys.executable, str(adapter), str(job)], tmp_path, conditions)


def test_a_system_is_stopped_after_its_seconds_of_the_processor(tmp_path: Path) -> None:
    found = attempted("while True: pass", tmp_path, cap=3)
    assert (found["state"], found["reason"]) == ("stopped", "stopped after 3 s of the processor")
    assert found["cap"] == 3


def test_waiting_for_the_processor_counts_only_where_a_system_hangs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(generating, "PATIENCE", 100)
    assert attempted("time.sleep(4)", tmp_path, cap=3)["state"] == "made"
    monkeypatch.setattr(generating, "PATIENCE", 1)
    found = attempted("time.sleep(300)", tmp_path, cap=3)
    assert (found["state"], found["reason"]) == ("stopped", "stopped after 3 s of the clock")


def test_the_error_of_a_system_loses_its_paths(tmp_path: Path) -> None:
    wrong = [sys.executable, "-c", "raise SystemExit('no file at /secret/place')"]
    found = generating.run(wrong, tmp_path, generating.Conditions(60))
    assert found["state"] == "failed"
    assert found["reason"] == "no file at (path)"


def judged(system: str, figures: list[float]) -> dict[tuple[str, str, int], Cell]:
    """Cells of a small table whose C2ST and TSTR are these."""
    made = {"state": "made", "version": "1", "split": "s", "csv": "c"}
    return {
        ("heart_failure", system, seed): Cell(
            "heart_failure",
            system,
            seed,
            made,
            {"of": "c", "c2st": {learners.ISSUE: x}, "tstr": {learners.ISSUE: x}},
        )
        for seed, x in enumerate(figures, start=1)
    }


def test_auto_is_held_against_the_best_other_system_split_by_split() -> None:
    def met(auto: list[float], **others: list[float]) -> dict[str, bool | None]:
        every = judged("auto", auto)
        for name, figures in others.items():
            every |= judged(name, figures)
        found = [bar for bar in bars.bars(every) if bar.table == "heart_failure"]
        return {metric: bar.met for bar in found for metric in ("C2ST", "TSTR") if metric in bar.demand}

    fine = [0.60, 0.61, 0.59, 0.60, 0.61]
    more, less = [x + 0.2 for x in fine], [x - 0.2 for x in fine]
    assert met(fine, cart=fine[::-1]) == {"C2ST": True, "TSTR": True}
    assert met(fine, cart=fine[::-1], arfpy=less) == {"C2ST": False, "TSTR": True}
    assert met(fine, cart=fine[::-1], arfpy=more) == {"C2ST": True, "TSTR": False}
    assert met(fine, sketch_b=more, cart=more[:3]) == {"C2ST": None, "TSTR": None}  # no rival on all splits
    assert met(fine[:4], cart=fine[:4]) == {"C2ST": None, "TSTR": None}


def test_the_page_shows_what_is_not_done(tmp_path: Path) -> None:
    folder = tmp_path / "tabular"
    made = {"state": "made", "version": "1", "split": "s", "csv": "c", "fit": {"wall": 9.0, "cpu": 9.0}}
    judged = {"protocol": "p", "of": "c", "c2st": {learners.ISSUE: 0.9}}
    cells.write(folder, Cell("ist", "autoregressive", 1, made, judged))
    stopped = {"state": "stopped", "reason": "not done after 600 s"}
    cells.write(folder, Cell("ist", "sdv_ctgan", 1, stopped, {}))
    report.write_report(folder)
    page = (tmp_path / "tabular.md").read_text()
    assert "| ist | C2ST by the issue's trees, at most 0.575 | 0.900 | 1 | MISSED |" in page
    assert "| ist | fit seconds, at most 30.000 | 9.000 | 1 | met |" in page
    assert "stopped: not done after 600 s" in page
    assert "not run yet" in page
    assert "not measured yet" in page
