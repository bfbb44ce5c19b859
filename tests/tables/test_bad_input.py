"""Bad input works, or is an error that names the column, the count and the remedy, and no cell."""

import codecs

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ehrsynth.errors import DataError, EhrSynthError, NotEnoughData, RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import read_raw, read_table, table_from_frame

GOOD = "id,age,temp,sex,seen\nA1,70,36.6,F,2020-05-04\nA2,81,37,M,2020-05-05\n"


def schema(**changes):
    columns = {
        "id": {"kind": "identifier", "roles": ["patient_key"]},
        "age": {"kind": "integer", "minimum": 0, "maximum": 120},
        "temp": {"kind": "number", "minimum": 30, "maximum": 45, "decimals": 1, "missing": True},
        "sex": {"kind": "category", "values": ["F", "M"]},
        "seen": {"kind": "date", "minimum": "2000-01-01", "maximum": "2030-01-01"},
    }
    rest = {key: changes.pop(key) for key in ("constraints", "left_out", "missing_codes") if key in changes}
    for name, fields in changes.items():
        columns[name] = {**columns.get(name, {}), **fields}
    return Schema(name="ward", columns=[{"name": n, **fields} for n, fields in columns.items()], **rest)


@pytest.fixture
def read(tmp_path):
    def read(content, **changes):
        path = tmp_path / "ward.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, schema(**changes))

    return read


def problems_of(act, *secrets):
    """The problems of a DataError; neither it nor what is printed with it holds one of the secrets."""
    with pytest.raises(DataError) as caught:
        act()
    assert caught.value.exit_code == 2
    error, told = caught.value, ""
    while error is not None:
        told += f"{error}\n{error!r}\n"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert not [secret for secret in secrets if secret in told]
    return "\n".join(caught.value.problems) or str(caught.value)


def test_a_good_table_is_read(read):
    table = read(GOOD)
    assert table["age"].tolist() == [70, 81]
    assert table["temp"].tolist() == [36.6, 37.0]
    assert [str(d) for d in table.dtypes] == ["string", "Int64", "float64", "category", "datetime64[s]"]


@pytest.mark.parametrize("content", ["", "\n", "  \r\n\n", "\ufeff", "\0\0"])
def test_an_empty_file(read, content):
    assert "is empty" in problems_of(lambda: read(content))


def test_a_header_alone(read):
    with pytest.raises(NotEnoughData, match="a header and no rows"):
        read("id,age,temp,sex,seen\n")


def test_one_row(read):
    assert len(read("id,age,temp,sex,seen\nA1,70,36.6,F,2020-05-04")) == 1


def test_duplicate_column_names(read):
    told = problems_of(lambda: read("id,age,age,sex,seen\nA1,70,71,F,2020-05-04\n"))
    assert "column 'age' stands 2 times" in told


def test_a_missing_column_and_one_that_is_too_much(read):
    told = problems_of(lambda: read("id,Age,temp,sex,seen,note\nA1,70,36,F,2020-05-04,secret\n"), "secret")
    assert "column 'age': is missing from the table; rename 'Age'" in told
    assert "column 'note': is not in the schema" in told
    assert "left_out" in told


def test_a_column_that_is_left_out_is_dropped_in_silence(read):
    table = read(GOOD.replace("seen\n", "seen,note\n").replace("-04\n", "-04,x\n").replace("-05\n", "-05,\n"),
                 left_out=[{"name": "note"}])  # fmt: skip
    assert list(table.columns) == ["id", "age", "temp", "sex", "seen"]


def test_a_file_without_a_header_repeats_no_patient(read, tmp_path):
    row = "A1,70,36.6,F,2020-05-04\n"
    told = problems_of(lambda: read(row * 3), "A1", "36.6", "2020-05-04")
    assert "none of the schema's 5 columns is in the header" in told
    told = problems_of(lambda: read("sex,age,Smithson,7,8\n" * 3), "Smithson")
    assert "3 column(s) are not in the schema" in told
    (tmp_path / "x.csv").write_text("7,7,Smithson,1\n8,7,Millerson,1\n")
    told = problems_of(lambda: read_raw(tmp_path / "x.csv"), "Smithson", "'7'")
    assert "looks like a row of values" in told


