"""SDV's metadata corrects a proposed schema, unless the table contradicts it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ehrsynth.schema import Schema
from ehrsynth.schema.sdv_metadata import from_sdv, to_sdv
from ehrsynth.tables import infer_schema, read_table, table_from_frame, write_table

ROWS = 60


def column(words: list[str], **said: Any) -> tuple[Schema, str]:
    """What is proposed for one column `x` beside another, and the comment, when SDV says this of it."""
    metadata = {"METADATA_SPEC_VERSION": "V1", "columns": {"x": said, "other": {"sdtype": "categorical"}}}
    cells = [words[i % len(words)] for i in range(ROWS)]
    frame = pd.DataFrame({"x": cells, "other": [("a", "b")[i % 2] for i in range(ROWS)]})
    schema, comments = infer_schema(frame, name="t", known=from_sdv(metadata, name="t"))
    return schema, comments.get("x", "")


def test_numbers_that_are_names_become_a_category() -> None:
    schema, comment = column(["1", "2", "3", "14", "25"] * 4, sdtype="categorical")
    assert schema.column("x").kind == "category"
    assert set(schema.column("x").values) == {"1", "2", "3", "14", "25"}
    assert "category, as SDV's metadata says" in comment


def test_bounds_and_values_and_decimals_are_taken() -> None:
    words = [str(n) for n in range(20, 50)]
    found = column(words, sdtype="numerical", decimal_places=0, range_min=0, range_max=120)[0].column("x")
    assert (found.kind, found.minimum, found.maximum) == ("integer", 0, 120)
    found = column(words, sdtype="numerical", decimal_places=2, range_min=0.5, range_max=120.25)[0].column(
        "x"
    )
    assert (found.kind, found.minimum, found.maximum, found.decimals) == ("number", 0.5, 120.25, 2)
    found = column(["a", "b"], sdtype="ordinal", range_values=["b", "a", "c"])[0].column("x")
    assert (found.values, found.ordered) == (("b", "a", "c"), True)


def test_what_the_metadata_leaves_open_stays_as_guessed() -> None:
    words = [f"{n}.5" for n in range(20, 50)]
    cells = pd.DataFrame({"x": words, "y": ["a", "b"] * 15})
    guess = infer_schema(cells, name="t")[0].column("x")
    found = column(words, sdtype="numerical")[0].column("x")
    assert (found.minimum, found.maximum, found.decimals) == (guess.minimum, guess.maximum, guess.decimals)
    assert found.source == "data"


def test_the_metadata_settles_which_number_is_the_day() -> None:
    words = [f"0{1 + i % 9}/0{1 + i % 7}/2020" for i in range(30)]
    for form in ("%d/%m/%Y", "%m/%d/%Y"):
        said = {"sdtype": "datetime", "datetime_format": form}
        known = from_sdv({"METADATA_SPEC_VERSION": "V2", "tables": {"t": {"columns": {"x": said}}}}, name="t")
        frame = pd.DataFrame({"x": words, "y": ["a", "b"] * 15})
        schema, _ = infer_schema(frame, name="t", known=known)
        found = schema.column("x")
        if found.kind == "date":
            assert found.format == form


@pytest.mark.parametrize(
    "said",
    [
        {"sdtype": "numerical", "decimal_places": 0, "range_min": 0, "range_max": 30},
        {"sdtype": "numerical", "range_min": 9, "range_max": 1},
        {"sdtype": "categorical", "range_values": ["1", "2"]},
        {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
        {"sdtype": "boolean"},
    ],
)
def test_what_the_column_contradicts_is_not_followed_and_it_is_said(said: dict[str, Any]) -> None:
    words = [str(n) for n in range(20, 50)]
    schema, comment = column(words, **said)
    assert schema.column("x").kind == "integer"
    assert "not followed" in comment
    frame = pd.DataFrame({"x": words, "other": ["a", "b"] * 15})
    assert len(table_from_frame(frame, schema)) == 30


def test_a_kind_that_is_not_learnt_is_left_out() -> None:
    schema, _ = column(["1", "2", "3"], sdtype="phone_number", pii=True)
    assert [c.name for c in schema.left_out] == ["x"]
    assert "SDV" in schema.left_out[0].reason


def test_missing_is_allowed_where_either_says_so() -> None:
    assert column(["20", "30", ""], sdtype="numerical", range_is_nullable=False)[0].column("x").missing
    assert column(["20", "30"], sdtype="numerical", range_is_nullable=True)[0].column("x").missing
    assert not column(["20", "30"], sdtype="numerical", range_is_nullable=False)[0].column("x").missing


def test_the_key_is_the_one_that_is_named() -> None:
    ids = {"patient_id": [f"P{i}" for i in range(ROWS)], "sample": [f"S{i:03}" for i in range(ROWS)]}
    frame = pd.DataFrame({**ids, "age": [str(20 + i % 50) for i in range(ROWS)]})
    columns = {"patient_id": {"sdtype": "id"}, "sample": {"sdtype": "id"}}
    metadata = {"METADATA_SPEC_VERSION": "V1", "primary_key": "sample", "columns": columns}
    assert infer_schema(frame, name="t")[0].patient_key == "patient_id"
    schema, comments = infer_schema(frame, name="t", known=from_sdv(metadata, name="t"))
    assert schema.patient_key == "sample"
    assert "does not name this column" in comments["age"]


def test_a_schema_that_went_out_comes_back_with_its_bounds(tmp_path) -> None:
    rng = np.random.default_rng(1)
    true = Schema(
        name="t",
        columns=[
            {"name": "key", "kind": "identifier", "roles": ["patient_key"]},
            {"name": "age", "kind": "integer", "minimum": 0, "maximum": 130},
            {"name": "hb", "kind": "number", "minimum": 0.5, "maximum": 29.9, "decimals": 1, "missing": True},
            {"name": "ward", "kind": "category", "values": ["1", "2", "3"], "ordered": True},
            {"name": "seen", "kind": "date", "minimum": "1990-01-01", "maximum": "2030-12-31"},
        ],
    )
    frame = pd.DataFrame(
        {
            "key": [f"A{i}" for i in range(ROWS)],
            "age": rng.integers(30, 80, ROWS),
            "hb": rng.normal(13, 1, ROWS).round(1),
            "ward": rng.choice(["1", "2"], ROWS),
            "seen": [f"2020-01-{1 + i % 28:02}" for i in range(ROWS)],
        }
    )
    write_table(table_from_frame(frame, true), true, tmp_path / "t.csv")
    known = from_sdv(to_sdv(true), name="t")
    found, _ = infer_schema(tmp_path / "t.csv", name="t", known=known)
    for column_ in true.learnt:
        same = found.column(column_.name)
        fields = {"kind", "minimum", "maximum", "decimals", "values", "ordered", "missing"}
        wanted = column_.model_dump(include=fields)
        assert same.model_dump(include=fields) == wanted
    assert len(read_table(tmp_path / "t.csv", found)) == ROWS
