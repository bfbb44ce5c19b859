"""Looks at the same patients are counted, wherever the table lies and however it was saved."""

import json

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.release.looks import enter_look, looks, marks_of
from ehrsynth.release.register import Entry, add, entries
from ehrsynth.schema import IdentifierColumn, IntegerColumn, NumberColumn, Schema
from ehrsynth.tables.reading import read_table

KEY = IdentifierColumn(name="id", pattern="P###", roles=("patient_key",))
SCHEMA = Schema(
    name="ward",
    columns=(
        KEY,
        IntegerColumn(name="age", minimum=0, maximum=120),
        NumberColumn(name="lab", minimum=0, maximum=9, decimals=2, missing=True),
    ),
)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    lab = np.where(rng.random(60) < 0.2, np.nan, rng.uniform(0, 9, 60).round(2))
    return pd.DataFrame({"id": [f"P{n:03d}" for n in range(60)], "age": rng.integers(0, 9, 60), "lab": lab})


def marks(frame, tmp_path, schema=SCHEMA, **how):
    frame.to_csv(tmp_path / "t.csv", index=False, **how)
    return marks_of(read_table(tmp_path / "t.csv", schema), schema)


def test_order_names_and_spelling_of_a_file_do_not_matter(frame, tmp_path) -> None:
    book = tmp_path / "register.json"
    first = marks(frame, tmp_path)
    assert looks(book, first) == 0
    enter_look(book, first, tmp_path / "out", released=False)
    turned = frame.sample(frac=1, random_state=3)[["lab", "id", "age"]]
    assert looks(book, marks(turned, tmp_path, float_format="%.4f")) == 1
    numbered = frame.assign(id=[f"P{n:03d}" for n in range(500, 560)])
    assert looks(book, marks(numbered, tmp_path)) == 1
    renamed = SCHEMA.changed(name="another")
    assert looks(book, marks(frame, tmp_path, renamed)) == 1
    # A column less: the same patients, by their keys.
    fewer = SCHEMA.subset(("id", "age"))
    assert looks(book, marks(frame, tmp_path, fewer)) == 1
    enter_look(book, marks(turned, tmp_path), tmp_path / "elsewhere", released=True)
    assert looks(book, first) == 2


def test_other_patients_are_others(frame, tmp_path) -> None:
    book = tmp_path / "register.json"
    enter_look(book, marks(frame, tmp_path), tmp_path / "out", released=True)
    assert looks(book, marks(frame.head(59), tmp_path)) == 0
    # Running numbers occur in many tables: under another name they tell nothing.
    other = frame.assign(age=frame["age"] + 1)
    assert looks(book, marks(other, tmp_path, SCHEMA.changed(name="another"))) == 0
    # One of two equal rows is not both.
    plain = SCHEMA.subset(("age", "lab"))
    twice = pd.concat([frame, frame.head(1)], ignore_index=True)
    enter_look(book, marks(frame, tmp_path, plain), tmp_path / "o", released=True)
    assert looks(book, marks(twice, tmp_path, plain)) == 0


def test_what_is_kept_says_nothing_without_the_salt_and_differs_between_registers(frame, tmp_path) -> None:
    found = []
    first = marks(frame, tmp_path)
    for name in ("one", "two"):
        enter_look(tmp_path / name, first, tmp_path / "out", released=False)
        text = (tmp_path / name).read_text()
        (look,) = json.loads(text)["looks"]["kept"]
        assert look["what"] == "blocked"
        assert not {plain.hex() for plain in first.plain} & {*look["marks"]}
        assert "P001" not in text
        found.append(set(look["marks"]))
    assert not found[0] & found[1]
    assert "plain" not in (tmp_path / "one").read_text()


def test_looks_and_entries_share_a_register(frame, tmp_path) -> None:
    book, first = tmp_path / "register.json", marks(frame, tmp_path)
    entry = Entry.now("release", tmp_path / "out", None, None, schema="x")
    add(book, "ward", entry, delta=1.0, cap=10)
    enter_look(book, first, tmp_path / "out", released=True)
    add(book, "ward", entry, delta=1.0, cap=10)
    assert entries(book, "ward") == (entry, entry)
    assert looks(book, first) == 1


@pytest.mark.parametrize("held", ['{"salt": "xyz", "kept": []}', '{"salt": "", "kept": [3]}', "[3]"])
def test_damaged_looks_are_not_begun_anew(frame, tmp_path, held) -> None:
    book, first = tmp_path / "register.json", marks(frame, tmp_path)
    book.write_text(f'{{"format": 1, "data": {{}}, "looks": {held}}}')
    before = book.read_text()
    with pytest.raises(RequestError, match="damaged"):
        enter_look(book, first, tmp_path / "out", released=True)
    assert book.read_text() == before


def test_a_register_from_before_looks_were_kept_is_read(frame, tmp_path) -> None:
    book, first = tmp_path / "register.json", marks(frame, tmp_path)
    old = {"date": "2026-01-01", "what": "release", "place": "out", "table": "", "spent": None}
    book.write_text(json.dumps({"format": 1, "data": {"ward": [old]}}))
    assert looks(book, first) == 0
    enter_look(book, first, tmp_path / "out", released=True)
    assert looks(book, first) == 1
    assert entries(book, "ward")[0].schema == ""