def test_a_column_all_missing(read):
    text = "id,age,temp,sex,seen\nA1,70,,F,2020-05-04\nA2,71,,F,2020-05-04\n"
    assert read(text)["temp"].isna().all()
    told = problems_of(lambda: read(text, temp={"missing": False}))
    assert "column 'temp': 2 rows without a value" in told
    assert "missing: true" in told


def test_a_constant_column(read):
    assert read(GOOD.replace("81", "70"))["age"].tolist() == [70, 70]


def test_a_category_outside_the_schema(read):
    told = problems_of(lambda: read(GOOD + "A3,9,36,Foreign,2020-01-01\nA4,9,36,Other,2020-01-01\n"),
                       "Foreign", "Other")  # fmt: skip
    assert told.startswith(
        "column 'sex': 2 rows with a word that is not one of the column's 2 values (2 different)"
    )
    assert "missing_codes" in told


@pytest.mark.parametrize(
    ("word", "column", "says"),
    [
        ("121", "age", "1 row with a value outside 0 to 120"),
        ("-1", "age", "1 row with a value outside 0 to 120"),
        ("70.5", "age", "1 row with a number that is not whole"),
        ("inf", "age", "1 row with an infinite number"),
        ("-Infinity", "temp", "1 row with an infinite number"),
        ("1e999", "temp", "1 row with an infinite number"),
        ("9007199254740993", "age", "1 row with a number above 2^53"),
        ("36.65", "temp", "1 row with more than 1 decimals"),
        ("45.1", "temp", "1 row with a value outside 30.0 to 45.0"),
        ("seventy", "age", "1 row with text instead of a number"),
        ("1_0", "age", "1 row with text instead of a number"),
        ("nan", "temp", "1 row with text instead of a number"),
        ("٣", "age", "1 row with text instead of a number"),
        ('"36,6"', "temp", "1 row with a decimal comma"),
        ("04.05.2020", "seen", "1 row with a value that is not of the form %Y-%m-%d"),
        ("2020-02-30", "seen", "1 row with a value that is not of the form %Y-%m-%d"),
        ("1999-12-31", "seen", "1 row with a value outside 2000-01-01 to 2030-01-01"),
    ],
)
def test_a_cell_that_does_not_fit(read, word, column, says):
    cells = {"id": "A3", "age": "70", "temp": "36", "sex": "F", "seen": "2020-01-01", column: word}
    told = problems_of(lambda: read(GOOD + ",".join(cells.values()) + "\n"))
    assert told.startswith(f"column {column!r}: {says}")
    assert len(told.split("\n")) == 1


def test_noise_in_the_last_bits_is_no_decimal(read):
    assert read(GOOD.replace("36.6", "36.60000000000001"))["temp"].tolist() == [36.6, 37.0]


def test_every_violation_is_listed_at_once(read):
    text = "id,age,temp,sex,seen\nA1,old,36.66,X,1.1.20\nA1,999,,,2020-01-01\n,5,36,F,2020-13-01\n"
    told = problems_of(lambda: read(text), "old", "999", "36.66", "1.1.20").split("\n")
    assert [line.split(":")[0] for line in told] == [
        "column 'id'", "column 'id'", "column 'age'", "column 'age'", "column 'temp'", "column 'sex'",
        "column 'sex'", "column 'seen'",
    ]  # fmt: skip


def test_a_semicolon_file_with_decimal_commas(read):
    table = read("id;age;temp;sex;seen\nA1;70;36,6;F;2020-05-04\nA2;81;37;M;2020-05-05\n")
    assert table["temp"].tolist() == [36.6, 37.0]


