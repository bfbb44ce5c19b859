"""Forgetting as a whole: exact, at once, withdrawn, and published only when many go together."""

import json
import shutil
import socket
from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.deletion.job import forget
from ehrsynth.deletion.verify import verify
from ehrsynth.errors import DataError, ModelError, OutputError, RequestError
from ehrsynth.files import seal
from ehrsynth.generators.storage import load_model
from ehrsynth.release.job import release
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables.splitting import HOLDOUT, held_out_patients

SEED, KEY = 20_261_125_009, bytes(range(32))


def names(n: int, start: int = 100, *, held: bool = False) -> list[str]:
    """So many patients who were learnt from, or held out, from one number on."""
    found = [f"P{k:05d}" for k in range(start, start + 8 * n + 20)]
    out = held_out_patients([f"key {name}".encode() for name in found], key=KEY, holdout=HOLDOUT)
    return [name for name, one in zip(found, out.tolist(), strict=True) if one is held][:n]


def again(released: Path, place: Path) -> Path:
    return Path(shutil.copytree(released, place))


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_one_patient_is_forgotten_and_the_table_waits(one_forgotten):
    _, made = one_forgotten
    assert (made.patients, made.table, made.pending) == (1, "waits", 1)
    assert not (made.folder / "share").exists()
    assert (made.folder / "internal" / "model").is_dir()
    assert verify(made.folder).intact
    assert not verify(made.folder).withdrawn


def test_the_old_release_is_withdrawn_and_its_model_erased(one_forgotten):
    old, made = one_forgotten
    found = verify(old)
    assert found.intact
    assert "new took its place" in found.withdrawn
    assert not (old / "internal" / "model").exists()
    assert (old / "share" / "synthetic.csv").is_file(), "what was released is not undone"
    assert made.erased


def test_no_identifier_is_stored(one_forgotten):
    old, made = one_forgotten
    for folder in (old, made.folder):
        for name, content in contents(folder).items():
            if not name.startswith(
                ("share/synthetic", "internal/synthetic")
            ):  # made-up patients have keys too
                assert b"P00006" not in content, name


def test_forgotten_patients_cannot_be_forgotten_from_a_withdrawn_release(one_forgotten, data, tmp_path):
    old, _ = one_forgotten
    with pytest.raises(RequestError, match="withdrawn already: forget from new"):
        forget(old, ["P00008"], data, tmp_path / "out")


def test_in_test_mode_the_bytes_are_those_of_a_fit_that_never_saw_them(
    released, data, patients, schema, lenient, tmp_path
):
    gone = names(5)
    made = forget(again(released, tmp_path / "old"), gone, data, tmp_path / "new", seed=SEED)
    never = release(
        patients[~patients["id"].isin(gone)],
        schema,
        tmp_path / "never",
        generator="independent",
        settings={"counts": True},
        seed=SEED,
        key=KEY,
        policy=lenient,
        rows=600,
        evaluated_rows=120,
    )
    for part in ("internal/model", "internal/synthetic.csv", "internal/schema.yaml"):
        one, other = made.folder / part, never.folder / part.replace("internal/synthetic", "share/synthetic")
        assert (contents(one) if one.is_dir() else one.read_bytes()) == (
            contents(other) if other.is_dir() else other.read_bytes()
        )
    assert made.table == "waits"
    assert not (made.folder / "share").exists(), "a known seed: nothing is published"


def test_a_published_refit_has_a_fresh_seed(one_forgotten, released):
    _, made = one_forgotten
    seed = json.loads((made.folder / "internal" / "manifest.json").read_text())["seed"]
    assert seed != SEED


def test_a_table_is_published_when_eleven_go_together(released, data, tmp_path):
    old = again(released, tmp_path / "old")
    made = forget(old, names(11), data, tmp_path / "new")
    assert (made.table, made.pending) == ("published", 0)
    assert (made.folder / "share" / "synthetic.csv").is_file()
    next_one = forget(made.folder, names(1, 500), data, tmp_path / "next")
    assert (next_one.table, next_one.pending) == ("waits", 1)


def test_pending_patients_add_up_until_there_are_eleven(one_forgotten, data, patients, tmp_path):
    _, first = one_forgotten
    folder = again(first.folder, tmp_path / "first")
    second = forget(folder, names(4), data, tmp_path / "second")
    assert (second.table, second.pending) == ("waits", 5)
    # The hospital has taken out those forgotten before, and half of those to be forgotten now.
    smaller = tmp_path / "smaller.csv"
    patients[~patients["id"].isin(["P00006", *names(4), *names(3, 200)])].to_csv(smaller, index=False)
    third = forget(second.folder, names(6, 200), smaller, tmp_path / "third")
    assert (third.table, third.pending) == ("published", 0)
    assert verify(third.folder).intact


