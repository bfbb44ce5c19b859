"""The verbs that measure and decide: evaluate, release, verify and demo, with a small, fast generator."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ehrsynth.evaluation.protocol import protocol

Run = Callable[..., Result]
POLICY = Path(__file__).parents[2] / "schemas" / "policy.yaml"
RELEASE = (
    *("release", "patients.csv", "--schema", "tiny.yaml", "--generator", "independent"),
    *("--seed", "3", "--remedies", "0"),
)


def lenient(hospital: Path) -> Path:
    """The policy with limits that few patients can meet: what is tested here is the road, not the gate."""
    import yaml

    policy = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    shares = ("risk_upper_end", "membership", "membership_surest", "identity_disclosure")
    for name in (*shares, "copied_rows_above_holdout"):
        policy[name]["value"] = 1.0
    for name in ("minimum_holdout", "minimum_patients_without_guarantee", "category_patients"):
        policy[name]["value"] = 1
    file = hospital / "lenient.yaml"
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return file


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_small_table_is_blocked_with_its_reasons_and_no_share(run: Run, hospital: Path) -> None:
    result = run(*RELEASE, "--out", "release")
    assert result.exit_code == 3, result.output
    lines = [line for line in result.stderr.splitlines() if not re.match(r" *\d+ ?%", line)]
    note, first = lines[:2]
    assert note.startswith("new register begun at ")
    assert note.endswith("ehrsynth-register.json: tries and tables elsewhere are not in it")
    assert first.startswith("blocked: ")
    assert not (hospital / "release" / "share").exists()
    assert "internal/report.html" in " ".join(files(hospital / "release"))
    report = json.loads((hospital / "release" / "internal" / "report.json").read_text(encoding="utf-8"))
    assert report["decision"] == "blocked"
    assert report["reasons"]
    assert run("verify", "release").exit_code == 0


@pytest.fixture
def released(run: Run, hospital: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release that the lenient policy lets through, with attacks on few patients counted as measured."""
    usual = protocol()
    attacks = usual.attacks.model_copy(update={"widest": 2.0, "minimum": 1})
    wide = usual.model_copy(update={"attacks": attacks})
    monkeypatch.setattr("ehrsynth.evaluation.privacy.success.protocol", lambda: wide)
    result = run(*RELEASE, "--out", "release", "--rows", "200", "--policy", lenient(hospital), "--json")
    if result.exit_code == 3:
        pytest.fail(result.stderr)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["decision"] == "released"
    return hospital / "release"


def test_a_release_holds_what_it_should(released: Path, run: Run) -> None:
    share, internal = files(released / "share"), files(released / "internal")
    assert {
        "synthetic.csv",
        "synthetic.parquet",
        "report.html",
        "manifest.json",
        "card.md",
        "schema.yaml",
    } <= share
    assert {"report.html", "report.json", "manifest.json"} <= internal
    for file in (released / "internal").rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert len((released / "share" / "synthetic.csv").read_text().splitlines()) == 201
    assert (
        run(
            "schema", "check", released / "share" / "schema.yaml", released / "share" / "synthetic.csv"
        ).exit_code
        == 0
    )
    facts = json.loads(run("verify", "release", "--json").stdout)
    assert (facts["verdict"], facts["decision"]) == ("intact", "released")
    public = (released / "share" / "manifest.json").read_text()
    assert "seed" not in public
    # A file that is changed after the release is found, wherever it lies.
    for name in ("share/synthetic.csv", "share/card.md", "internal/report.json"):
        file = released / name
        intact = file.read_bytes()
        file.write_bytes(intact + b" ")
        changed = run("verify", "release")
        assert changed.exit_code == 2
        assert Path(name).name in changed.stderr
        file.write_bytes(intact)
    assert run("verify", "release").exit_code == 0
    again = run(*RELEASE, "--out", "release")
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_evaluate_measures_any_table(run: Run, hospital: Path) -> None:
    lines = (hospital / "patients.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, part in {"train": lines[1:101], "holdout": lines[101:201], "vendor": lines[201:241]}.items():
        (hospital / f"{name}.csv").write_text(lines[0] + "".join(part), encoding="utf-8")
    words = (
        "--train",
        "train.csv",
        "--holdout",
        "holdout.csv",
        "--synthetic",
        "vendor.csv",
        "-s",
        "tiny.yaml",
    )
    result = run("evaluate", *words, "--out", "report", "--seed", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == json.loads((hospital / "report" / "report.json").read_text(encoding="utf-8"))
    assert found["decision"] == "blocked"
    assert {"column_shapes", "pair_trends"} <= set(found["scores"])
    assert {"singling_out", "linkability", "inference"} <= set(found["risks"])
    words = (*words, "--remedies", "0", "--seed", "1")
    gated = run("evaluate", *words, "--out", "gated", "--policy", POLICY)
    assert gated.exit_code == 3, gated.output
    assert (hospital / "gated" / "report.html").is_file()


def test_verify_says_what_is_no_release(run: Run, hospital: Path) -> None:
    assert run("verify", ".").exit_code == 2
    assert run("verify", "nowhere").exit_code == 2


@pytest.mark.slow
def test_the_demo_makes_a_report_whatever_the_gate_says(run: Run, hospital: Path) -> None:
    result = run("demo", "--generator", "independent", "--evaluated-rows", "800", "--seed", "1")
    assert result.exit_code == 0, result.output
    folder = hospital / "demo-release" / "1"
    report = json.loads((folder / "internal" / "report.json").read_text(encoding="utf-8"))
    assert report["decision"] in {"released", "blocked"}
    assert report["sentence"] in result.stdout
    assert (folder / "share").exists() == (report["decision"] == "released")
    assert ("--remedies 600" in result.stdout) == (report["decision"] == "blocked")
