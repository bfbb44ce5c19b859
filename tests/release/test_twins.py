"""The twins' job from a table to folders: real patients stay inside, synthetic ones leave after a yes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.cli.twin_results import show_twins
from ehrsynth.errors import OutputError, Refused, ReleaseBlocked
from ehrsynth.release.policy import load_policy
from ehrsynth.release.twin_request import Wanted
from ehrsynth.release.twins import make_twins
from ehrsynth.release.verify import verify
from ehrsynth.tables import is_synthetic, read_table
from ehrsynth.twins.cohort import twin_cohort
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Request
from ehrsynth.twins.results import ANSWERED
from trials import TRIAL, TWO, trial

LEAN = Candidates(bases=("linear",), crossed=(), robust=("linear",))
QUICK = Options(candidates=LEAN, repeats=100, individual=False)
REQUEST = Request(arms=TWO, outcomes=("score",), design="randomised")


def job(out: Path, n: int = 400, **how):
    wanted = {"options": QUICK, "candidates": (), "draws": 5} | how.pop("wanted", {})
    return make_twins(
        trial(n, 51, slope=1.0).table, TRIAL, REQUEST, out, wanted=Wanted(**wanted), seed=1, **how
    )


def test_twins_of_real_patients_stay_inside(tmp_path: Path) -> None:
    made = job(tmp_path / "out", wanted={"trial": True})
    made.raise_if_refused()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"internal"}
    inside = tmp_path / "out" / "internal"
    assert verify(tmp_path / "out").intact
    assert all(file.stat().st_mode & 0o077 == 0 for file in inside.iterdir())
    manifest = json.loads((inside / "manifest.json").read_text())
    assert "not for sharing" in manifest["what"]
    assert manifest["training_n"] == {"score": 400}
    assert "No standard error" in manifest["standard_errors"]
    report = json.loads((inside / "report.json").read_text())
    assert report["verdict"] in ANSWERED
    assert report["release"] is None
    assert report["trial_check"][0]["cells"]
    frame = pd.read_parquet(inside / "twins_score.parquet")
    assert len(frame) == 800
    assert "real patients" in (inside / "report.html").read_text()


def test_a_target_table_is_the_cohort(tmp_path: Path) -> None:
    from ehrsynth.tables import write_table

    write_table(trial(70, 52).table, TRIAL, tmp_path / "others.csv")
    made = job(tmp_path / "out", wanted={"target": tmp_path / "others.csv"})
    assert made.answer["cohort"]["patients"] == 70
    assert not made.answer["cohort"]["synthetic"]
    assert len(pd.read_csv(tmp_path / "out" / "internal" / "patients.csv")) == 70


def test_results_beyond_a_limit_that_count_as_missing_are_told(tmp_path: Path) -> None:
    coded = {"sbp": ("<70",)}
    columns = (c.model_copy(update={"missing_codes": coded.get(c.name, ())}) for c in TRIAL.columns)
    limited, table = TRIAL.changed(columns=tuple(columns)), trial(400, 51, slope=1.0).table
    wanted = Wanted(options=QUICK, candidates=(), draws=5)
    made = make_twins(table, limited, REQUEST, tmp_path / "out", wanted=wanted, seed=1)
    (told,) = [action for action in made.answer["actions"] if "detection" in action]
    assert told.startswith("sbp: results beyond")


def test_a_refusal_writes_its_reasons_and_no_twins(tmp_path: Path) -> None:
    made = job(tmp_path / "out", n=80)
    with pytest.raises(Refused, match="--accept-small-arms"):
        made.raise_if_refused()
    names = {p.name for p in (tmp_path / "out" / "internal").iterdir()}
    assert "report.html" in names
    assert not any(name.startswith("twins_") for name in names)


def test_a_trial_check_that_could_not_be_made_is_a_no(tmp_path: Path, capsys) -> None:
    made = job(tmp_path / "out", n=150, wanted={"trial": True})
    assert made.answer["verdict"] == "refused"
    with pytest.raises(
        Refused, match=r"trial check was not computed \(score\): fewer than 50 patients an arm"
    ):
        made.raise_if_refused()
    show_twins(made.answer, tmp_path / "out", as_json=False)
    said = capsys.readouterr().out
    assert "trial check, score: not computed: fewer than 50 patients an arm in a half" in said


def test_a_refusal_names_its_outcome(tmp_path: Path) -> None:
    asked = replace(REQUEST, outcomes=("score", "poor"))
    wanted = Wanted(options=QUICK, candidates=(), draws=5)
    made = make_twins(trial(80, 51).table, TRIAL, asked, tmp_path / "out", wanted=wanted, seed=1)
    with pytest.raises(Refused) as caught:
        made.raise_if_refused()
    said = [line.lstrip(" -").removeprefix("refused: ") for line in str(caught.value).splitlines()]
    for outcome in asked.outcomes:
        assert sum(line.startswith(f"{outcome}: arm") for line in said) == 2


def test_synthetic_twins_are_attacked_and_may_be_blocked(tmp_path: Path) -> None:
    made = job(tmp_path / "out", n=500, wanted={"synthetic": 200, "generator": "independent", "trial": True})
    assert made.decision is not None
    names = [check.name for check in made.decision.checks]
    for name in (
        "Outcomes that were refused",
        "Cells that the trial contradicts",
        "Memory of outcomes: score",
    ):
        assert name in names
    assert len(names) > 12
    assert made.answer["cohort"]["split"] == "by site (12 sites)"
    assert made.answer["trial_check"][0]["split"].endswith("cut by site (12 sites)")
    assert "cut by site (12 sites)" in (tmp_path / "out" / "internal" / "report.html").read_text()
    assert not made.decision.released
    with pytest.raises((ReleaseBlocked, Refused)):
        made.raise_if_refused()
    assert not (tmp_path / "out" / "share").exists()
    assert verify(tmp_path / "out").intact


def test_a_cohort_without_a_number_is_attacked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ehrsynth.release import twin_answers

    def withheld(*args, **kwargs):
        cohort = twin_cohort(*args, **kwargs)
        return replace(cohort, withheld=np.ones(len(cohort), np.bool_))

    monkeypatch.setattr(twin_answers, "twin_cohort", withheld)
    made = job(tmp_path / "out", n=300, wanted={"synthetic": 80, "generator": "independent"})
    assert made.decision is not None
    assert len(made.decision.checks) > 10
    assert not any("Memory" in check.name for check in made.decision.checks)


def test_each_cohort_is_a_look_at_the_patients_that_the_register_counts(tmp_path: Path) -> None:
    wanted = {"synthetic": 60, "generator": "independent"}
    register = tmp_path / "register.json"
    for number in (1, 2):
        place = tmp_path / str(number) / "out"  # another folder: only the register knows of the first
        place.parent.mkdir()
        job(place, n=300, wanted=wanted, register=register)
        report = json.loads((place / "internal" / "report.json").read_text())
        assert report["provenance"]["attempt"] == number
    looks = json.loads(register.read_text())["looks"]["kept"]
    assert [look["what"] for look in looks] == ["blocked", "blocked"]
    (tmp_path / "3").mkdir()
    job(tmp_path / "3" / "out", n=300, register=register)  # twins of real patients stay inside: no look
    assert len(json.loads(register.read_text())["looks"]["kept"]) == 2


def test_a_cohort_that_the_gate_lets_go_is_shared_without_seed_or_small_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ehrsynth.release import twin_answers
    from ehrsynth.report.decision import compare

    def yes(*args, **kwargs):
        yield compare("all is well", 0.0, 1.0, "at most", explanation="", source="ours", citation="")

    monkeypatch.setattr(twin_answers, "twin_checks", yes)
    made = job(tmp_path / "out", n=400, wanted={"synthetic": 150, "generator": "independent"})
    assert made.decision is not None
    assert made.decision.released
    share = tmp_path / "out" / "share"
    manifest = (share / "manifest.json").read_text()
    assert "seed" not in json.loads(manifest)
    assert "split_key" not in manifest
    assert "data_sha256" not in manifest
    assert verify(tmp_path / "out").intact
    page = (share / "report.html").read_text()
    assert "May be shared" in page
    assert ">Seed<" not in page
    schema_file = share / "twins_score.yaml"
    from ehrsynth.schema.yaml_files import load_schema

    frame = read_table(share / "twins_score.csv", load_schema(schema_file))
    assert is_synthetic(frame)
    assert len(frame) == 300
    assert not (tmp_path / "out" / "internal" / "twins_score.csv").exists()


def test_a_place_that_is_taken_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("x")
    with pytest.raises(OutputError, match="exists already"):
        job(tmp_path / "out")


def test_equal_seeds_and_keys_give_equal_cohorts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        job(tmp_path / name, n=300, wanted={"synthetic": 50, "generator": "independent"}, key=b"k")
    files = [(tmp_path / name / "internal" / "twins_score.csv").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_the_default_policy_has_a_limit_for_memory() -> None:
    assert load_policy().membership.value > 0


# ---- patients outside support ----


def far_away(folder: Path, inside: int) -> dict[str, object]:
    """A target with two patients whose like no arm has, and some who are like all others."""
    from ehrsynth.tables import write_table

    table = trial(inside + 2, 53).table
    table.loc[[0, 1], "sbp"] = 259.0
    table.loc[[0, 1], "age"] = 18
    write_table(table, TRIAL, folder / "others.csv")
    return {"target": folder / "others.csv"}


def outside(answer) -> list:
    return [r for r in answer["refusals"] if r["name"] == "outside-support"]


def test_some_patients_outside_support_are_withheld_and_said_and_the_others_answered(tmp_path: Path) -> None:
    made = job(tmp_path / "out", wanted=far_away(tmp_path, 60))
    made.raise_if_refused()
    assert made.answer["verdict"] == "answered in part"
    (one,) = outside(made.answer)
    assert not one["overridden"]
    withheld = made.answer["cohort"]["withheld"]
    assert 2 <= withheld < 30
    assert f"{withheld} of 62 patients" in one["reason"]
    page = (tmp_path / "out" / "internal" / "report.html").read_text()
    assert f"Answered in part: not for {withheld} of 62 patients" in page
    assert "Patients of whom nothing is said" in page
    frame = pd.read_parquet(tmp_path / "out" / "internal" / "twins_score.parquet")
    assert frame["mean"].isna().sum() == 2 * withheld


def test_an_accepted_patient_outside_support_is_written_into_the_report(tmp_path: Path) -> None:
    options = replace(QUICK, accepted=frozenset({"outside-support"}))
    made = job(tmp_path / "out", wanted=far_away(tmp_path, 60) | {"options": options})
    made.raise_if_refused()
    assert made.answer["verdict"] == "answered"
    (one,) = outside(made.answer)
    assert one["overridden"]
    assert made.answer["cohort"]["withheld"] == 0
    assert made.answer["cohort"]["outside_support"] >= 2
    page = (tmp_path / "out" / "internal" / "report.html").read_text()
    assert "Overridden by the user (--accept-outside-support)" in page
    frame = pd.read_parquet(tmp_path / "out" / "internal" / "twins_score.parquet")
    assert not frame["mean"].isna().any()


def test_a_target_that_lies_outside_support_as_a_whole_is_refused(tmp_path: Path) -> None:
    options = replace(QUICK, accepted=frozenset({"overlap", "outside-support"}))
    with pytest.raises(Refused, match="all 2 patients of the target table lie outside the support"):
        job(tmp_path / "out", wanted=far_away(tmp_path, 0) | {"options": options})
    assert not (tmp_path / "out").exists()
