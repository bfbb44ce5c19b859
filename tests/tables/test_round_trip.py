"""What is written is read back exactly, for every column kind, odd name and format."""

import datetime as dt
import gzip
import itertools
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given

import strategies
from ehrsynth.schema import Schema
from ehrsynth.tables import is_synthetic, mark_synthetic, read_raw, read_table, table_from_frame, write_table

same = pd.testing.assert_frame_equal


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@given(drawn=strategies.schemas_with_tables(min_rows=1))
def test_every_table_is_read_back_exactly(drawn, ending):
    schema, table = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{ending}"
        write_table(table, schema, path)
        same(read_table(path, schema), table, check_exact=True)


@given(drawn=strategies.schemas_with_tables(min_rows=1))
def test_a_file_is_cut_into_the_same_columns_without_its_schema(drawn):
    schema, table = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_table(table, schema, path)
        assert tuple(read_raw(path).columns) == schema.names


@given(drawn=strategies.schemas_with_tables(min_rows=1))
def test_a_table_in_memory_passes_as_a_frame(drawn):
    schema, table = drawn
    same(table_from_frame(table, schema), table, check_exact=True)


def one(kind, words, **fields):
    return Schema(name="one", columns=[{"name": "x", "kind": kind, "missing": True, **fields}]), words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        one("integer", ["-3", "0", "12"], minimum=-5, maximum=20),
        one("integer", [str(-(2**53) + 1), "0"], minimum=-(2**53) + 1, maximum=0),
        one("number", ["0.1", "0.3", "12.25", "-0.01", "100"], minimum=-1, maximum=100, decimals=2),
        one("number", ["0.000000001", "5"], minimum=0, maximum=9, decimals=9),
        one("category", ["=1+1", "-x", "@a", 'say "no"', "a,b", "two\nlines"], values=["=1+1", "-x", "@a",
            'say "no"', "a,b", "two\nlines", "cr\rhere"]),
        one("boolean", ["Ja", "Nein"], true="Ja", false="Nein"),
        one("date", ["31.01.2020", "29.02.2020"], minimum="1000-01-01", maximum="2100-01-01",
            format="%d.%m.%Y"),
        one("date", ["01.01.1001"], minimum="1000-01-01", maximum="2100-01-01",
            format="%d.%m.%Y"),
        one("datetime", ["2020-01-31 23:59:59"], minimum="2000-01-01T00:00:00", maximum="2021-01-01T00:00:00",
            format="%Y-%m-%d %H:%M:%S"),
        one("duration", ["01:30", "99:59"], minimum=0, maximum=6000, unit="minutes", format="HH:MM"),
        one("duration", ["-00:00:05", "01:00:00"], minimum=-10, maximum=4000, unit="seconds",
            format="HH:MM:SS"),
        one("duration", ["PT1.5H", "PT0H"], minimum=0, maximum=9, decimals=1, unit="hours",
            format="ISO 8601"),
        one("duration", ["1.5"], minimum=0, maximum=9, decimals=1, unit="weeks"),
    ],
)  # fmt: skip
def test_canonical_words_come_back_as_they_were(tmp_path, schema, words):
    raw = pd.DataFrame({"x": [*words, ""]})
    table = table_from_frame(raw, schema)
    write_table(table, schema, tmp_path / "x.csv")
    assert read_raw(tmp_path / "x.csv")["x"].tolist() == [*words, ""]
    for ending in ("csv", "parquet"):
        write_table(table, schema, tmp_path / f"x.{ending}")
        same(read_table(tmp_path / f"x.{ending}", schema), table, check_exact=True)


def test_the_mark_of_a_synthetic_table_goes_through_every_file(tmp_path):
    schema, words = one("integer", ["1", "2"], minimum=0, maximum=9)
    real = table_from_frame(pd.DataFrame({"x": words}), schema)
    for ending, column in itertools.product((".csv", ".csv.gz", ".parquet"), (False, True)):
        path = tmp_path / f"{column}{ending}"
        write_table(mark_synthetic(real), schema, path, origin_column=column)
        assert is_synthetic(read_table(path, schema))
        assert is_synthetic(read_raw(path))
        write_table(real, schema, path, origin_column=column)
        assert not is_synthetic(read_table(path, schema))
        assert not Path(f"{path}.origin.json").exists()
    assert not is_synthetic(real)


def test_the_origin_column_alone_marks_a_table(tmp_path):
    schema, words = one("integer", ["1", "2"], minimum=0, maximum=9)
    path = tmp_path / "x.csv"
    write_table(
        mark_synthetic(table_from_frame(pd.DataFrame({"x": words}), schema)), schema, path, origin_column=True
    )
    Path(f"{path}.origin.json").unlink()
    assert read_raw(path)["_origin"].tolist() == ["synthetic", "synthetic"]
    assert is_synthetic(read_table(path, schema))
    path.write_text(path.read_text().replace("synthetic", "real"))
    assert not is_synthetic(read_table(path, schema))


def test_equal_tables_give_equal_bytes(tmp_path):
    schema, words = one("date", ["2020-01-31"], minimum=dt.date(2000, 1, 1), maximum=dt.date(2021, 1, 1))
    table = table_from_frame(pd.DataFrame({"x": words}), schema)
    for name in ("a", "b"):
        write_table(table, schema, tmp_path / f"{name}.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"x\n2020-01-31\n"
