"""Large work from the command line: engines, databases, kills."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

pytest.importorskip("sqlalchemy")

Run = Callable[..., Result]

SCHEMA = ("--schema", "tiny.yaml")
FIT = ("fit", "patients.csv", *SCHEMA, "--generator", "independent", "--out", "model", "--seed", "1")
SMALL_PIECES = "from ehrsynth.generators import bulk; bulk.PART = 200; from ehrsynth.cli import main; main()"


def done(result) -> dict:
    assert result.exit_code == 0, result.output + result.stderr
    return json.loads(result.stdout)


def unseen(hospital: Path) -> str:
    """A table of other patients."""
    patients = (hospital / "patients.csv").read_text(encoding="utf-8")
    (hospital / "unseen.csv").write_text(patients.replace("\nP0", "\nP1"), encoding="utf-8")
    return "unseen.csv"


def test_a_url_may_stand_wherever_a_table_may(run: Run, hospital: Path) -> None:
    real, made = "sqlite:///r.db?table=patients", "sqlite:///r.db?table=made"
    done(run(*FIT, "--json"))
    done(run("sample", "model", "--rows", "90", "--out", made, "--seed", "2", "--json"))
    done(run("sample", "model", "--rows", "90", "--out", real, "--seed", "3", "--json"))
    # A copy without its mark stands for real patients.
    import sqlite3

    with sqlite3.connect(hospital / "r.db") as database:
        database.execute("DELETE FROM ehrsynth_origin WHERE table_name = 'patients'")
    assert done(run("schema", "check", "tiny.yaml", real, "--json"))["patients"] == 90
    done(run("schema", "infer", real, "--out", "guessed.yaml", "--json"))
    words = ("--generator", "independent", "--out", "model2")
    assert done(run("fit", real, *SCHEMA, *words, "--json"))["patients"] == 90
    refused = run("fit", made, *SCHEMA, "--generator", "independent", "--out", "model3")
    assert refused.exit_code == 2
    assert "--train-on-synthetic" in refused.stderr
    again = run("sample", "model", "--rows", "90", "--out", made)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    sides = ("--train", real, "--holdout", unseen(hospital), "--synthetic", made, *SCHEMA)
    found = done(
        run("evaluate", *sides, "--out", "report", "--evaluated-rows", "60", "--seed", "1", "--json")
    )
    assert found["provenance"]["rows"]["train"] == 90
    assert found["provenance"]["measured_on"]["train"] == 60


def test_synthetic_patients_are_never_thinned_with_the_real_ones(
    run: Run, hospital: Path, monkeypatch
) -> None:
    from ehrsynth.tables import streaming

    done(run(*FIT, "--json"))
    for name, seed in {"made": "1", "more": "2"}.items():
        done(run("sample", "model", "--rows", "90", "--out", f"{name}.parquet", "--seed", seed, "--json"))
    words = ("--synthetic", "made.parquet", "--synthetic", "more.parquet", *SCHEMA, "--evaluated-rows", "60")
    sides = ("evaluate", "--train", "patients.csv", "--holdout", unseen(hospital), *words, "--json")
    whole = done(run(*sides, "--out", "whole"))
    assert whole["scores"]["copied_rows"]["details"]["rows"] == 180
    assert "not read" not in json.dumps(whole["reasons"])
    monkeypatch.setattr(streaming, "MOST_CELLS", 400)
    part = done(run(*sides, "--out", "part"))
    unread = 180 - part["scores"]["copied_rows"]["details"]["rows"]
    assert unread > 0
    assert sum(f"{unread} synthetic rows were not read" in reason for reason in part["reasons"]) > 5


@pytest.mark.parametrize("keyed", [True, False])
def test_a_holdout_of_the_training_patients_is_seen_however_few_are_measured(
    run: Run, hospital: Path, keyed: bool
) -> None:
    import pandas as pd

    patients = pd.read_csv(hospital / "patients.csv", dtype=str, keep_default_na=False)
    if not keyed:
        lines = (hospital / "tiny.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
        (hospital / "tiny.yaml").write_text(
            "".join(x for x in lines if "name: id" not in x), encoding="utf-8"
        )
        patients = patients.drop(columns="id")
    for name, part in {"train": patients, "half": patients[::-2], "made": patients[:90]}.items():
        part.to_parquet(hospital / f"{name}.parquet", index=False)
    files = ("--train", "train.parquet", "--holdout", "half.parquet", "--synthetic", "made.parquet")
    found = run("evaluate", *files, *SCHEMA, "--evaluated-rows", "40", "--out", "report")
    assert found.exit_code == 2
    assert "the holdout is no holdout" in found.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--scheduler", "tcp://h:1", "--workers", "2"), "--workers"),
        (("--unencrypted",), "--scheduler"),
        (("--scheduler", "tcp://scheduler.hospital:8786"), "not encrypted"),
        (("--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler"),
    ],
)
def test_engines_that_cannot_be_are_said(run: Run, words: tuple[str, ...], says: str, monkeypatch) -> None:
    pytest.importorskip("distributed")
    from ehrsynth.engine import cluster

    monkeypatch.setattr(cluster, "ANSWER_IN", "1s")
    done(run(*FIT, "--json"))
    result = run("sample", "model", "--rows", "20", "--out", "x.csv", *words)
    assert result.exit_code == 2, result.output
    assert says in result.stderr


def sample(folder: Path, out: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SMALL_PIECES, "sample", "model", "--rows", "20000", "--seed", "4"]
    return subprocess.Popen(
        [*command, "--out", out, *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_a_killed_client_leaves_nothing_and_the_next_run_goes_on(run: Run, hospital: Path) -> None:
    done(run(*FIT, "--json"))
    calm = sample(hospital, "calm.parquet", "--workers", "1")
    killed = sample(hospital, "rows.parquet", "--workers", "1")
    unfinished = hospital / ".rows.parquet.unfinished"
    while killed.poll() is None and len(list(unfinished.glob("*.piece"))) < 5:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (hospital / "rows.parquet").exists()
    before = {file.name: file.stat().st_mtime_ns for file in unfinished.glob("*.piece")}
    assert 5 <= len(before) < 100
    # What is kept is not drawn again: half a piece would be, a whole one keeps its time.
    resumed = sample(hospital, "rows.parquet", "--workers", "2")
    assert resumed.wait() == 0, resumed.stderr.read()
    assert calm.wait() == 0
    assert (hospital / "rows.parquet").read_bytes() == (hospital / "calm.parquet").read_bytes()
    assert not unfinished.exists()


def test_being_told_to_end_says_how_to_go_on(run: Run, hospital: Path) -> None:
    done(run(*FIT, "--json"))
    process = sample(hospital, "rows.csv", "--workers", "1")
    while process.poll() is None and not list(hospital.glob(".rows.csv.unfinished/*.piece")):
        time.sleep(0.005)
    process.terminate()
    assert process.wait() == 130
    assert "goes on from what is done" in process.stderr.read()
    assert not (hospital / "rows.csv").exists()
