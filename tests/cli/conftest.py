"""A tiny hospital, and the command line run on it."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ehrsynth.cli import app

SCHEMA = """\
format: 1
name: tiny
columns:
- {name: id, kind: identifier, pattern: "P####", roles: [patient_key]}
- {name: age, kind: integer, minimum: 18, maximum: 99, unit: years}
- {name: sex, kind: category, values: [F, M]}
- {name: ward, kind: category, values: [Süd, Nord, West]}
- {name: sbp, kind: number, minimum: 50, maximum: 250, decimals: 1, missing: true, unit: mmHg}
- {name: admitted, kind: date, minimum: 2020-01-01, maximum: 2020-12-31}
- {name: died, kind: boolean, true: "1", false: "0"}
constraints:
- {kind: implication, if: age < 20, then: died == false}
"""
HEADER = ["id", "age", "sex", "ward", "sbp", "admitted", "died"]

Run = Callable[..., Result]


def rows(n: int, seed: int = 5) -> list[list[str]]:
    """Patients of the tiny hospital as raw words."""
    draw = random.Random(seed)  # noqa: S311 - made-up patients
    made = []
    for number in range(1, n + 1):
        age = draw.randint(20, 95)
        sbp = f"{draw.gauss(100 + age / 2, 12):.1f}" if draw.random() > 0.1 else ""
        day = f"2020-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        died = str(int(draw.random() < age / 300))
        words = [f"P{number:04d}", str(age), draw.choice("FM"), draw.choice(["Süd", "Nord", "West"])]
        made.append([*words, sbp, day, died])
    return made


def csv(body: list[list[str]], header: list[str] = HEADER, delimiter: str = ",") -> str:
    """A table as CSV text."""
    return "".join(delimiter.join(line) + "\n" for line in [header, *body])


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """A folder with `patients.csv` (320 rows) and its schema `tiny.yaml`; tests may write into it."""
    (tmp_path / "patients.csv").write_text(csv(rows(320)), encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(SCHEMA, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(hospital: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in the hospital's folder: ``run("fit", "patients.csv", ...)``."""
    monkeypatch.chdir(hospital)
    runner = CliRunner()

    def invoke(*words: object) -> Result:
        return runner.invoke(app, [str(word) for word in words])

    return invoke


@pytest.fixture
def start(hospital: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command line as a process of its own, which can be interrupted."""

    def begin(*words: object, preexec: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from ehrsynth.cli import main; main()", *map(str, words)]
        return subprocess.Popen(
            command,
            cwd=hospital,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            preexec_fn=preexec,  # noqa: PLW1509 - limits on the child alone
        )

    return begin
