"""Forgetting from a model that `fit` made: exact, certified, withdrawn, and able to forget again."""

import json
import shutil
import stat
from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.deletion.job import Forgotten, forget
from ehrsynth.deletion.verify import verify
from ehrsynth.errors import BudgetExceeded, DataError, ModelError, NotEnoughData, OutputError, RequestError
from ehrsynth.generators import learning
from ehrsynth.generators.learning import Lesson, learn
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import FILES, load_model
from ehrsynth.progress import silent
from ehrsynth.release.books import Books
from ehrsynth.release.model_record import ModelRecord
from ehrsynth.release.policy import load_policy
from ehrsynth.release.register import NAME, entries, total
from ehrsynth.schema import CategoryColumn, Schema
from ehrsynth.tables import write_table

SEED = 5
GONE = ["P00007", "P00123"]
SHARDS = {"generator": "cart", "settings": {"leaf": 20}, "shards": 3}
KINDS = [("sharded", SHARDS), ("independent", {"counts": True}), ("independent", {}), ("cart", {"leaf": 20})]


def fitted(
    data: Path, schema: Schema, out: Path, name: str, settings: dict, *, seed: int | None = SEED
) -> Path:
    chosen = recipe(name, settings)
    books = Books(out.parent / NAME, schema, load_policy())
    record = ModelRecord(books, chosen, out, accepted=False, seeded=seed is not None)
    learn(Lesson(str(data), schema, chosen), out, seed=seed, witness=record, progress=silent)
    return out


