"""Partial patients: what is unknown is missing, what is known is checked."""

from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.errors import DataError
from ehrsynth.schema import Schema
from ehrsynth.tables.partial import read_partial
from ehrsynth.tables.reading import read_table

SCHEMA = Schema(
    citation="made for this test",
    name="ward",
    columns=(
        {"name": "id", "kind": "identifier", "pattern": "P##", "roles": ("patient_key",)},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110},
        {"name": "sex", "kind": "category", "values": ("F", "M")},
        {"name": "seen", "kind": "date", "minimum": "2020-01-01", "maximum": "2020-12-31"},
    ),
    constraints=({"kind": "implication", "if": "age > 100", "then": 'sex == "F"'},),
)


def written(folder: Path, text: str) -> Path:
    (folder / "partial.csv").write_text(text, encoding="utf-8")
    return folder / "partial.csv"


def test_empty_cells_and_absent_columns_are_unknown(tmp_path: Path) -> None:
    table = read_partial(written(tmp_path, "id,seen,age\nP01,2020-05-01,\nP02,,71\n"), SCHEMA)
    assert tuple(table.columns) == SCHEMA.names
    assert table["age"].isna().tolist() == [True, False]
    assert table["seen"].isna().tolist() == [False, True]
    assert table["sex"].isna().all()
    whole = written(tmp_path, "id,age,sex,seen\nP01,5,F,2020-05-01\n")
    pd.testing.assert_frame_equal(read_partial(whole, SCHEMA), read_table(whole, SCHEMA))


def test_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"age": pd.array([None, 71], dtype="Int64")}).to_parquet(tmp_path / "p.parquet")
    table = read_partial(tmp_path / "p.parquet", SCHEMA)
    assert table["age"].tolist() == [pd.NA, 71]
    assert table["sex"].isna().all()


@pytest.mark.parametrize("text", ["age\n400\n", "age,other\n4,5\n", "sex\nX\n"])
def test_what_is_there_is_checked(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        read_partial(written(tmp_path, text), SCHEMA)