def test_patients_held_out_hide_nobody(released, data, tmp_path):
    """Ten of them and one who was learnt: two tables would differ by one person."""
    old = again(released, tmp_path / "old")
    made = forget(old, [*names(10, held=True), *names(1)], data, tmp_path / "new")
    assert (made.patients, made.table, made.pending) == (11, "waits", 1)
    assert any("Patients forgotten since the last table" in reason for reason in made.decision.reasons)
    second = forget(made.folder, names(10, 500), data, tmp_path / "second")
    assert (second.patients, second.table, second.pending) == (10, "published", 0)


def test_what_an_earlier_version_kept_counts_nobody(one_forgotten, data, tmp_path):
    folder = again(one_forgotten[1].folder, tmp_path / "first")
    file = folder / "internal" / "forgotten.json"
    kept = json.loads(file.read_bytes())
    kept["pending"] = kept.pop("learnt_by_the_last_table")
    file.write_text(json.dumps(kept))
    seal(folder / "internal")
    (folder / "internal" / "seal.json").chmod(0o600)
    made = forget(folder, names(10), data, tmp_path / "new")
    assert (made.table, made.pending) == ("waits", 10)


def test_a_tree_that_was_moved_is_forgotten_from(released, data, lenient, tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    again(released, first / "old")
    kept = (released.parent / "ehrsynth-register.json").read_text()
    (first / "ehrsynth-register.json").write_text(kept.replace(str(released), str(first / "old")))
    request = first / "old" / "internal" / "request.json"
    request.write_text(request.read_text().replace(str(released.parent), str(first)))
    seal(first / "old" / "internal")
    (first / "old" / "internal" / "seal.json").chmod(0o600)
    first.rename(tmp_path / "archive")
    old = tmp_path / "archive" / "old"
    made = forget(old, names(12), data, tmp_path / "archive" / "new")
    assert made.table == "published"
    shutil.rmtree(old)
    gone = forget(made.folder, names(12, 500), data, tmp_path / "archive" / "newer")
    assert gone.table == "blocked"
    assert any("Earlier tables that are missing" in reason for reason in gone.decision.reasons)
    assert verify(gone.folder).intact
    assert verify(made.folder).withdrawn
    book = tmp_path / "archive" / "ehrsynth-register.json"
    with pytest.raises(RequestError, match="earlier tables"):
        release(data, load_schema(released / "internal" / "given_schema.yaml"), tmp_path / "x", register=book)


def test_nothing_waits_where_nothing_was_published(patients, schema, tmp_path):
    small = patients.head(700)
    path = tmp_path / "small.csv"
    small.to_csv(path, index=False)
    blocked = release(path, schema, tmp_path / "old", generator="independent")
    assert not blocked.decision.released
    made = forget(tmp_path / "old", names(2), path, tmp_path / "new")
    assert (made.table, made.pending) == ("blocked", 0)
    assert not any("Patients forgotten" in reason for reason in made.decision.reasons)
    assert not list((tmp_path / "old" / "internal").glob("synthetic*")), "never left, so erased"


def test_a_patient_held_out_leaves_the_model_and_is_measured_anew(
    measured_anew, released, data, schema, tmp_path
):
    from ehrsynth.tables import read_table
    from ehrsynth.tables.splitting import held_out

    table = read_table(data, schema)
    outside = table["id"][held_out(table, schema, key=KEY, holdout=0.5)].tolist()[:3]
    old = again(released, tmp_path / "old")
    before = contents(old / "internal" / "model")
    made = forget(old, outside, data, tmp_path / "new")
    assert "held out" in made.method
    assert contents(made.folder / "internal" / "model") == before
    holdout = json.loads((made.folder / "internal" / "report.json").read_text())["provenance"]["rows"]
    first = json.loads((old / "internal" / "report.json").read_text())["provenance"]["rows"]
    assert holdout["holdout"] == first["holdout"] - 3
    assert holdout["train"] == first["train"]
    scores = [
        json.loads((f / "internal" / "report.json").read_text())["scores"]["column_shapes"]["details"]
        for f in (made.folder, old)
    ]
    assert scores[0] != scores[1]


def test_the_others_stay_on_their_sides(one_forgotten, released):
    _, made = one_forgotten
    rows = [
        json.loads((f / "internal" / "report.json").read_text())["provenance"]["rows"]
        for f in (made.folder, released)
    ]
    assert rows[1]["patients"] - rows[0]["patients"] == 1
    assert sum(rows[1][side] - rows[0][side] for side in ("train", "holdout")) == 1


def test_attempts_are_counted_on(one_forgotten):
    _, made = one_forgotten
    assert json.loads((made.folder / "internal" / "manifest.json").read_text())["attempt"] == 2


def test_unknown_patients_are_counted_and_not_said(released, data, tmp_path):
    old = again(released, tmp_path / "old")
    with pytest.raises(DataError, match="1 of the 2 patients named are not in the table") as error:
        forget(old, ["P00001", "P99999"], data, tmp_path / "new")
    assert "P99999" not in str(error.value)
    assert not (tmp_path / "new").exists()
    assert not verify(old).withdrawn


def test_another_table_is_refused(released, patients, tmp_path):
    path = tmp_path / "other.csv"
    patients.head(2_000).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"does not hold the patients of .*: it has 2,000 rows"):
        forget(again(released, tmp_path / "old"), ["P00001"], path, tmp_path / "new")


