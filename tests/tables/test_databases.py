"""Tables in databases: what is written comes back; passwords and patients stay where they are."""

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("sqlalchemy")
import sqlalchemy as sa

from cohort import COHORT, cohort
from ehrsynth.errors import DataError, NotEnoughData, OutputError, RequestError
from ehrsynth.tables import is_synthetic, mark_synthetic, read_raw, read_table, write_table
from ehrsynth.tables.databases import DatabaseTable, located, without_passwords

KINDS = ["sqlite", "duckdb", "postgresql"]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    pytest.importorskip("duckdb_engine" if request.param == "duckdb" else "sqlalchemy")
    return f"{request.param}:///{tmp_path}/registry.db"


def run(database: str, *statements: str) -> None:
    engine = sa.create_engine(DatabaseTable.parse(f"{database}?table=any").url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def drop(database: str, *names: str) -> None:
    run(database, *(f'DROP TABLE IF EXISTS "{name}"' for name in names))


@pytest.mark.parametrize("synthetic", [False, True])
def test_what_is_written_comes_back(database: str, synthetic: bool) -> None:
    drop(database, "Patients", "ehrsynth_origin")
    table = cohort(60, 1)
    table = mark_synthetic(table) if synthetic else table
    write_table(table, COHORT, f"{database}?table=Patients")
    read = read_table(f"{database}?table=Patients", COHORT)
    expected = table.sort_values("id").reset_index(drop=True)
    pd.testing.assert_frame_equal(read, expected, check_flags=False)
    assert is_synthetic(read) == synthetic
    assert set(read_raw(f"{database}?table=Patients").columns) == set(COHORT.names)


def test_a_table_that_is_there_is_never_touched(database: str) -> None:
    drop(database, "here")
    run(database, "CREATE TABLE here (x INTEGER)", "INSERT INTO here VALUES (5)")
    with pytest.raises(OutputError, match="exists already"):
        write_table(cohort(5, 1), COHORT, f"{database}?table=here")
    assert read_raw(f"{database}?table=here")["x"].tolist() == ["5"]


def test_a_write_that_fails_leaves_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ehrsynth.tables import databases

    drop(database, "half")

    def breaks(connection, made, rows) -> None:
        if connection.dialect.name != "duckdb":
            connection.execute(made.insert(), rows.slice(0, 3).to_pylist())
        raise sa.exc.DBAPIError("INSERT", {"sex": "a patient's"}, Exception("a patient's value"))

    monkeypatch.setattr(databases, "_insert", breaks)
    with pytest.raises(OutputError, match="nothing was left behind") as caught:
        write_table(cohort(5, 1), COHORT, f"{database}?table=half")
    assert "a patient's" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(RequestError, match="no table or view"):
        read_raw(f"{database}?table=half")


def test_views_other_types_and_bad_cells(database: str) -> None:
    run(database, "DROP VIEW IF EXISTS seen", 'DROP TABLE IF EXISTS "odd"')
    run(
        database,
        "CREATE TABLE odd (age INTEGER, dose NUMERIC(8, 3), moment TIMESTAMP, day DATE, word TEXT,"
        " flag BOOLEAN)",
        "INSERT INTO odd VALUES (71, 2.500, '2020-05-06 07:08:09', '2020-05-06', 'x,y', TRUE)",
        "INSERT INTO odd VALUES (NULL, NULL, NULL, NULL, NULL, NULL)",
        "CREATE VIEW seen AS SELECT * FROM odd",
    )
    raw = read_raw(f"{database}?table=seen")
    assert raw.iloc[0].tolist() == ["71", "2.5", "2020-05-06T07:08:09", "2020-05-06", "x,y", "true"] or (
        database.startswith("sqlite") and raw.iloc[0]["age"] == "71"  # a view of SQLite has no types
    )
    assert raw.iloc[1].tolist() == [""] * 6
    with pytest.raises(DataError, match="does not fit"):
        read_table(f"{database}?table=odd", COHORT)


def test_an_empty_table_is_said(database: str) -> None:
    drop(database, "empty")
    run(database, "CREATE TABLE empty (x INTEGER)")
    with pytest.raises(NotEnoughData, match="no rows"):
        read_raw(f"{database}?table=empty")


def test_a_schema_of_the_database_is_named_before_a_dot(postgresql: str) -> None:
    run(postgresql, "CREATE SCHEMA IF NOT EXISTS ward", "DROP TABLE IF EXISTS ward.t")
    write_table(cohort(5, 1), COHORT, f"{postgresql}?table=ward.t")
    assert len(read_table(f"{postgresql}?table=ward.t", COHORT)) == 5


PASSWORD = "hunter2"  # noqa: S105 - to be looked for
URL = f"postgresql://reader:{PASSWORD}@127.0.0.1:1/registry?table=patients&sslpassword={PASSWORD}"


def test_a_password_is_in_no_text() -> None:
    place = located(URL)
    with pytest.raises(RequestError) as caught:
        read_table(URL, COHORT)
    with pytest.raises(RequestError, match="cannot be reached") as written:
        write_table(cohort(5, 1), COHORT, URL)
    shown = "postgresql://reader@127.0.0.1:1/registry?table=patients"
    assert str(place) == shown
    assert shown in str(caught.value)
    for text in (repr(place), str(place), str(caught.value), str(written.value), place.name):
        assert PASSWORD not in text
    assert caught.value.__cause__ is written.value.__cause__ is None
    words = without_passwords(["fit", URL, f"--out={URL}", "--schema", "s.yaml", f"mysql://u:{PASSWORD}@h/x"])
    assert words == ["fit", shown, f"--out={shown}", "--schema", "s.yaml", "(a URL)"]


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}@host/db",
        f"mysql://u:{PASSWORD}@host/db?table=x",
        f"postgresql://u:{PASSWORD}@host:port/db?table=x",
        f"postgresql://u:{PASSWORD}@[host/db?table=x",
    ],
)
def test_a_wrong_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(RequestError, match="table") as caught:
        located(url)
    assert PASSWORD not in str(caught.value)


def test_reading_makes_no_database(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        with pytest.raises(RequestError, match="no file"):
            read_raw(f"{kind}:///{tmp_path}/none.db?table=x")
    assert not list(tmp_path.iterdir())