def of_model(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture
def others(patients: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "others.csv"
    patients[~patients["id"].isin(GONE)].to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("name", "settings"), KINDS)
def test_in_test_mode_the_bytes_are_those_of_a_fit_that_never_saw_them(
    name: str, settings: dict, data: Path, others: Path, schema: Schema, tmp_path: Path
) -> None:
    old = fitted(data, schema, tmp_path / "old", name, settings)
    before = of_model(old)
    made = forget(old, GONE, data, tmp_path / "new", seed=SEED)
    assert of_model(made.folder) == of_model(fitted(others, schema, tmp_path / "never", name, settings))
    assert of_model(made.folder) != before
    assert (made.table, made.patients, made.decision) == ("none", 2, None)


@pytest.fixture
def forgotten(data: Path, schema: Schema, tmp_path: Path) -> tuple[Path, Forgotten]:
    old = fitted(data, schema, tmp_path / "old", "sharded", SHARDS, seed=None)
    return old, forget(old, GONE, data, tmp_path / "new")


def test_only_their_shards_are_learnt_again(forgotten: tuple[Path, Forgotten]) -> None:
    _, made = forgotten
    assert "of 3 shards were learnt again" in made.method
    assert load_model(made.folder).sample(20, seed=1).table.shape[0] == 20


def test_the_new_model_is_certified_and_the_old_one_withdrawn(
    forgotten: tuple[Path, Forgotten], tmp_path: Path
) -> None:
    old, made = forgotten
    (tmp_path / "ids.txt").write_text("\n".join(GONE))
    found = verify(made.folder, patients=tmp_path / "ids.txt")
    assert found.intact
    assert not found.withdrawn
    assert verify(made.folder / "certificate.json").intact
    assert "new took its place" in verify(old).withdrawn
    assert verify(old).intact
    assert not any((old / name).exists() for name in FILES)
    assert sorted(made.erased) == sorted(FILES)
    with pytest.raises(ModelError, match="was withdrawn"):
        load_model(old)
    with pytest.raises(RequestError, match="withdrawn already: forget from new"):
        forget(old, ["P00008"], "any.csv", tmp_path / "newer")
    (tmp_path / "ids.txt").write_text("P00009")
    assert "1 of the 1 patients named" in verify(made.folder, patients=tmp_path / "ids.txt").problems[0]


def test_a_certificate_altered_in_any_byte_fails(forgotten: tuple[Path, Forgotten]) -> None:
    file = forgotten[1].folder / "certificate.json"
    content = file.read_bytes()
    for place in range(0, len(content), 97):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not verify(file.parent).intact, place


def test_another_model_under_the_certificate_is_found(
    forgotten: tuple[Path, Forgotten], data: Path, schema: Schema, tmp_path: Path
) -> None:
    _, made = forgotten
    other = fitted(data, schema, tmp_path / "other", "independent", {})
    for name, content in of_model(other).items():
        (made.folder / name).write_bytes(content)
    assert "another model" in " ".join(verify(made.folder).problems)


def test_what_is_kept_is_for_the_owner_and_names_nobody(forgotten: tuple[Path, Forgotten]) -> None:
    for folder in (forgotten[0], forgotten[1].folder):
        assert stat.S_IMODE((folder / "internal").stat().st_mode) == 0o700
        for file in folder.rglob("*"):
            assert file.is_dir() or b"P00007" not in file.read_bytes(), file


def test_more_are_forgotten_later_and_nobody_twice(
    forgotten: tuple[Path, Forgotten], data: Path, others: Path, tmp_path: Path
) -> None:
    _, first = forgotten
    with pytest.raises(DataError, match="1 of the 2 patients named were forgotten before"):
        forget(first.folder, ["P00007", "P00500"], data, tmp_path / "twice")
    second = forget(first.folder, ["P00500"], others, tmp_path / "second")
    assert verify(second.folder).intact
    assert verify(first.folder).withdrawn
    chain = json.loads((second.folder / "certificate.json").read_bytes())["before"]
    assert chain["certificate_sha256"] is not None


def test_another_table_is_said(data: Path, schema: Schema, patients: pd.DataFrame, tmp_path: Path) -> None:
    old = fitted(data, schema, tmp_path / "old", "independent", {})
    patients.head(2_000).to_csv(tmp_path / "fewer.csv", index=False)
    with pytest.raises(DataError, match="does not hold the patients"):
        forget(old, GONE, tmp_path / "fewer.csv", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert load_model(old)


def test_changed_values_are_learnt_anew_and_not_subtracted(
    data: Path, schema: Schema, patients: pd.DataFrame, tmp_path: Path
) -> None:
    old = fitted(data, schema, tmp_path / "old", "independent", {"counts": True})
    patients.assign(age=patients["age"] - 1).to_csv(tmp_path / "younger.csv", index=False)
    made = forget(old, GONE, tmp_path / "younger.csv", tmp_path / "new")
    assert "all was learnt again" in made.method


def test_a_run_that_ended_before_the_old_one_was_marked_is_ended(
    data: Path, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fitted(data, schema, tmp_path / "old", "independent", {})

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ehrsynth.deletion.job.withdraw", dies)
        with pytest.raises(KeyboardInterrupt):
            forget(old, GONE, data, tmp_path / "new")
    mistaken = shutil.copytree(old, tmp_path / "mistaken")
    with pytest.raises(
        OutputError, match="but 1 of the 2 patients named are not forgotten: forget them from"
    ):
        forget(mistaken, [GONE[0], "P00009"], data, tmp_path / "new")
    assert verify(mistaken).withdrawn, "who was named then is forgotten"
    with pytest.raises(OutputError, match="all is done"):
        forget(old, GONE, data, tmp_path / "new")
    assert verify(old).withdrawn


def test_a_model_that_says_nothing_of_its_patients(data: Path, schema: Schema, tmp_path: Path) -> None:
    from ehrsynth.tables import read_table

    recipe("independent").fit(read_table(data, schema), schema, seed=1).save(tmp_path / "bare")
    with pytest.raises(RequestError, match="no model with its internal folder"):
        forget(tmp_path / "bare", GONE, data, tmp_path / "new")
    assert verify(tmp_path / "bare").intact
    (tmp_path / "bare" / "schema.yaml").write_text("changed")
    assert not verify(tmp_path / "bare").intact


def test_a_table_read_in_pieces_is_refused_with_the_remedy(
    patients: pd.DataFrame, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ehrsynth.tables import table_from_frame

    write_table(table_from_frame(patients, schema), schema, tmp_path / "ward.parquet")
    (tmp_path / "ward.parquet.origin.json").unlink(missing_ok=True)
    chosen, out = recipe("independent"), tmp_path / "old"
    record = ModelRecord(Books(tmp_path / NAME, schema, load_policy()), chosen, out, False, seeded=False)
    monkeypatch.setattr(learning, "_WORTH_KEEPING", 1)
    lesson = Lesson(str(tmp_path / "ward.parquet"), schema, chosen, at_most=100, accepted=True)
    learn(lesson, out, seed=None, witness=record, progress=silent)
    with pytest.raises(RequestError, match="read in pieces"):
        forget(out, GONE, tmp_path / "ward.parquet", tmp_path / "new")
    assert verify(out).intact


def test_a_private_model_is_fitted_again_and_epsilon_adds_up(
    data: Path, schema: Schema, tmp_path: Path
) -> None:
    public = schema.changed(rows={"value": 2_400, "source": "public"})
    old = fitted(data, public, tmp_path / "old", "dp-independent", {"epsilon": 3.0}, seed=None)
    once = total(entries(tmp_path / NAME, public.name), 1e-5).epsilon
    made = forget(old, GONE, data, tmp_path / "new")
    assert "all was learnt again" in made.method
    assert load_model(made.folder).privacy is not None
    kept = entries(tmp_path / NAME, public.name)
    assert len(kept) == 2
    assert total(kept, 1e-5).epsilon > once
    with pytest.raises(RequestError, match="seed"):
        forget(made.folder, ["P00500"], data, tmp_path / "third", seed=1)
    (tmp_path / NAME).unlink()
    with pytest.raises(RequestError, match="is not where it was written"):
        forget(made.folder, ["P00700"], data, tmp_path / "lost")


def test_forgetting_stops_at_the_cap_of_epsilon(data: Path, schema: Schema, tmp_path: Path) -> None:
    public = schema.changed(rows={"value": 2_400, "source": "public"})
    old = fitted(data, public, tmp_path / "old", "dp-independent", {"epsilon": 9.0}, seed=None)
    with pytest.raises(BudgetExceeded):
        forget(old, GONE, data, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not verify(old).withdrawn


def test_a_forgetting_that_was_cut_off_goes_on(
    data: Path, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ehrsynth.generators import sharded as shards
    from ehrsynth.release import going_on

    monkeypatch.setattr(going_on, "WORTH_KEEPING", 1)
    old = fitted(data, schema, tmp_path / "old", "sharded", SHARDS)
    many, keep, learnt = [f"P{number:05d}" for number in range(30)], shards._kept, []

    def dies(*given: object) -> object:
        learnt.append(1)
        if len(learnt) == 3:
            raise MemoryError
        return keep(*given)

    monkeypatch.setattr(shards, "_kept", dies)
    with pytest.raises(MemoryError):
        forget(old, many, data, tmp_path / "new")
    assert not verify(old).withdrawn
    made = forget(old, many, data, tmp_path / "new")
    assert len(learnt) == 4, "two shards were kept, the third is learnt once more"
    assert verify(made.folder).intact
    assert not list(tmp_path.glob(".new.*"))


def test_a_schema_that_still_lists_what_only_the_forgotten_held_is_told(
    patients: pd.DataFrame, schema: Schema, tmp_path: Path
) -> None:
    sex = patients["sex"].where(patients["id"] != GONE[0], "X")
    patients.assign(sex=sex).to_csv(tmp_path / "rare.csv", index=False)
    given = {"source": "data", "values": ("F", "M", "X")}
    own = [CategoryColumn(**c.model_dump() | given) if c.name == "sex" else c for c in schema.columns]
    listed = schema.changed(columns=own)
    fitted(tmp_path / "rare.csv", listed, tmp_path / "1", "independent", {"counts": True})
    made = forget(tmp_path / "1", [GONE[1]], tmp_path / "rare.csv", tmp_path / "2")
    assert not made.still_listed
    made = forget(tmp_path / "2", [GONE[0]], tmp_path / "rare.csv", tmp_path / "3")
    assert made.still_listed == ("sex",)


def test_a_file_cannot_tell_patients_without_a_key(
    data: Path, schema: Schema, patients: pd.DataFrame, tmp_path: Path
) -> None:
    keyless = schema.subset(tuple(n for n in schema.names if n != "id"))
    patients.drop(columns="id").to_csv(tmp_path / "rows.csv", index=False)
    patients.drop(columns="id").iloc[:2].to_csv(tmp_path / "gone.csv", index=False)
    fitted(tmp_path / "rows.csv", keyless, tmp_path / "old", "independent", {})
    made = forget(tmp_path / "old", tmp_path / "gone.csv", tmp_path / "rows.csv", tmp_path / "new")
    assert verify(made.folder).intact
    with pytest.raises(RequestError, match="no patient key"):
        verify(made.folder, patients=tmp_path / "gone.csv")


def test_where_nobody_remains_the_model_goes_and_nothing_takes_its_place(
    data: Path, schema: Schema, patients: pd.DataFrame, tmp_path: Path
) -> None:
    old = fitted(data, schema, tmp_path / "old", "independent", {})
    with pytest.raises(NotEnoughData, match="is withdrawn, its model is erased, and nothing takes its place"):
        forget(old, list(patients["id"][1:]), data, tmp_path / "new")
    assert "nothing took its place" in verify(old).withdrawn
    assert verify(old).intact
    assert not (old / "weights.safetensors").exists()
    assert not (tmp_path / "new").exists()
