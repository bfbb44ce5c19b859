"""`ehrsynth twins` as a user types it: answers, refusals, mistakes, and their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ehrsynth.cli import app
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables import write_table
from ehrsynth.twins.results import ANSWERED
from trials import TRIAL, trial

ARMS = ("--arm", "none=none", "--arm", "low=low")
QUICK = ("--permutations", 100, "--model", "none", "--draws", 5, "--seed", 1)


@pytest.fixture
def trial_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_table(trial(300, 71, slope=2.0).table, TRIAL, tmp_path / "trial.csv")
    save_schema(TRIAL, tmp_path / "trial.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def twins(*words: object) -> Result:
    given = ["twins", "trial.csv", "--schema", "trial.yaml", "--out", "out", *words]
    return CliRunner().invoke(app, [str(word) for word in given])


def test_an_answer_in_words_and_as_json(trial_folder: Path) -> None:
    run = twins(*ARMS, "--outcome", "score", "--design", "randomised", *QUICK)
    assert run.exit_code == 0, run.output
    assert "answered" in run.output
    assert "report.html" in run.output
    report = json.loads((trial_folder / "out" / "internal" / "report.json").read_text())
    assert report["verdict"] in ANSWERED
    assert report["provenance"]["seed"] == 1
    assert "no confounder is unmeasured" not in run.output


def test_an_observational_effect_stands_beside_what_no_data_can_show(
    trial_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run = twins(*ARMS, "--outcome", "score", *QUICK)
    said = "an effect only if no confounder is unmeasured and every covariate was measured before treatment"
    assert said in " ".join(run.output.split())


def test_the_trial_check_shows_how_far_the_twins_may_be_off(
    trial_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal breaks cells over lines
    run = twins(*ARMS, "--outcome", "score", "--trial", *QUICK)
    report = json.loads((trial_folder / "out" / "internal" / "report.json").read_text())
    first = report["trial_check"][0]["cells"][0]["difference"]
    assert f"{first['low']:+.3f} to {first['high']:+.3f}" in run.output


def test_a_refusal_ends_with_three_and_names_the_flag(trial_folder: Path) -> None:
    run = twins(
        *ARMS, "--outcome", "poor", "--design", "randomised", "--population", "age >= 75", *QUICK, "--json"
    )
    assert run.exit_code == 3
    assert "--accept-small-arms" in run.output
    answer = json.loads(run.stdout[run.stdout.index("{") : run.stdout.rindex("}") + 1])
    assert answer["verdict"] == "refused"


def test_an_override_is_a_flag_and_is_written_down(trial_folder: Path) -> None:
    flags = ("--accept-small-arms", "--accept-individual-effects", "--accept-placebo")
    where = ("--population", "age >= 75")
    run = twins(*ARMS, "--outcome", "score", "--design", "randomised", *where, *flags, *QUICK)
    assert run.exit_code == 0, run.output
    report = json.loads((trial_folder / "out" / "internal" / "report.json").read_text())
    assert any(r["overridden"] for r in report["refusals"])
    assert "Overridden by the user" in (trial_folder / "out" / "internal" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--covariate", "age", "--covariate", "stage"), "measured after treatment"),
        (("--treatment", "drugg"), "drugg"),
        (("--outcome", "poor = nonsense > 3"), "nonsense"),
        (("--arm", "none"), "--arm 'none' is not understood"),
        (("--arm", "a=none", "--arm", "a=low"), "--arm says 'a' twice"),
        (("--probability", "none=half"), "a share is a number"),
        (("--trial", "--design", "observational"), "--trial needs randomised arms"),
        (("--synthetic", "5", "--target", "trial.csv"), "leave one out"),
        (("--estimand", "treated"), "two arms at a time"),
        ((*ARMS, "--estimand", "treated", "--target", "trial.csv"), "leave --estimand or --target out"),
        (("--epsilon", "1"), "needs --synthetic N"),
        (
            ("--epsilon", "1", "--synthetic", "5", "--trial", "--accept-overlap"),
            "leave out --trial and --acc",
        ),
        (("--epsilon", "1", "--synthetic", "5", "--generator", "cart"), "no differentially private form"),
        (("--epsilon", "1", "--synthetic", "5", "--generator", "aim"), "cannot complete"),
        (("--epsilon", "1", "--synthetic", "5", "--public-rows", "300"), "must be public"),
        (("--delta", "0.001"), "means nothing without --epsilon"),
        (("--horizon", "90"), "compete"),
        (("--model", "nil"), "nil"),
    ],
)
def test_what_is_wrong_ends_with_two_and_nothing_is_written(
    trial_folder: Path, words: tuple[str, ...], said: str
) -> None:
    run = twins(*words)
    assert run.exit_code == 2
    assert said in run.output.replace("\n", " ")
    assert not (trial_folder / "out").exists()


def test_a_private_cohort_is_drawn_and_paid_for(trial_folder: Path) -> None:
    plain = TRIAL.as_json()
    columns = [column | {"source": "public"} for column in plain["columns"]]
    save_schema(TRIAL.changed(columns=columns), trial_folder / "trial.yaml")
    tiny = ("--set", "steps=3", "--set", "width=8", "--set", "masks=1", "--draws", 3)
    asked = ("--epsilon", 2, "--public-rows", 300, "--synthetic", 40, *tiny)
    run = twins(*ARMS, "--outcome", "score", "--design", "randomised", *asked)
    # Of so few patients the attacks can say nothing, which is a no.
    assert run.exit_code == 3, run.output
    assert "simulated by a private model" in run.output
    assert "carry the noise" in run.output
    report = json.loads((trial_folder / "out" / "internal" / "report.json").read_text())
    names = [check["name"] for check in report["release"]["checks"]]
    assert "Memory of outcomes: score" in names
    assert len(names) > 12
    assert 0 < report["provenance"]["guarantee"]["epsilon"] <= 2 * (1 + 1e-6)
    register = json.loads((trial_folder / "ehrsynth-register.json").read_text())
    assert [entry["what"] for entry in register["data"]["trial"]] == ["blocked"]
    assert [look["what"] for look in register["looks"]["kept"]] == ["blocked"]
    again = twins(*ARMS, "--outcome", "score", *asked)
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_a_table_that_does_not_fit_is_said_by_column_and_never_by_value(trial_folder: Path) -> None:
    text = (trial_folder / "trial.csv").read_text().splitlines()
    text[1] = text[1].replace(text[1].split(",")[0], "117", 1)
    (trial_folder / "trial.csv").write_text("\n".join(text) + "\n")
    run = twins(*ARMS)
    assert run.exit_code == 2
    assert "'age'" in run.output
    assert "117" not in run.output
