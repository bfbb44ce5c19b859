"""Many rows drawn piece by piece are one table, whoever draws them, and however often the run was killed."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.engine import InProcess, using
from ehrsynth.engine.checkpoints import folder_of
from ehrsynth.errors import ConditionError, ModelError, RequestError
from ehrsynth.generators import bulk
from ehrsynth.generators.bulk import Wish, draw_table
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model
from ehrsynth.progress import silent
from ehrsynth.tables import is_synthetic, read_table
from ehrsynth.tables.writing import write_tables
from ward import WARD, patients

WISH = Wish(100, None, 5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bulk") / "model"
    recipe("independent", None).fit(patients(300), WARD, seed=1).save(folder)
    return folder


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PART", 40)


class Backwards(InProcess):
    """Another order of work, as many workers have."""

    def each(self, function, shared, items):
        for place in reversed(range(len(items))):
            yield place, function(shared, items[place])


class Killed(InProcess):
    """Ends after so many pieces, as a killed run does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def each(self, function, shared, items):
        for place, item in enumerate(items):
            if place == self.after:
                raise MemoryError
            yield place, function(shared, item)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.csv.gz"])
@pytest.mark.parametrize("origin_column", [False, True])
def test_pieces_are_one_table(model: Path, name: str, origin_column: bool, tmp_path: Path) -> None:
    wish = replace(WISH, origin_column=origin_column)
    facts, seed = draw_table(model, wish, tmp_path / name, silent)
    fitted = load_model(model)
    drawn = [fitted.sample(p.size, seed=p.seed).table for p in bulk.pieces(wish, 5, ".csv")]
    assert [len(piece) for piece in drawn] == [40, 40, 20]
    expected = pd.concat(drawn, ignore_index=True)
    expected["id"] = pd.Series([f"P{number:04d}" for number in range(1, 101)], dtype=pd.StringDtype())
    read = read_table(tmp_path / name, WARD)
    pd.testing.assert_frame_equal(read, expected, check_flags=False)
    assert is_synthetic(read)
    assert (facts.rows, facts.effective_sample_size, facts.probability, seed) == (100, 100, 1, 5)
    # The same bytes as all of it written at once, where the pieces are not to be seen in the file.
    if not name.endswith("parquet"):
        whole = expected.copy()
        whole.attrs = dict(read.attrs)
        write_tables([whole], WARD, tmp_path / f"whole-{name}", origin_column=origin_column)
        assert (tmp_path / f"whole-{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_a_small_sample_is_what_sample_gives(model: Path, tmp_path: Path) -> None:
    draw_table(model, replace(WISH, rows=40), tmp_path / "small.csv", silent)
    expected = load_model(model).sample(40, seed=5).table
    pd.testing.assert_frame_equal(read_table(tmp_path / "small.csv", WARD), expected, check_flags=False)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_neither_order_nor_a_kill_changes_a_byte(model: Path, name: str, tmp_path: Path) -> None:
    draw_table(model, WISH, tmp_path / "calm" / name, silent)
    with using(Backwards()):
        draw_table(model, WISH, tmp_path / "backwards" / name, silent)
    out = tmp_path / "killed" / name
    for after in (1, 0, 1):
        with pytest.raises(MemoryError), using(Killed(after)):
            draw_table(model, WISH, out, silent)
        assert not out.exists()
    assert len(list(folder_of(out).glob("*.piece"))) == 2
    draw_table(model, WISH, out, silent)
    assert not folder_of(out).exists()
    calm = (tmp_path / "calm" / name).read_bytes()
    assert (tmp_path / "backwards" / name).read_bytes() == calm
    assert out.read_bytes() == calm


def test_a_run_without_a_seed_goes_on_with_the_one_it_drew(model: Path, tmp_path: Path) -> None:
    wish, out = replace(WISH, seed=None), tmp_path / "rows.csv"
    with pytest.raises(MemoryError), using(Killed(2)):
        draw_table(model, wish, out, silent)
    _, seed = draw_table(model, wish, out, silent)
    draw_table(model, replace(wish, seed=seed), tmp_path / "again.csv", silent)
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()


def test_another_wish_or_model_does_not_take_its_pieces(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    with pytest.raises(MemoryError), using(Killed(2)):
        draw_table(model, WISH, out, silent)
    other = replace(WISH, where="age > 60")
    draw_table(model, other, out, silent)
    assert (read_table(out, WARD)["age"] > 60).all()


def test_a_condition_is_met_in_every_piece(model: Path, tmp_path: Path) -> None:
    facts, _ = draw_table(model, replace(WISH, where='sex == "F"'), tmp_path / "f.parquet", silent)
    read = read_table(tmp_path / "f.parquet", WARD)
    assert set(read["sex"]) == {"F"}
    assert facts.probability == pytest.approx(0.4, abs=0.1)


def test_what_cannot_be_done_is_said_before_the_work(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConditionError):
        draw_table(model, replace(WISH, where="age > 200"), tmp_path / "a.csv", silent)
    with pytest.raises(RequestError):
        draw_table(model, replace(WISH, where="no_such > 2"), tmp_path / "a.csv", silent)
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match="model"):
        draw_table(tmp_path / "model", WISH, tmp_path / "a.csv", silent)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_progress_runs_on_to_one(model: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    draw_table(model, WISH, tmp_path / "a.csv", lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
