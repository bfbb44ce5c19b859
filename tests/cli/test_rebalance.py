"""`ehrsynth rebalance` as a user meets it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ehrsynth.cli import app
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables import is_synthetic, read_table, write_table
from minority import HOSPITAL, hospital

FAST = ("--splits", "2", "-m", "smote", "-m", "interaction", "--seed", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_table(hospital(300, women=0.2), HOSPITAL, tmp_path / "patients.csv")
    save_schema(HOSPITAL, tmp_path / "hospital.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: object) -> Result:
    return CliRunner().invoke(
        app, ["rebalance", "patients.csv", "--schema", "hospital.yaml", *map(str, words)]
    )


def test_a_no_ends_with_three_and_leaves_its_report(folder: Path) -> None:
    found = run("--out", "out", "--outcome", "died", *FAST)
    assert found.exit_code == 3
    assert "Do not rebalance" in found.stderr
    told = json.loads((folder / "out" / "report.json").read_text())
    assert told["verdict"] == "do not rebalance"
    assert told["files"] == ["treatment.json"]
    assert (folder / "out" / "report.html").read_text().startswith("<!doctype html>")
    assert not (folder / "out" / "treatment.csv").exists()
    assert "split 2 of 2: smote" in found.stderr
    assert ((folder / "out" / "report.json").stat().st_mode & 0o777) == 0o600


def test_applying_a_method_all_the_same_ends_with_zero_and_writes_it(folder: Path) -> None:
    found = run("--out", "out", "--outcome", "died", *FAST, "--apply", "random_oversampling")
    assert found.exit_code == 0, found.stderr
    table = read_table(
        folder / "out" / "treatment.csv",
        HOSPITAL.subset(tuple(n for n in HOSPITAL.names if n not in {"site", "days"})),
    )
    assert len(table) == 480
    assert not is_synthetic(table)
    assert json.loads((folder / "out" / "treatment.json").read_text())["method"] == "random_oversampling"


def test_json_goes_to_stdout_alone(folder: Path) -> None:
    found = run("--out", "out", "--outcome", "died", *FAST, "--json")
    assert json.loads(found.stdout)["verdict"] == "do not rebalance"


def test_groups_counts_bands_and_a_population_can_be_said(folder: Path) -> None:
    (folder / "p.csv").write_text("margin,cell,share\nsex,F,1\nsex,M,1\nage,< 65,1\nage,>= 65,3\n")
    for words in (
        ("--group", "old=age >= 75", "--count", "old=200"),
        ("--protected", "age", "--bands", "age=65,80"),
        ("--population", "p.csv", "--apply", "group_weights"),
        ("--everyone", "--classes", "equal", "--learner", "boosted_trees"),
        ("--predictors", "age", "--predictors", "lab"),
    ):
        found = run("--out", "-".join(words).replace(" ", ""), "--outcome", "died", *FAST, *words)
        assert found.exit_code in {0, 3}, (words, found.stderr)
        assert "report" in found.stdout


def test_thresholds_by_group_come_with_a_warning(folder: Path) -> None:
    words = ("--out", "out", "--outcome", "died", "--splits", "2", "-m", "group_thresholds", "--seed", "1")
    refused = run(*words)
    assert refused.exit_code == 3
    assert "--allow-group-thresholds" in refused.output
    allowed = run("--allow-group-thresholds", *words[:1], "out2", *words[2:])
    assert "unlawful" in allowed.stdout
    assert "unlawful" in (folder / "out2" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--outcome", "died", "--protected", "sx"), 2, "Did you mean 'sex'"),
        (("--outcome", "died", "--protected", "died"), 2, "is an outcome"),
        (("--outcome", "stage"), 2, "--event"),
        (("--outcome", "died", "--protected", "sex", "--protected", "ward"), 3, "too small"),
        (("--outcome", "died", "-m", "smoot"), 2, "Did you mean 'smote'"),
        (("--outcome", "died", "--apply", "smote k=3"), 2, "setting of smote"),
        (("--outcome", "died", "--count", "sex: F=many"), 2, "whole number"),
        (("--outcome", "died", "--group", "old"), 2, "--group 'old' is not understood"),
        (("--outcome", "died", "--group", "a=age > 1", "--group", "a=age > 2"), 2, "twice"),
        (("--outcome", "died", "--bands", "age=60"), 2, "no protected column"),
    ],
)
def test_bad_requests_end_with_their_code_and_leave_nothing(
    folder: Path, words: tuple, code: int, said: str
) -> None:
    found = run("--out", "out", "--splits", "2", *words)
    assert found.exit_code == code
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert not (folder / "out").exists()


def test_a_table_that_does_not_fit_and_a_folder_that_is_taken(folder: Path) -> None:
    (folder / "taken").mkdir()
    (folder / "taken" / "x").touch()
    assert "exists already" in run("--out", "taken", "--outcome", "died").stderr
    lines = (folder / "patients.csv").read_text().splitlines()
    (folder / "patients.csv").write_text("\n".join([*lines[:50], "broken,line"]))
    assert run("--out", "out", "--outcome", "died").exit_code == 2
    one_outcome = hospital(300, women=0.2)
    one_outcome.loc[one_outcome["sex"] == "F", "died"] = True
    write_table(one_outcome, HOSPITAL, folder / "patients.csv")
    found = run("--out", "out", "--outcome", "died")
    assert found.exit_code == 3
    assert "sex: F: 60 patients, 60 with the event" in found.stderr


def test_methods_are_listed_with_generators_among_them() -> None:
    found = CliRunner().invoke(app, ["list", "methods", "--json"])
    names = {one["name"] for one in json.loads(found.stdout)["methods"]}
    assert {
        "smote",
        "brnet",
        "interaction",
        "recalibration",
        "group_thresholds",
        "autoregressive",
        "cart",
    } <= names
    assert "generation" not in names