def test_patients_forgotten_before_are_refused(one_forgotten, data, tmp_path):
    _, made = one_forgotten
    with pytest.raises(DataError, match="1 of the 1 patients named were forgotten before"):
        forget(again(made.folder, tmp_path / "old"), ["P00006"], data, tmp_path / "new")


def test_a_taken_place_changes_nothing(released, data, tmp_path):
    old = again(released, tmp_path / "old")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").touch()
    with pytest.raises(OutputError, match="exists already"):
        forget(old, ["P00001"], data, tmp_path / "new")
    assert not verify(old).withdrawn
    assert (old / "internal" / "model").is_dir()


def test_a_changed_table_is_learnt_from_the_beginning(released, patients, tmp_path):
    """A corrected value: the counts of the old model are not those of this table."""
    path = tmp_path / "corrected.csv"
    corrected = patients.copy()
    corrected.loc[30, "age"] = 41 if corrected.loc[30, "age"] != 41 else 42
    corrected.to_csv(path, index=False)
    made = forget(again(released, tmp_path / "old"), names(2), path, tmp_path / "new", seed=SEED)
    assert "from the beginning" in made.method
    model = load_model(made.folder / "internal" / "model")
    assert model.counts.patients == len(pd.read_csv(path)) - 2 - _held_out(made.folder)


def _held_out(folder: Path) -> int:
    return int(json.loads((folder / "internal" / "report.json").read_text())["provenance"]["rows"]["holdout"])


def test_the_old_model_stays_where_that_is_asked_for(released, data, tmp_path):
    old = again(released, tmp_path / "old")
    forget(old, ["P00001"], data, tmp_path / "new", keep_old_model=True)
    model = old / "internal" / "model"
    assert verify(old).withdrawn
    assert verify(model).withdrawn
    with pytest.raises(ModelError, match="was withdrawn"):
        load_model(model)
    (old / "withdrawn.json").write_text("{")
    with pytest.raises(ModelError, match="was withdrawn"):
        load_model(model)
    load_model(Path(shutil.copytree(released, tmp_path / "other")) / "internal" / "model")


def test_a_run_that_ended_before_the_old_release_was_marked_is_finished(
    released, data, tmp_path, monkeypatch
):
    old = again(released, tmp_path / "old")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ehrsynth.deletion.job.withdraw", killed)
        with pytest.raises(KeyboardInterrupt):
            forget(old, ["P00001"], data, tmp_path / "new")
    assert verify(tmp_path / "new").intact
    assert not verify(old).withdrawn
    with pytest.raises(OutputError, match="withdrawn now, and all is done"):
        forget(old, ["P00001"], data, tmp_path / "new")
    assert verify(old).withdrawn


