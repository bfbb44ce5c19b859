"""Models learnt piece by piece: exact where they count, from a declared subsample elsewhere."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.generators.coverage import Coverage
from ehrsynth.generators.learning import Lesson, learn
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model
from ehrsynth.progress import silent
from ehrsynth.tables import mark_synthetic, read_table, write_table
from ehrsynth.tables.streaming import TableStream, stream, subsample
from ward import WARD, patients


class Nobody:
    """Takes nothing down, but how many patients were seen."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def sees(self, table: pd.DataFrame) -> None:
        self.seen.append(len(table))

    def enter(self, model: object) -> None:
        pass

    def write(self, folder: Path) -> None:
        pass


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TableStream:
    path = tmp_path_factory.mktemp("streamed") / "t.parquet"
    write_table(patients(700), WARD, path)
    found = stream(path, WARD)
    assert found is not None
    return replace(found, at_once=100)


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("independent", {"counts": True}),
        ("autoregressive", {"learner": "neural", "width": 8, "depth": 1, "epochs": 1}),
    ],
)
def test_what_counts_or_takes_steps_learns_from_everybody(
    table: TableStream, name: str, settings: dict, tmp_path: Path
) -> None:
    chosen = recipe(name, settings)
    model = chosen.fit_stream(table, seed=1, most=50)
    model.save(tmp_path / "streamed")
    chosen.fit(read_table(table.place, WARD), WARD, seed=1).save(tmp_path / "whole")
    assert weights(tmp_path / "streamed") == weights(tmp_path / "whole")
    assert (model.coverage.patients, model.coverage.learnt_from) == (700, 700)


@pytest.mark.parametrize(
    ("then", "said"), [(650, "and 650 when"), (790, "and 790 when"), (0, "other values")]
)
def test_a_table_that_changes_between_two_readings_is_refused(
    table: TableStream, then: int, said: str, tmp_path: Path, monkeypatch
) -> None:
    """A database that others write to: patients vanish, are added, or change."""
    from ehrsynth.generators.chain import networks

    changed = (
        patients(then) if then else patients(700).assign(age=lambda t: t["age"].iloc[::-1].clip(upper=60))
    )
    write_table(changed, WARD, tmp_path / "then.parquet")
    count, first = networks.counted, table
    monkeypatch.setattr(networks, "counted", lambda _, progress: count(first, progress))
    live = replace(table, place=tmp_path / "then.parquet")
    chosen = recipe("autoregressive", {"learner": "neural", "width": 8, "depth": 1, "epochs": 1})
    with pytest.raises(RequestError, match=f"the table changed while it was read: .*{said}"):
        chosen.fit_stream(live, seed=1, most=50)


def test_trees_learn_from_a_subsample_and_say_so(table: TableStream, tmp_path: Path) -> None:
    chosen = recipe("autoregressive", {"rounds": 5, "trees": 2})
    model = chosen.fit_stream(table, seed=1, most=200)
    model.save(tmp_path / "streamed")
    assert model.coverage == Coverage(
        700, 200, "a uniform subsample of the patients, drawn by a keyed hash of each"
    )
    assert load_model(tmp_path / "streamed").coverage == model.coverage
    chosen.fit(subsample(table, 200, seed=1), WARD, seed=1).save(tmp_path / "subsample")
    assert weights(tmp_path / "streamed") == weights(tmp_path / "subsample")
    assert "seed" not in json.loads((tmp_path / "streamed" / "model.json").read_text())["coverage"]


def test_a_table_that_fits_is_learnt_as_ever(table: TableStream, tmp_path: Path) -> None:
    chosen = recipe("cart")
    chosen.fit_stream(table, seed=1, most=700).save(tmp_path / "streamed")
    chosen.fit(read_table(table.place, WARD), WARD, seed=1).save(tmp_path / "whole")
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "streamed" / file.name).read_bytes() == file.read_bytes()