def test_commas_and_points_in_one_column_are_not_guessed(read):
    text = "id;age;temp;sex;seen\nA1;70;36,6;F;2020-05-04\nA2;81;37.5;M;2020-05-05\n"
    assert "column 'temp': 1 row with a decimal comma" in problems_of(lambda: read(text))


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "^", " "])
def test_any_delimiter(read, delimiter):
    assert read(GOOD.replace(",", delimiter)).equals(read(GOOD))


def test_a_delimiter_that_breaks_quotes_is_not_taken(tmp_path):
    """A column is called by one quote, another by a bar."""
    for rows in (1, 20_000):  # the sample is the whole file, or a piece of it
        (tmp_path / "a.csv").write_text('"""","|"\n' + "0,0\n" * rows)
        assert list(read_raw(tmp_path / "a.csv").columns) == ['"', "|"]


def test_a_sample_that_ends_within_quotes_tells_the_delimiter(tmp_path):
    long = '"' + "line, and\n" * 8_000 + '"'
    (tmp_path / "a.csv").write_text(f"x;y\n1;2\n3;{long}\n")
    assert list(read_raw(tmp_path / "a.csv")["y"]) == ["2", "line, and\n" * 8_000]


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding(read, encoding):
    text = GOOD.replace(",sex", ",Größe").replace(",F,", ",Frühgeburt,")
    fields = {"values": ["Frühgeburt", "M"]}
    path_schema = {"sex": {**fields, "name": "Größe"}}
    assert read(text.encode(encoding), **path_schema)["Größe"].tolist() == ["Frühgeburt", "M"]


