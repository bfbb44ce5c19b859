"""Tables read piece by piece are those read whole; subsamples are uniform and do not depend on the pieces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import DataError, RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import is_synthetic, mark_synthetic, read_table, write_table
from ehrsynth.tables.streaming import TableStream, read_at_most, stream, subsample
from ward import WARD, patients

KEYLESS = WARD.subset(tuple(column.name for column in WARD.learnt))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streaming") / "t.parquet"
    write_table(patients(500), WARD, path)
    return path


def opened(path: Path | str, schema: Schema = WARD, at_once: int = 90) -> TableStream:
    found = stream(path, schema)
    assert found is not None
    return replace(found, at_once=at_once)


@pytest.mark.parametrize("at_once", [1, 90, 500, 10_000])
def test_pieces_are_the_table(file: Path, at_once: int) -> None:
    pieces = list(opened(file, at_once=at_once if at_once > 1 else 7))
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), read_table(file, WARD))
    assert opened(file).rows == 500


def test_a_database_is_read_in_pieces_too(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/w.db?table=t"
    write_table(patients(200), WARD, url)
    pieces = list(opened(url))
    assert [len(piece) for piece in pieces] == [90, 90, 20]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), patients(200))


def test_other_files_are_no_streams(tmp_path: Path, file: Path) -> None:
    write_table(patients(20), WARD, tmp_path / "t.csv")
    assert stream(tmp_path / "t.csv", WARD) is None
    (tmp_path / "damaged.parquet").write_bytes(file.read_bytes()[:-9])
    assert stream(tmp_path / "damaged.parquet", WARD) is None


def test_the_mark_stays(tmp_path: Path) -> None:
    write_table(mark_synthetic(patients(100)), WARD, tmp_path / "s.parquet")
    assert all(map(is_synthetic, opened(tmp_path / "s.parquet")))
    assert is_synthetic(subsample(opened(tmp_path / "s.parquet"), 20, seed=1))


def test_all_that_is_wrong_is_added_up(tmp_path: Path) -> None:
    table = patients(300)
    wide = WARD.changed(
        columns=tuple(
            column.model_copy(update={"maximum": 500}) if column.name == "age" else column
            for column in WARD.columns
        )
    )
    table.loc[[3, 250], "age"] = 400
    table.loc[280, "id"] = table.loc[10, "id"]
    write_table(table, wide, tmp_path / "bad.parquet")
    given = []
    with pytest.raises(DataError) as caught:
        given.extend(opened(tmp_path / "bad.parquet"))
    assert not given  # the first piece is wrong already
    text = str(caught.value)
    assert "2 rows with a value outside 0 to 110" in text
    assert "1 patient key(s) come again" in text
    assert "400" not in text


@pytest.mark.parametrize(
    "key",
    [{"kind": "identifier"}, {"kind": "integer", "minimum": 0, "maximum": 999}],
    ids=lambda k: k["kind"],
)
def test_rows_of_a_patient_count_over_all_pieces(tmp_path: Path, key: dict[str, object]) -> None:
    age = {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120}
    three = Schema(
        name="t", columns=({"name": "id", "roles": ("patient_key",), **key}, age), rows_per_patient=3
    )
    table = pd.DataFrame({"id": [str(k % 100) for k in range(300)], "age": 50})
    table.to_parquet(tmp_path / "t.parquet")
    assert sum(map(len, opened(tmp_path / "t.parquet", three))) == 300
    more = pd.concat([table, table.iloc[:2]])
    more.to_parquet(tmp_path / "more.parquet")
    with pytest.raises(DataError) as caught:
        list(opened(tmp_path / "more.parquet", three))
    assert "2 patient key(s) come again further down: ehrsynth takes at most 3 rows" in str(caught.value)


def test_a_missing_column_is_said_once(tmp_path: Path) -> None:
    write_table(patients(300), WARD, tmp_path / "t.parquet")
    more = WARD.changed(columns=(*WARD.columns, WARD.columns[1].model_copy(update={"name": "gender"})))
    with pytest.raises(DataError) as caught:
        list(opened(tmp_path / "t.parquet", more))
    assert str(caught.value).count("'gender'") == 1
    assert "is missing from the table" in str(caught.value)


@pytest.mark.parametrize("schema", [WARD, KEYLESS])
def test_a_subsample_does_not_depend_on_the_pieces(tmp_path: Path, schema: Schema) -> None:
    write_table(patients(500)[list(schema.names)], schema, tmp_path / "t.parquet")
    found = [subsample(opened(tmp_path / "t.parquet", schema, n), 60, seed=4) for n in (13, 90, 1000)]
    assert len(found[0]) == 60
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)
    assert not found[0].equals(subsample(opened(tmp_path / "t.parquet", schema), 60, seed=5))


def test_the_order_of_rows_and_other_patients_do_not_matter(tmp_path: Path) -> None:
    table = patients(500)
    write_table(table, WARD, tmp_path / "a.parquet")
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    write_table(shuffled, WARD, tmp_path / "b.parquet")
    one = subsample(opened(tmp_path / "a.parquet"), 60, seed=4)
    pd.testing.assert_frame_equal(one, subsample(opened(tmp_path / "b.parquet"), 60, seed=4))
    gone = one["id"].iloc[0]
    write_table(table[table["id"] != gone].reset_index(drop=True), WARD, tmp_path / "c.parquet")
    without = subsample(opened(tmp_path / "c.parquet"), 60, seed=4)
    assert len(set(without["id"]) - set(one["id"])) == 1
    assert set(one["id"]) - set(without["id"]) == {gone}


@pytest.mark.parametrize("schema", [WARD, KEYLESS])
def test_a_subsample_is_uniform(tmp_path: Path, schema: Schema) -> None:
    table = patients(200)
    table["day of death"] = pd.array([None] * 200, "Int64")
    table["dead"] = pd.array([False] * 200, "boolean")
    table["age"] = pd.array(np.arange(200) % 100, "Int64")
    write_table(table[list(schema.names)], schema, tmp_path / "t.parquet")
    drawn = [subsample(opened(tmp_path / "t.parquet", schema), 50, seed=s)["age"] for s in range(120)]
    times = np.bincount(pd.concat(drawn).astype(int), minlength=100)
    # 120 draws of 50 of 200, two rows an age: 60 expected, with a standard deviation of 6.7.
    assert ((times - 60) ** 2 / 45).sum() == pytest.approx(100, abs=5 * np.sqrt(200))


def test_a_table_that_has_no_more_is_taken_whole(file: Path) -> None:
    pd.testing.assert_frame_equal(subsample(opened(file), 500, seed=1), read_table(file, WARD))


def test_no_such_table(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    with pytest.raises(RequestError):
        stream(f"sqlite:///{tmp_path}/none.db?table=t", WARD)


def test_at_most_so_many_are_held(file: Path, tmp_path: Path) -> None:
    table, rows = read_at_most(file, WARD, 60, seed=1)
    assert (len(table), rows) == (60, 500)
    pd.testing.assert_frame_equal(table, subsample(opened(file), 60, seed=1))
    table, rows = read_at_most(file, WARD, None, seed=1)
    assert (len(table), rows) == (500, 500)
    write_table(patients(100), WARD, tmp_path / "t.csv")
    table, rows = read_at_most(tmp_path / "t.csv", WARD, 60, seed=1)
    assert (len(table), rows) == (100, 100)  # the evaluation itself takes fewer
