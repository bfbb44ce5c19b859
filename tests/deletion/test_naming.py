"""Who is to be forgotten: by key from lists and tables, by row where there is no key."""

import pytest

from ehrsynth.deletion.naming import hashes_of_keys, named
from ehrsynth.errors import DataError, RequestError
from ehrsynth.release.census import hashed_patients
from ehrsynth.tables import write_table
from ward import WARD, patients

KEY = b"key"
ROWS = WARD.subset(tuple(n for n in WARD.names if n != "id"))
TABLE = patients(30)
IDS = TABLE["id"].tolist()


@pytest.mark.parametrize(
    "text",
    [
        f"{IDS[3]}\n{IDS[5]}\n",
        f"\ufeff{IDS[5]}\r\n\r\n  {IDS[3]}  \r\n{IDS[3]}",
        f"id\n{IDS[3]}\n{IDS[5]}\n",
        f"age;id\n80;{IDS[3]}\n71;{IDS[5]}\n",
        f"ward\tid\tage\nA\t{IDS[3]}\t80\n\t{IDS[5]}\t71\n\t\t\n",
        f"name\tid\nMeier\t{IDS[3]}\n\t{IDS[5]}\n",
        f"\tid\n0\t{IDS[3]}\n1\t{IDS[5]}\n",
        f"id;\n{IDS[3]};\n{IDS[5]};\n",
        f'"why","id"\n"withdrew,\nin writing","{IDS[3]}"\n"","{IDS[5]}"\n',
        f'"id","why"\n"{IDS[3]}","withdrew, in writing"\n"{IDS[5]}",""\n',
    ],
)
def test_lists_and_tables_of_keys(text, tmp_path):
    file = tmp_path / "ids.txt"
    file.write_text(text, encoding="utf-8")
    found = named(file, TABLE, WARD, KEY)
    assert found.rows.nonzero()[0].tolist() == [3, 5]
    hashed = hashed_patients(TABLE, WARD, KEY)
    assert {*found.hashes} == {hashed[3], hashed[5]}
    assert found.absent == 0
    assert repr(IDS[3]) not in repr(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"name\tid\nMeier\t{IDS[3]}\nJones {IDS[5]}\n", "1 of its 2 rows have more or fewer cells"),
        (f"id\tage\n{IDS[3]}\t80\t1\n{IDS[5]}\t71\n", "1 of its 2 rows have more or fewer cells"),
        (f"name\tid\nMeier\t{IDS[3]}\nJones\t \n", "1 of its 2 rows have no 'id'"),
        (f"id,age,id\n{IDS[3]},80,{IDS[5]}\n", "2 columns 'id'"),
        (f'id,why\n{IDS[3]},"withdrew\n{IDS[5]},\n', "a quotation mark is left open"),
    ],
)
def test_a_row_that_does_not_say_who_is_meant_is_an_error(text, said, tmp_path):
    file = tmp_path / "ids.tsv"
    file.write_text(text, encoding="utf-8")
    for read in (lambda: named(file, TABLE, WARD, KEY), lambda: hashes_of_keys(file, "id", KEY)):
        with pytest.raises(DataError) as raised:
            read()
        whole = str(raised.value)
        assert said in whole
        assert not any(word in whole for word in (*IDS, "Jones", "Meier", "withdrew"))


def test_those_who_are_no_longer_there_have_the_hash_that_they_had():
    found = named([IDS[3], IDS[5]], TABLE.drop(index=3).reset_index(drop=True), WARD, KEY)
    assert {*found.hashes} == {hashed_patients(TABLE, WARD, KEY)[k] for k in (3, 5)}
    assert found.absent == 1
    assert found.rows.sum() == 1


def test_nobody_is_an_error(tmp_path):
    for text in ("", "\n \n", "id\n"):
        (tmp_path / "ids").write_text(text)
        with pytest.raises(DataError, match="nobody is named"):
            named(tmp_path / "ids", TABLE, WARD, KEY)
    (tmp_path / "ids").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="no text in UTF-8"):
        named(tmp_path / "ids", TABLE, WARD, KEY)


def test_without_a_key_rows_are_named_and_of_equal_rows_the_last(tmp_path):
    table = patients(10).drop(columns="id").iloc[[0, 1, 0, 2, 0]].reset_index(drop=True)
    write_table(table.iloc[[0, 3]].reset_index(drop=True), ROWS, tmp_path / "rows.csv")
    found = named(tmp_path / "rows.csv", table, ROWS, KEY)
    assert found.rows.nonzero()[0].tolist() == [3, 4]
    hashed = hashed_patients(table, ROWS, KEY)
    assert {*found.hashes} == {hashed[3], hashed[4]}
    gone = named(tmp_path / "rows.csv", table.iloc[:3].reset_index(drop=True), ROWS, KEY)
    assert gone.absent == 1, "the third of the equal rows may stay: of three two are left, and one goes"


def test_without_a_key_words_are_refused():
    with pytest.raises(RequestError, match="no patient key"):
        named(["P0001"], TABLE.drop(columns="id"), ROWS, KEY)
