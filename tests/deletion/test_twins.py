"""Forgetting from a twins' job: the same question, of a table without the patients."""

import json
import shutil
from pathlib import Path

import pytest

from ehrsynth.deletion.job import forget
from ehrsynth.deletion.verify import verify
from ehrsynth.errors import RequestError
from ehrsynth.release.twin_request import Wanted, asked_for, question_of
from ehrsynth.release.twins import make_twins
from ehrsynth.report.decision import compare
from ehrsynth.tables import write_table
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Request
from trials import TRIAL, TWO, trial

KEY = bytes(range(32))
LEAN = Candidates(bases=("linear",), crossed=(), robust=("linear",))
QUICK = Options(candidates=LEAN, repeats=100, individual=False, accepted=frozenset({"small-arms"}))
REQUEST = Request(arms=TWO, outcomes=("score",), design="randomised", probabilities={})
PASSED = compare("any", 2, 1, "at least", explanation="many", source="ours", citation="")
GONE = ["P00007", "P00123"]
KEYED = TRIAL.changed(
    columns=(
        {"name": "id", "kind": "identifier", "pattern": "P#####", "roles": ("patient_key",)},
        *TRIAL.columns,
    )
)


@pytest.fixture(autouse=True)
def measured_once():
    """No release is made here, whose evaluation could be made once."""


@pytest.fixture(scope="module")
def table():
    made = trial(300, 51, slope=1.0).table
    return made.assign(id=[f"P{n:05d}" for n in range(len(made))])[list(KEYED.names)]


@pytest.fixture(scope="module")
def data(table, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("trial") / "trial.csv"
    table.to_csv(path, index=False)
    return path


def job(data, out: Path, *, seed: int | None = 1, **wanted):
    asked = {"options": QUICK, "candidates": (), "draws": 5} | wanted
    return make_twins(data, KEYED, REQUEST, out, wanted=Wanted(**asked), seed=seed, key=KEY)


def test_in_test_mode_the_twins_are_those_of_a_job_that_never_saw_them(data, table, tmp_path):
    job(data, tmp_path / "old")
    made = forget(tmp_path / "old", GONE, data, tmp_path / "new", seed=1)
    job(table[~table["id"].isin(GONE)].reset_index(drop=True), tmp_path / "never")
    for name in ("twins_score.csv", "patients.csv"):
        new, never = (tmp_path / folder / "internal" / name for folder in ("new", "never"))
        assert new.read_bytes() == never.read_bytes()
    assert (made.table, made.patients, made.decision) == ("inside", 2, None)


def test_it_is_certified_withdrawn_and_erased(data, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    job(data, old, seed=None)
    made = forget(old, GONE, data, new)
    (tmp_path / "ids.txt").write_text("\n".join(GONE))
    assert verify(new, patients=tmp_path / "ids.txt").intact
    assert "new took its place" in verify(old).withdrawn
    assert verify(old).intact
    assert "internal/twins_score.csv" in made.erased
    assert not list((old / "internal").glob("*.parquet"))
    for name in ("certificate.json", "internal/request.json", "internal/manifest.json"):
        assert b"P00007" not in (new / name).read_bytes()
    again = forget(new, ["P00200"], data, tmp_path / "newer")
    assert verify(again.folder).intact


def test_a_published_cohort_waits_for_eleven(data, tmp_path, monkeypatch):
    old = tmp_path / "old"
    monkeypatch.setattr("ehrsynth.release.twin_answers.twin_checks", lambda *_, **__: [PASSED])
    monkeypatch.setattr("ehrsynth.release.twin_gate.evaluate", lambda *_, **__: None)
    how = {"synthetic": 60, "generator": "independent"}
    job(data, old, **how)
    assert (old / "share").is_dir()
    again = Path(shutil.copytree(old, tmp_path / "again"))
    few = [f"P{n:05d}" for n in range(20, 31)]
    made = forget(old, few, data, tmp_path / "new")
    assert made.table == "waits", "of eleven some were seen by nothing"
    assert 0 < made.pending < 11
    assert not (tmp_path / "new" / "share").exists()
    many = [f"P{n:05d}" for n in range(20, 60)]
    second = forget(again, many, data, tmp_path / "second")
    assert (second.table, second.pending) == ("published", 0)
    assert verify(second.folder).intact


def test_a_cohort_of_its_own_is_withdrawn_and_must_be_run_anew(data, table, tmp_path):
    write_table(trial(70, 52).table, TRIAL, tmp_path / "others.csv")
    job(data, tmp_path / "old", target=tmp_path / "others.csv")
    with pytest.raises(RequestError, match="Run `ehrsynth twins` anew"):
        forget(tmp_path / "old", GONE, data, tmp_path / "new")
    assert "nothing took its place" in verify(tmp_path / "old").withdrawn
    assert not (tmp_path / "new").exists()


def test_a_job_that_does_not_say_what_was_asked_is_withdrawn(data, tmp_path):
    from ehrsynth.files import seal

    old = tmp_path / "old"
    job(data, old)
    (old / "internal" / "request.json").unlink()
    manifest = json.loads((old / "internal" / "manifest.json").read_text())
    del manifest["kind"]
    (old / "internal" / "manifest.json").write_text(json.dumps(manifest))
    seal(old / "internal")
    (old / "internal" / "seal.json").chmod(0o600)
    with pytest.raises(RequestError, match="run `ehrsynth twins` anew"):
        forget(old, GONE, data, tmp_path / "new")
    assert verify(old).withdrawn
    assert (old / "internal" / "twins_score.csv").is_file(), "whose patients these are was not checked"


def test_what_was_asked_comes_back_as_it_was(table):
    request = Request(
        treatment="arm",
        arms={"Z": ("z",), "A": ("a", "b")},
        outcomes=("score",),
        probabilities={"Z": 0.25, "A": 0.75},
        horizon=30.0,
        negative_control=("sbp",),
    )
    wanted = Wanted(options=QUICK, synthetic=9, settings={"leaf": 3}, candidates=("cart",), draws=2)
    kept = asked_for(table, KEYED, request, wanted, key=KEY, accepted=True)
    kept = type(kept)(kept.generator, json.loads(json.dumps(kept.settings, sort_keys=True)), *_rest(kept))
    question, options, others = question_of(kept)
    assert question == request
    assert list(question.arms) == ["Z", "A"], "the first arm is the reference"
    assert others.pop("target") is None
    assert Wanted(options=options, **others) == wanted


def _rest(kept):
    return kept.schema, kept.options, kept.census, kept.code