def test_synthetic_and_empty_tables_are_refused(tmp_path: Path) -> None:
    write_table(mark_synthetic(patients(50)), WARD, tmp_path / "s.parquet")
    with pytest.raises(RequestError, match="--train-on-synthetic"):
        recipe("independent").fit_stream(stream(tmp_path / "s.parquet", WARD), seed=1, most=10)
    accepted = stream(tmp_path / "s.parquet", WARD, accepted=True)
    assert recipe("independent").fit_stream(accepted, seed=1, most=10).coverage.patients == 50
    assert recipe("cart").fit_stream(accepted, seed=1, most=20).coverage.learnt_from == 20
    write_table(patients(1), WARD, tmp_path / "one.parquet")
    with pytest.raises(NotEnoughData):
        recipe("independent").fit_stream(stream(tmp_path / "one.parquet", WARD), seed=1, most=10)
    with pytest.raises(RequestError, match="at least 2"):
        recipe("independent").fit_stream(accepted, seed=1, most=1)


@pytest.mark.parametrize(("name", "most"), [("t.parquet", 300), ("t.parquet", None), ("t.csv", None)])
def test_a_killed_fit_goes_on_with_its_seed(
    name: str, most: int | None, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch
) -> None:
    from ehrsynth.generators import learning
    from ehrsynth.generators.chain import learning as links

    monkeypatch.setattr(learning, "_WORTH_KEEPING", 1)
    place = tmp_path_factory.mktemp("long") / name
    write_table(patients(700), WARD, place)
    lesson = Lesson(str(place), WARD, recipe("autoregressive", {"rounds": 3, "trees": 2}), most)
    learnt, agreed, step = [], [], links.learn_step

    def dies(ground, number):
        learnt.append(number)
        if len(learnt) == 4:
            raise MemoryError
        return step(ground, number)

    monkeypatch.setattr(links, "learn_step", dies)
    with pytest.raises(MemoryError):
        learn(lesson, tmp_path / "model", seed=None, witness=Nobody(), progress=silent)
    assert not (tmp_path / "model").exists()
    _, patients_read, seed = learn(
        lesson,
        tmp_path / "model",
        seed=None,
        witness=Nobody(),
        progress=silent,
        agree=lambda drawn: agreed.append(drawn) or drawn,
    )
    assert agreed == [seed], "processes that learn together take the seed that is gone on with"
    assert len(learnt) < 4 + len(WARD.learnt)
    assert patients_read == 700
    learn(lesson, tmp_path / "again", seed=seed, witness=Nobody(), progress=silent)
    for file in (tmp_path / "again").iterdir():
        assert (tmp_path / "model" / file.name).read_bytes() == file.read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"model", "again"}


def test_a_table_that_fits_is_read_once_and_seen_as_it_is_learnt(
    table: TableStream, tmp_path: Path, monkeypatch
) -> None:
    """A database may hold other patients a moment later."""
    from ehrsynth.generators import learning

    monkeypatch.setattr(learning, "_WORTH_KEEPING", 1)
    read, whole = [], learning.read_table
    monkeypatch.setattr(learning, "read_table", lambda *a: read.append(a) or whole(*a))
    monkeypatch.delattr(TableStream, "__iter__")
    witness = Nobody()
    learn(
        Lesson(str(table.place), WARD, recipe("cart")),
        tmp_path / "m",
        seed=1,
        witness=witness,
        progress=silent,
    )
    assert len(read) == 1
    assert witness.seen == [700]


def test_a_csv_that_is_longer_than_allowed_is_not_held_in_silence(tmp_path: Path) -> None:
    write_table(patients(60), WARD, tmp_path / "t.csv")
    lesson = Lesson(str(tmp_path / "t.csv"), WARD, recipe("independent"), 50)
    with pytest.raises(RequestError, match="Parquet"):
        learn(lesson, tmp_path / "model", seed=1, witness=Nobody(), progress=silent)
    learn(replace(lesson, at_most=60), tmp_path / "model", seed=1, witness=Nobody(), progress=silent)
