"""A file is written whole or not at all, and never with a value that its format loses."""

import errno
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ehrsynth.errors import DataError, OutputError, RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import is_synthetic, mark_synthetic, read_table, table_from_frame, write_table
from ehrsynth.tables import writing as module
from ehrsynth.tables.origin import COLUMN

SCHEMA = Schema(
    name="ward",
    columns=[
        {"name": "id", "kind": "identifier"},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120, "missing": True},
        {"name": "temp", "kind": "number", "minimum": 30, "maximum": 45, "decimals": 2, "missing": True},
        {"name": "say", "kind": "category", "values": ["yes, sir", "=1"], "missing": True},
    ],
)
FRAME = pd.DataFrame({"id": ["a", "b"], "age": [70.0, None], "temp": [36.6, 37.0], "say": ["yes, sir", None]})


@pytest.fixture
def table():
    return table_from_frame(FRAME, SCHEMA)


def test_the_words_are_short_and_have_no_noise(table, tmp_path):
    write_table(table, SCHEMA, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == 'id,age,temp,say\na,70,36.6,"yes, sir"\nb,,37,\n'


def test_parquet_holds_types_that_others_read(table, tmp_path):
    write_table(mark_synthetic(table), SCHEMA, tmp_path / "x.parquet", origin_column=True)
    found = pq.read_table(tmp_path / "x.parquet")
    assert [str(f.type).split("<")[0] for f in found.schema] == [
        "string",
        "int64",
        "double",
        "dictionary",
        "string",
    ]
    assert found.to_pylist()[1] == {"id": "b", "age": None, "temp": 37.0, "say": None, "_origin": "synthetic"}


def test_an_ending_that_says_nothing_is_refused(table, tmp_path):
    with pytest.raises(RequestError, match="parquet"):
        write_table(table, SCHEMA, tmp_path / "x.xlsx")


def test_the_schemas_own_origin_column_is_not_overwritten(tmp_path):
    own = Schema(name="o", columns=[{"name": "_origin", "kind": "category", "values": ["a"]}])
    table = table_from_frame(pd.DataFrame({"_origin": ["a"]}), own)
    write_table(table, own, tmp_path / "x.csv")
    with pytest.raises(RequestError, match="rename"):
        write_table(table, own, tmp_path / "x.csv", origin_column=True)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("synthetic", [True, False])
def test_a_full_disk_leaves_nothing_behind(table, tmp_path, monkeypatch, ending, synthetic):
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*_, **__):
        raise full

    monkeypatch.setattr(module.pq, "ParquetWriter", fail)
    monkeypatch.setattr(module, "islice", fail)
    with pytest.raises(OutputError, match="disk is full"):
        write_table(mark_synthetic(table) if synthetic else table, SCHEMA, tmp_path / f"x.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_survives_a_failure(table, tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    write_table(mark_synthetic(table), SCHEMA, path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    monkeypatch.setattr(module, "islice", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_table(mark_synthetic(table), SCHEMA, path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_folders_on_the_way_are_made(table, tmp_path):
    write_table(table, SCHEMA, tmp_path / "a" / "b" / "x.csv")
    assert Path(tmp_path / "a" / "b" / "x.csv").is_file()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_value_that_reads_as_missing_is_not_written(tmp_path, ending):
    clash = Schema(
        name="c",
        columns=[{"name": "age", "kind": "integer", "minimum": 0, "maximum": 99, "missing_codes": ["99"]}],
    )
    table = pd.DataFrame({"age": pd.array([98, 99, 99], dtype="Int64")})
    with pytest.raises(DataError, match="'age': 2 values do not survive") as caught:
        write_table(table, clash, tmp_path / f"x.{ending}")
    assert "99" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_format_that_loses_the_seconds_is_not_written(tmp_path):
    bounds = {"minimum": "2000-01-01T00:00:00", "maximum": "2030-01-01T00:00:00"}
    short = Schema(
        name="s", columns=[{"name": "x", "kind": "datetime", "format": "%Y-%m-%d %H:%M", **bounds}]
    )
    table = pd.DataFrame(
        {"x": pd.Series(["2020-01-01T10:00:00", "2020-01-01T10:00:01"], dtype="datetime64[s]")}
    )
    with pytest.raises(DataError, match="'x': 1 values do not survive"):
        write_table(table, short, tmp_path / "x.csv")


def test_a_value_off_the_grid_or_a_foreign_type_is_not_written(table, tmp_path):
    with pytest.raises(DataError, match="'temp': 1 values do not survive"):
        write_table(table.assign(temp=[36.6, 36.613]), SCHEMA, tmp_path / "x.csv")
    with pytest.raises(DataError, match="temp"):
        write_table(table.assign(temp=["36", "37"]), SCHEMA, tmp_path / "x.csv")
    with pytest.raises(DataError, match="'id' is absent"):
        write_table(table.drop(columns="id"), SCHEMA, tmp_path / "x.csv")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_real_and_synthetic_rows_in_one_table_are_marked_row_by_row(table, tmp_path, ending):
    words = ["real"] * (len(table) - 1) + ["synthetic"]
    mixed = mark_synthetic(table.assign(**{COLUMN: words}))
    write_table(mixed, SCHEMA, tmp_path / f"mixed{ending}", origin_column=True)
    raw = (
        pd.read_csv(tmp_path / "mixed.csv")
        if ending == ".csv"
        else pd.read_parquet(tmp_path / "mixed.parquet")
    )
    assert raw[COLUMN].tolist() == words
    back = read_table(tmp_path / f"mixed{ending}", SCHEMA)
    assert is_synthetic(back)
    assert len(back) == len(table)
    if ending == ".csv":
        assert "real patients and rows made" in (tmp_path / "mixed.csv.origin.json").read_text()