def test_windows_quotes_and_the_five_bytes_that_cp1252_lacks(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x,y\n\x93a\x94,1\n")
    assert read_raw(tmp_path / "a.csv")["x"].tolist() == ["“a”"]
    (tmp_path / "b.csv").write_bytes(b"x,y\n\x81\xe9,1\n")
    assert read_raw(tmp_path / "b.csv")["x"].tolist() == ["\x81é"]


def test_damaged_files_say_so_and_quote_nothing(tmp_path):
    bad = {
        "utf16.csv": codecs.BOM_UTF16_LE + "x,y\nSmithson,1\n".encode("utf-16-le") + b"\x00\xd8\n\x00",
        "packed.csv.gz": b"\x1f\x8b\x08\x00broken Smithson",
        "table.parquet": b"PAR1 Smithson",
        "book.xlsx": b"PK\x03\x04 Smithson",
        "quotes.csv": b'x,y\n"Smithson,1\n2,3\n',
        "ragged.csv": b"x,y\nSmithson,1\n2\n3,4,5\n6,7\n",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        told = problems_of(lambda name=name: read_raw(tmp_path / name), "Smithson")
        assert name in told
    assert "2 of 4 rows" in told


def test_a_character_that_no_text_holds(read):
    with pytest.raises(DataError, match="holds 2 NUL characters"):
        read(GOOD.replace("F,", "F\0\0,", 1))
    with_zero_bytes = GOOD.encode("utf-16")
    assert len(read(with_zero_bytes)) == 2


def test_a_file_that_is_not_there_or_a_folder(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(RequestError, match="cannot be read"):
            read_raw(path)


@pytest.mark.parametrize(
    "name", ["blood pressure", 'say "x"', "🩺", "select", "DROP TABLE", "a,b", " é ", "`", "a;b", "#"]
)
def test_odd_names(tmp_path, name):
    one = Schema(name="odd", columns=[{"name": name, "kind": "integer", "minimum": 0, "maximum": 9}])
    pd.DataFrame({name: [1, 2], "z": [0, 0]}).drop(columns="z").to_csv(tmp_path / "x.csv", index=False)
    assert read_table(tmp_path / "x.csv", one)[name].tolist() == [1, 2]
    (tmp_path / "y.csv").write_text('"' + name.replace('"', '""') + '"\n1\nsecret\n', encoding="utf-8")
    assert f"column {name!r}: 1 row with text" in problems_of(
        lambda: read_table(tmp_path / "y.csv", one), "secret"
    )


def test_five_hundred_columns(tmp_path):
    names = [f"c{i}" for i in range(500)]
    wide = Schema(
        name="wide", columns=[{"name": n, "kind": "integer", "minimum": 0, "maximum": 500} for n in names]
    )
    pd.DataFrame([range(500)] * 3, columns=names).to_csv(tmp_path / "x.csv", index=False)
    assert read_table(tmp_path / "x.csv", wide).shape == (3, 500)
    pd.DataFrame([["x"] * 500], columns=names).to_csv(tmp_path / "x.csv", index=False)
    assert len(problems_of(lambda: read_table(tmp_path / "x.csv", wide)).split("\n")) == 500


def test_a_category_with_five_thousand_values(tmp_path):
    values = [f"v{i}" for i in range(5000)]
    many = Schema(name="many", columns=[{"name": "x", "kind": "category", "values": values}])
    pd.DataFrame({"x": values}).to_csv(tmp_path / "x.csv", index=False)
    assert read_table(tmp_path / "x.csv", many)["x"].cat.codes.tolist() == list(range(5000))


def test_repeated_and_empty_patient_keys(read):
    row = ",70,36.6,F,2020-05-04\n"
    text = "id,age,temp,sex,seen\n" + "".join(
        k + row for k in ("Zoe", "Zoe", "Zed", "Zed", "Zed", "Y", "", " ")
    )
    told = problems_of(lambda: read(text), "Zoe", "Zed")
    assert "column 'id': 5 rows share 2 patient keys: ehrsynth takes one row per patient so far" in told
    assert "column 'id': 2 rows without a patient key" in told


def test_a_patient_key_that_is_a_number(read):
    told = problems_of(
        lambda: read(GOOD.replace("81", "70"), age={"roles": ["patient_key"]}, id={"roles": []})
    )
    assert "column 'age': 2 rows share 1 patient key:" in told


KINDS = {
    "identifier": {"kind": "identifier"},
    "number": {"kind": "integer", "minimum": 0, "maximum": 99},
    "listed": {"kind": "category", "values": ["7", "8", "9"]},
}


@pytest.fixture(params=KINDS)
def keyed(request, tmp_path):
    """Reads a table of patient keys of one kind, of whom each may have three rows."""
    key = {"name": "id", "roles": ["patient_key"], "missing": True, **KINDS[request.param]}
    age = {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120}
    declared = Schema(name="keyed", columns=[key, age], rows_per_patient=3)

    def keyed(*keys):
        path = tmp_path / "keyed.csv"
        path.write_text("id,age\n" + "".join(f"{k},5{at}\n" for at, k in enumerate(keys)))
        return read_table(path, declared)

    return keyed


def test_an_empty_patient_key_is_refused_whatever_its_column_says(keyed):
    assert "column 'id': 2 rows without a patient key" in problems_of(lambda: keyed(7, "", 8, ""))


def test_as_many_rows_of_a_patient_are_taken_as_are_declared(keyed):
    assert len(keyed(7, 7, 8, 7, 9, 9)) == 6
    told = problems_of(lambda: keyed(7, 7, 8, 7, 9, 9, 7))
    assert "column 'id': 4 rows share 1 patient key: ehrsynth takes at most 3 rows per patient here" in told


def test_constraints_are_counted(read):
    rules = [{"kind": "inequality", "low": "temp", "high": "age"},
             {"kind": "implication", "if": "age > 80", "then": 'sex == "F"'}]  # fmt: skip
    text = GOOD + "A3,20,36.6,F,2020-05-04\nA4,21,36.6,F,2020-05-04\n"
    told = problems_of(lambda: read(text, constraints=rules), "36.6")
    assert "2 rows against the constraint 'temp' <= 'age'" in told
    assert '1 row against the constraint if age > 80 then sex == "F"' in told


def test_a_wrong_column_is_not_blamed_twice(read):
    rules = [{"kind": "present_together", "columns": ["temp", "age"]}]
    told = problems_of(lambda: read(GOOD.replace("36.6", "warm"), constraints=rules), "warm")
    assert told.count("column") == 1 + told.count("the column has no")


def test_missing_codes(read):
    text = GOOD.replace("36.6", "-9.0").replace(",37,", ",NA,")
    assert read(text, missing_codes=["NA"], temp={"missing_codes": ["-9"]})["temp"].isna().all()


def test_words_of_a_float_column_match_whole_ones(read):
    fields = {"sex": {"values": ["1", "2"]}}
    text = GOOD.replace(",F,", ", 1.0 ,").replace(",M,", ",2.0,")
    assert read(text, **fields)["sex"].tolist() == ["1", "2"]
    assert "column 'sex': 1 row with" in problems_of(lambda: read(text.replace(",2.0,", ",2,"), **fields))


def test_booleans_are_read_in_any_case(read):
    text = (
        GOOD.replace("seen\n", "seen,alive\n").replace("-04\n", "-04,TRUE\n").replace("-05\n", "-05,False\n")
    )
    table = read(text, alive={"kind": "boolean"})
    assert table["alive"].tolist() == [True, False]


FRAME = {
    "id": ["A1", "A2"],
    "age": [70, 81],
    "temp": np.array([36.6, np.nan], np.float32),
    "sex": pd.Categorical(["F", "M"]),
    "seen": pd.to_datetime(["2020-05-04", "2020-05-05"]),
}


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("age", [70.0, 81.0]),
        ("age", pd.array([70, 81], dtype="UInt8")),
        ("age", ["70", 81]),
        ("temp", ["36.6", None]),
        ("seen", [pd.Timestamp("2020-05-04").date(), pd.Timestamp("2020-05-05").date()]),
        ("seen", ["2020-05-04", "2020-05-05"]),
        ("sex", ["F", "M"]),
    ],
)
def test_frames_of_any_type(column, cells):
    usual = table_from_frame(pd.DataFrame(FRAME), schema())
    assert table_from_frame(pd.DataFrame({**FRAME, column: cells}), schema()).equals(usual)
    assert usual["temp"].iloc[0] == 36.6


def test_frames_that_do_not_fit():
    frame = pd.DataFrame(FRAME)
    nested = frame.assign(age=[["Smithson"], []])
    assert "column 'age'" in problems_of(lambda: table_from_frame(nested, schema()), "Smithson")
    mixed = frame.assign(age=[7, "Smithson"])
    assert "1 row with text" in problems_of(lambda: table_from_frame(mixed, schema()), "Smithson")
    twice = pd.concat([frame, frame[["age"]]], axis=1)
    assert "stands 2 times" in problems_of(lambda: table_from_frame(twice, schema()))
    late = frame.assign(seen=pd.to_datetime(["2020-05-04 10:00", "2020-05-05 00:00"]))
    assert "1 row with a time of day" in problems_of(lambda: table_from_frame(late, schema()))
    zone = frame.assign(seen=frame["seen"].dt.tz_localize("Europe/Berlin"))
    assert "2 rows with a time zone" in problems_of(lambda: table_from_frame(zone, schema()))
    with pytest.raises(NotEnoughData):
        table_from_frame(frame.iloc[:0], schema())


def test_parquet_of_every_plain_type(tmp_path):
    from datetime import datetime, timedelta
    from decimal import Decimal

    moment = datetime(2020, 5, 4, 10, 30)  # noqa: DTZ001
    arrays = {
        "i": pa.array([1, None], pa.uint8()),
        "f": pa.array([1.0, 2.5], pa.float32()),
        "d": pa.array([Decimal("1.50"), Decimal("2.00")]),
        "b": pa.array([True, None]),
        "s": pa.array([" x ", None], pa.large_string()),
        "c": pa.array(["u", "v"]).dictionary_encode(),
        "t": pa.array([moment, None], pa.timestamp("ms")),
        "day": pa.array([moment.date(), None], pa.date32()),
        "clock": pa.array([moment.time(), None], pa.time32("s")),
        "long": pa.array([timedelta(hours=-1), None], pa.duration("s")),
        "none": pa.array([None, None], pa.null()),
    }
    pq.write_table(pa.table(arrays), tmp_path / "x.parquet")
    raw = read_raw(tmp_path / "x.parquet")
    assert {name: raw[name].tolist() for name in raw} == {
        "i": ["1", ""], "f": ["1", "2.5"], "d": ["1.5", "2"], "b": ["true", ""], "s": [" x ", ""],
        "c": ["u", "v"],
        "t": ["2020-05-04T10:30:00", ""], "day": ["2020-05-04", ""], "clock": ["10:30:00", ""],
        "long": ["-PT3600S", ""], "none": ["", ""],
    }  # fmt: skip
    fits = Schema(name="typed", columns=[
        {"name": "i", "kind": "category", "values": ["1"], "missing": True},
        {"name": "f", "kind": "category", "values": ["1.0", "2.5"]},
        {"name": "d", "kind": "number", "minimum": 0, "maximum": 9, "decimals": 1},
        {"name": "b", "kind": "boolean", "true": "Y", "false": "N", "missing": True},
        {"name": "s", "kind": "category", "values": ["x"], "missing": True},
        {"name": "c", "kind": "identifier"},
        {"name": "t", "kind": "datetime", "minimum": "2020-01-01T00:00:00", "maximum": "2021-01-01T00:00:00",
         "format": "%d.%m.%Y %H:%M", "missing": True},
        {"name": "day", "kind": "date", "minimum": "2020-01-01", "maximum": "2021-01-01",
         "format": "%d.%m.%Y", "missing": True},
        {"name": "clock", "kind": "duration", "minimum": 0, "maximum": 1440, "unit": "minutes",
         "format": "HH:MM", "missing": True},
        {"name": "long", "kind": "duration", "minimum": -9, "maximum": 9, "unit": "hours", "missing": True},
        {"name": "none", "kind": "integer", "minimum": 0, "maximum": 9, "missing": True},
    ])  # fmt: skip
    table = read_table(tmp_path / "x.parquet", fits)
    assert table["clock"].iloc[0] == 630
    assert table["long"].iloc[0] == -1
    assert table["b"].iloc[0]
    assert table["t"].iloc[0] == pd.Timestamp(moment)


def test_nested_parquet_is_refused(tmp_path):
    nested = pa.table({"x": pa.array([["Smithson"]]), "y": pa.array([{"a": 1}]), "z": pa.array([1])})
    pq.write_table(nested, tmp_path / "x.parquet")
    told = problems_of(lambda: read_raw(tmp_path / "x.parquet"), "Smithson")
    assert "column 'x' is of type list" in told
    assert "column 'y' is of type struct" in told
    assert "'z'" not in told


def test_unnamed_columns(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,,\n1,2,,\n3,4,,\n")
    assert list(read_raw(tmp_path / "x.csv").columns) == ["a", "b"]
    (tmp_path / "x.csv").write_text(",a\n0,2\n1,4\n")
    assert "no name" in problems_of(lambda: read_raw(tmp_path / "x.csv"))


def test_what_excel_writes(tmp_path):
    (tmp_path / "x.csv").write_bytes('\ufeffsep=;\r\n"a";b\r\n"x;""y""\r\nz";1,5\r\n\r\n'.encode())
    raw = read_raw(tmp_path / "x.csv")
    assert raw.to_dict("list") == {"a": ['x;"y"\r\nz'], "b": ["1,5"]}


def test_a_damaged_sidecar_is_not_passed_over(tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    (tmp_path / "x.csv.origin.json").write_text("{")
    with pytest.raises(EhrSynthError, match="does not say whether"):
        read_raw(tmp_path / "x.csv")