@pytest.mark.parametrize("at", [0, 2, "seal"])
def test_an_erasing_that_was_killed_is_brought_to_its_end(at, released, data, tmp_path, monkeypatch):
    old, seen = again(released, tmp_path / "old"), []
    unlink = Path.unlink

    def killed(*_, **__):
        raise KeyboardInterrupt

    def unlinked(path, **how):
        if path.parent.name == "model":
            seen.append(path)
            if len(seen) > at:
                raise KeyboardInterrupt
        unlink(path, **how)

    with monkeypatch.context() as patch:
        if at == "seal":
            patch.setattr("ehrsynth.release.withdrawal._seal_the_rest", killed)
        else:
            patch.setattr(Path, "unlink", unlinked)
        with pytest.raises(KeyboardInterrupt):
            forget(old, ["P00001"], data, tmp_path / "new")
    found = verify(old)
    assert found.withdrawn
    assert not found.intact
    assert any("to be erased" in problem for problem in found.problems) == (at != "seal")
    with pytest.raises(RequestError, match=r"withdrawn already.*: forget from new"):
        forget(old, ["P00001"], data, tmp_path / "new")
    assert not (old / "internal" / "model").exists()
    assert verify(old).intact
    assert verify(tmp_path / "new").intact


def test_what_killed_runs_had_left_of_the_old_release_goes(released, data, tmp_path, monkeypatch):
    old = again(released, tmp_path / "old")
    dead = tmp_path / f".old.{socket.gethostname()}-{2**22 + 1}-abcd1234"
    shutil.copytree(released / "internal", dead / "internal")
    (tmp_path / ".old.unfinished").mkdir()
    (tmp_path / ".old.unfinished" / "shard 1.piece").write_bytes(b"x")
    forget(old, ["P00001"], data, tmp_path / "new", keep_old_model=True)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".old")) == []
    assert (old / "internal" / "model").is_dir()


def test_an_interrupted_forgetting_leaves_everything_as_it_was(released, data, tmp_path):
    old = again(released, tmp_path / "old")
    before = contents(old)

    def stop(fraction, _message):
        if fraction > 0.9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forget(old, ["P00001"], data, tmp_path / "new", progress=stop)
    assert contents(old) == before
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_the_model_of_a_release_is_forgotten_from_with_the_release(released, data, tmp_path):
    with pytest.raises(RequestError, match="is the model of a release: forget from out"):
        forget(released / "internal" / "model", ["P00001"], data, tmp_path / "new")


def test_without_a_patient_key_rows_are_forgotten(patients, schema, lenient, tmp_path):
    """Two rows are equal: one of them goes, and the other stays where it was."""
    keyless = schema.subset(tuple(n for n in schema.names if n != "id"))
    table = patients.drop(columns="id").head(800)
    table.iloc[5] = table.iloc[2]
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.iloc[[2, 9]].to_csv(tmp_path / "gone.csv", index=False)
    release(tmp_path / "rows.csv", keyless, tmp_path / "old", generator="independent", policy=lenient)
    made = forget(tmp_path / "old", tmp_path / "gone.csv", tmp_path / "rows.csv", tmp_path / "new")
    assert made.patients == 2
    assert verify(tmp_path / "new").intact
    rows = json.loads((tmp_path / "new" / "internal" / "report.json").read_text())["provenance"]["rows"]
    assert rows["patients"] == 798


def test_rows_count_as_learnt_where_their_side_is_known(patients, schema, lenient, tmp_path):
    """Without a key a patient's side hangs on the whole table: it is known of the published one alone."""
    keyless = schema.subset(tuple(n for n in schema.names if n != "id"))
    table = patients.drop(columns="id").head(1_800)
    table.to_csv(tmp_path / "rows.csv", index=False)
    for name, rows in (("gone", slice(0, 40)), ("more", slice(40, 80))):
        table.iloc[rows].to_csv(tmp_path / f"{name}.csv", index=False)
    chosen = {"generator": "independent", "seed": SEED, "key": KEY, "policy": lenient}
    first = release(tmp_path / "rows.csv", keyless, tmp_path / "old", **chosen)
    assert first.decision.released
    table.iloc[:3].to_csv(tmp_path / "few.csv", index=False)
    old = again(tmp_path / "old", tmp_path / "again")
    few = forget(old, tmp_path / "few.csv", tmp_path / "rows.csv", tmp_path / "few")
    assert few.table == "waits"
    assert few.pending <= 3
    more = forget(few.folder, tmp_path / "more.csv", tmp_path / "rows.csv", tmp_path / "more")
    assert (more.table, more.pending) == ("waits", few.pending)
    many = forget(tmp_path / "old", tmp_path / "gone.csv", tmp_path / "rows.csv", tmp_path / "many")
    assert (many.table, many.pending) == ("published", 0)
