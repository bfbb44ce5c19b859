"""`forget` and `verify` as they are typed: exit codes, messages, and what is never said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ehrsynth.deletion.job import Forgotten
from ehrsynth.report.decision import Decision, compare

Run = Callable[..., Result]
RELEASE = ("release", "patients.csv", "--schema", "tiny.yaml", "--generator", "independent")


@pytest.fixture
def release(run: Run, hospital: Path) -> Path:
    result = run(*RELEASE, "--out", "release", "--remedies", "0", "--shards", "2", "--evaluated-rows", "60")
    assert result.exit_code == 3, "so few patients are blocked"
    (hospital / "ids.txt").write_text("P0007\nP0123\n")
    return hospital / "release"


def forget(run: Run, *words: object) -> Result:
    return run("forget", "release", "--patients", "ids.txt", "--data", "patients.csv", "--out", "new", *words)


def test_patients_are_forgotten_certified_and_verified(run: Run, release: Path, hospital: Path) -> None:
    result = forget(run, "--json")
    assert result.exit_code == 3, "a new table is blocked as the old one was"
    assert "the patients are forgotten; a new table is blocked" in result.stderr
    said = json.loads(result.stdout)
    assert (said["verdict"], said["table"], said["patients_forgotten"]) == ("forgotten", "blocked", 2)
    assert "shards were learnt again" in said["method"] or "held out" in said["method"]
    everything = result.output + (hospital / "new" / "certificate.json").read_text()
    everything += (hospital / "new" / "internal" / "manifest.json").read_text()
    assert "P0007" not in everything
    assert "P0123" not in everything
    assert run("verify", "new").exit_code == 0
    assert run("verify", "new/certificate.json").exit_code == 0
    old = run("verify", "release")
    assert old.exit_code == 3
    assert "was withdrawn" in old.stderr
    assert json.loads(run("verify", "release", "--json").stdout)["verdict"] == "withdrawn"
    again = run("forget", "release", "-p", "ids.txt", "-d", "patients.csv", "-o", "newer")
    assert again.exit_code == 2
    assert "withdrawn already" in again.stderr
    file = hospital / "new" / "certificate.json"
    file.write_bytes(file.read_bytes().replace(b'"patients": 2', b'"patients": 3'))
    altered = run("verify", "new")
    assert altered.exit_code == 2
    assert "certificate.json: its keyed hash does not fit" in altered.stderr


def test_wrong_lists_are_wrong_requests(run: Run, release: Path, hospital: Path) -> None:
    for ids, said in (
        ("P9999\n", "1 of the 1 patients named are not in the table"),
        ("\n", "nobody is named"),
    ):
        (hospital / "ids.txt").write_text(ids)
        result = forget(run)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "P9999" not in result.output
        assert not (hospital / "new").exists()
    assert run("verify", "release").exit_code == 0


def test_another_folder_is_no_release(run: Run, hospital: Path) -> None:
    (hospital / "release").mkdir()
    (hospital / "ids.txt").write_text("P0007\n")
    result = forget(run)
    assert result.exit_code == 2
    assert "is no release with its internal folder" in result.stderr


@pytest.mark.parametrize(("table", "code"), [("waits", 0), ("published", 0), ("blocked", 3)])
def test_waiting_is_done_and_a_blocked_table_is_a_no(
    run: Run, hospital: Path, monkeypatch: pytest.MonkeyPatch, table: str, code: int
) -> None:
    check = compare("x", 1, 2, "at least", explanation="few", source="ours", citation="")
    made = Forgotten(Decision.from_checks([check]), hospital / "new", 1, "all", table, 1, ("a",))  # type: ignore[arg-type]
    monkeypatch.setattr("ehrsynth.deletion.job.forget", lambda *_, **__: made)
    (hospital / "release").mkdir()
    (hospital / "ids.txt").write_text("P0007\n")
    result = forget(run)
    assert result.exit_code == code
    assert table in result.stdout


def test_shards_are_a_form_of_any_generator(run: Run, hospital: Path) -> None:
    asked = ("fit", "patients.csv", "--schema", "tiny.yaml", "--generator", "cart", "--set", "leaf=9")
    result = run(*asked, "--shards", "3", "--out", "model", "--json")
    assert result.exit_code == 0, result.output
    settings = json.loads(result.stdout)["settings"]
    assert (settings["generator"], settings["shards"], settings["settings"]["leaf"]) == ("cart", 3, 9)
    assert run("sample", "model", "--rows", "20", "--where", "age > 60", "--out", "s.csv").exit_code == 0
    few = run(*asked, "--shards", "200", "--out", "other")
    assert few.exit_code == 2
    assert "too few for 200 shards" in few.stderr


def test_a_model_of_shards_forgets_where_it_stands(run: Run, hospital: Path) -> None:
    asked = ("fit", "patients.csv", "--schema", "tiny.yaml", "--generator", "independent", "--shards", "4")
    assert run(*asked, "--out", "model").exit_code == 0
    assert run("verify", "model").exit_code == 0
    (hospital / "ids.txt").write_text("P0007\n")
    words = ("--patients", "ids.txt", "--data", "patients.csv", "--out", "new")
    result = run("forget", "model", *words, "--workers", "1", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["verdict"], said["table"], said["patients_forgotten"]) == ("forgotten", "none", 1)
    assert "1 of 4 shards were learnt again" in said["method"]
    assert run("verify", "new", "--patients", "ids.txt").exit_code == 0
    assert run("sample", "new", "--rows", "20", "--out", "s.csv").exit_code == 0
    assert run("verify", "model").exit_code == 3
    refused = run("sample", "model", "--rows", "20", "--out", "old.csv")
    assert refused.exit_code == 2
    assert "was withdrawn" in refused.stderr


def test_engines_may_be_named(run: Run, hospital: Path) -> None:
    (hospital / "release").mkdir()
    (hospital / "ids.txt").write_text("P0007\n")
    result = forget(run, "--workers", "2", "--scheduler", "tcp://h:1")
    assert result.exit_code == 2
    assert "--workers is about this machine" in result.stderr
