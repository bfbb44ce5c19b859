"""Tables in a database: PostgreSQL, SQLite and DuckDB, by way of SQLAlchemy.

A table is named by one URL, wherever a file is: ``postgresql://reader@host/registry?table=public.patients``,
``sqlite:///registry.db?table=patients``, ``duckdb:////data/registry.duckdb?table=patients``. What a driver
says of an error can hold the password or a patient's value: only its kind leaves this module.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.types as kinds

from ehrsynth.errors import EhrSynthError, MissingPackage, NotEnoughData, OutputError, RequestError
from ehrsynth.tables import origin

if TYPE_CHECKING:
    import sqlalchemy as sa

_DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite", "duckdb": "duckdb"}
_FORMS = "postgresql://user@host/database?table=NAME, sqlite:///FILE?table=NAME or duckdb:///FILE?table=NAME"
_MARKS = "ehrsynth_origin"
_AT_ONCE = 5_000  # rows in one statement


@dataclass(frozen=True, slots=True)
class DatabaseTable:
    """One table of a database. As text it has no password and no option of the connection."""

    url: str = field(repr=False)
    table: str
    shown: str

    def __str__(self) -> str:
        """What may be printed."""
        return self.shown

    @property
    def name(self) -> str:
        """The table's name, as a file has one."""
        return self.table

    @classmethod
    def parse(cls, text: str) -> Self:
        """The table that a URL names.

        Raises
        ------
        RequestError
            If it names no table, or a database that is none of the three; nothing of it is repeated.
        """
        try:
            parts = urlsplit(text)
            kind, host, port = parts.scheme.partition("+")[0].lower(), parts.hostname, parts.port
        except ValueError:
            raise RequestError(f"this is no URL of a database: write {_FORMS}") from None
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        table = options.pop("table", "")
        if kind not in _DRIVERS or not table:
            raise RequestError(f"the URL of a table names the database and the table: {_FORMS}")
        rest = f"?{urlencode(options)}" if options else ""
        url = f"{_DRIVERS[kind]}://{parts.netloc}{parts.path}{rest}"
        place = f"{parts.username}@{host}" if parts.username else host or ""
        place += f":{port}" if port else ""
        return cls(url, table, f"{kind}://{place}{parts.path}?table={table}")

    @property
    def file(self) -> Path | None:
        """The file that holds the database; None for a server's or one in memory."""
        parts = urlsplit(self.url)
        held = parts.scheme in {"sqlite", "duckdb"} and parts.path not in {"", "/", "/:memory:"}
        return Path(parts.path[1:]) if held else None


def located(text: str | Path | DatabaseTable) -> "Path | DatabaseTable":
    """A file, or a table of a database where the text is a URL."""
    if isinstance(text, DatabaseTable):
        return text
    return DatabaseTable.parse(text) if isinstance(text, str) and "://" in text else Path(text)


def is_database(data: object) -> bool:
    """Whether it names a table of a database, and no file."""
    return isinstance(data, DatabaseTable) or (isinstance(data, str) and "://" in data)


def without_passwords(words: Sequence[str]) -> list[str]:
    """The words of a command line with every URL as it may be printed."""
    return [_harmless(word) for word in words]


def _harmless(word: str) -> str:
    option, equals, rest = word.partition("=") if word.startswith("--") else ("", "", word)
    if "://" not in rest:
        return word
    try:
        return f"{option}{equals}{DatabaseTable.parse(rest)}"
    except RequestError:
        return f"{option}{equals}(a URL)"


def read_frames(place: DatabaseTable, rows: int | None, order: str | None = None) -> Iterator[pd.DataFrame]:
    """The rows of a table as frames of Python's own values, `rows` at a time; all in one frame for None.

    Parameters
    ----------
    order
        A column to sort by, where the table has it: a database has no order of its own.

    Raises
    ------
    RequestError
        If the database cannot be reached or has no such table.
    NotEnoughData
        If the table has no rows.
    """
    if place.file is not None and not place.file.is_file():
        raise RequestError(f"{place} cannot be read: there is no file {place.file.name}")
    with _connected(place) as connection:
        import sqlalchemy as sa

        found = _described(connection, place)
        made = _mark(connection, place)
        asked: Any = sa.select(sa.literal_column("*")).select_from(_table(place))
        if order in found:
            asked = asked.order_by(sa.column(order))
        answer = connection.execution_options(stream_results=rows is not None).execute(asked)
        names, empty = list(answer.keys()), True
        for block in answer.partitions(rows) if rows else [answer.fetchall()]:
            if block:
                empty = False
                yield _frame(block, names, found, made)
        if empty:
            raise NotEnoughData(f"{place} has columns and no rows: give at least one patient")


def count_rows(place: DatabaseTable) -> int:
    """How many rows a table has."""
    with _connected(place) as connection:
        import sqlalchemy as sa

        _described(connection, place)
        return int(connection.execute(sa.select(sa.func.count()).select_from(_table(place))).scalar_one())


def insert_arrow(tables: Iterator[pa.Table], place: DatabaseTable) -> None:
    """Make a table in one transaction: it is there whole or not at all.

    Where the table comes from is written into the table ``ehrsynth_origin`` beside it.

    Parameters
    ----------
    tables
        At least one, all with the same columns.

    Raises
    ------
    OutputError
        If the table is there already, or cannot be written.
    """
    first = next(tables)
    with _connected(place, writing=True) as connection:
        import sqlalchemy as sa

        must_not_exist(place, connection)
        made = _new_table(first.schema, place)
        made.create(connection)
        for table in chain([first], tables):
            _insert(connection, made, table)
        mark = origin.read_parquet_mark(first.schema.metadata)
        if mark != origin.REAL:
            marks = _marks_table(place)
            marks.create(connection, checkfirst=True)
            connection.execute(sa.delete(marks).where(marks.c.table_name == made.name))
            row = {"table_name": made.name, "origin": mark, "meaning": origin.meaning_of(mark)}
            connection.execute(sa.insert(marks), row)


def must_not_exist(place: DatabaseTable, connection: "sa.Connection | None" = None) -> None:
    """Raise if the table is there already: rows are never added to it, and it is never replaced.

    Raises
    ------
    OutputError
        Names the remedy.
    """
    if connection is None:
        with _connected(place, writing=True) as connection:  # noqa: PLR1704 - the same question
            must_not_exist(place, connection)
        return
    import sqlalchemy as sa

    schema, name = _split(place)
    if sa.inspect(connection).has_table(name, schema=schema):
        raise OutputError(f"{place} exists already: name another table, or drop it first")


def _split(place: DatabaseTable) -> tuple[str | None, str]:
    schema, _, name = place.table.rpartition(".")
    return schema or None, name


def _table(place: DatabaseTable) -> Any:
    import sqlalchemy as sa

    schema, name = _split(place)
    return sa.table(name, schema=schema)


@contextmanager
def _connected(place: DatabaseTable, *, writing: bool = False) -> Iterator["sa.Connection"]:
    """A connection with one transaction; whatever the driver raises leaves as words without values."""
    engine, problem, reached = _engine(place), "", False
    try:
        with engine.begin() as connection:
            reached = True
            yield connection
    except (EhrSynthError, OSError, MemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001 - of any driver
        problem = type(getattr(error, "orig", None) or error).__name__
    finally:
        engine.dispose()
    if problem and not reached:
        raise RequestError(f"{place} cannot be reached ({problem}): see that the server runs and lets you in")
    if problem and writing:
        raise OutputError(f"{place} was not written ({problem}), and nothing was left behind")
    if problem:
        raise RequestError(f"{place} cannot be read ({problem}): see that you may read this table")


def _engine(place: DatabaseTable) -> "sa.Engine":
    try:
        import sqlalchemy as sa

        engine = sa.create_engine(place.url, hide_parameters=True, poolclass=sa.NullPool)
        engine.dialect.import_dbapi()
    except ImportError:
        raise MissingPackage(f"{place.shown.partition(':')[0]}", "scale") from None
    except Exception:  # noqa: BLE001 - its message repeats the URL
        raise RequestError(f"{place} is no address that the database's driver knows") from None
    if engine.dialect.name == "sqlite":
        # Python's sqlite3 makes tables outside of transactions unless it is kept from handling them.
        sa.event.listen(engine, "connect", _leave_transactions)
        sa.event.listen(engine, "begin", _begin)
    return engine


def _leave_transactions(connection: Any, _: Any) -> None:
    connection.isolation_level = None


def _begin(connection: "sa.Connection") -> None:
    connection.exec_driver_sql("BEGIN")


def _described(connection: "sa.Connection", place: DatabaseTable) -> dict[str, str]:
    """The columns of a table with the kind that SQLite was told of, "" elsewhere.

    Raises
    ------
    RequestError
        If there is no such table.
    """
    import sqlalchemy as sa

    (schema, name), looking = _split(place), sa.inspect(connection)
    if not looking.has_table(name, schema=schema):
        raise RequestError(f"{place} cannot be read: the database has no table or view {name!r}")
    if connection.dialect.name != "sqlite":
        asked: Any = sa.select(sa.literal_column("*")).select_from(_table(place)).limit(0)
        return dict.fromkeys(connection.execute(asked).keys(), "")
    kinds_of = (("boolean", sa.Boolean), ("day", sa.Date), ("moment", sa.DateTime))
    return {
        str(column["name"]): next((k for k, t in kinds_of if isinstance(column["type"], t)), "")
        for column in looking.get_columns(name, schema=schema)
    }


def _frame(block: Any, names: list[str], found: dict[str, str], made: str) -> pd.DataFrame:
    columns = dict(zip(names, zip(*block, strict=True), strict=True))
    frame = pd.DataFrame(
        {n: pd.Series(_typed(values, found.get(n, "")), dtype=object) for n, values in columns.items()}
    )
    return origin.mark_as(frame, made)


def _typed(values: tuple[Any, ...], kind: str) -> list[Any]:
    """SQLite knows no truth values, days and moments: they are read where all of a column is written so."""
    if kind == "boolean" and set(values) <= {0, 1, None}:
        return [None if value is None else bool(value) for value in values]
    if kind in {"day", "moment"}:
        read = dt.date.fromisoformat if kind == "day" else dt.datetime.fromisoformat
        with suppress(ValueError):
            return [None if value is None else read(str(value)) for value in values]
    return list(values)


def _mark(connection: "sa.Connection", place: DatabaseTable) -> str:
    import sqlalchemy as sa

    schema, name = _split(place)
    if not sa.inspect(connection).has_table(_MARKS, schema=schema):
        return origin.REAL
    marks = _marks_table(place)
    asked = sa.select(marks.c.origin).where(marks.c.table_name == name)
    return origin.stronger(*connection.execute(asked).scalars())


def _marks_table(place: DatabaseTable) -> "sa.Table":
    import sqlalchemy as sa

    columns = [sa.Column(name, sa.Text()) for name in ("table_name", "origin", "meaning")]
    return sa.Table(_MARKS, sa.MetaData(), *columns, schema=_split(place)[0])


def _new_table(schema: pa.Schema, place: DatabaseTable) -> "sa.Table":
    import sqlalchemy as sa

    def kind(of: pa.DataType) -> Any:
        choices: tuple[tuple[Any, Any], ...] = (
            (kinds.is_boolean, sa.Boolean()),
            (kinds.is_integer, sa.BigInteger()),
            (kinds.is_floating, sa.Double()),
            (kinds.is_date, sa.Date()),
            (kinds.is_timestamp, sa.DateTime()),
        )
        return next((made for is_kind, made in choices if is_kind(of)), sa.Text())

    place_schema, name = _split(place)
    columns = [sa.Column(field.name, kind(field.type)) for field in schema]
    return sa.Table(name, sa.MetaData(), *columns, schema=place_schema)


def _insert(connection: "sa.Connection", made: "sa.Table", rows: pa.Table) -> None:
    if connection.dialect.name == "duckdb":
        _insert_into_duckdb(connection, made, rows)
        return
    for batch in rows.to_batches(_AT_ONCE):
        connection.execute(made.insert(), batch.to_pylist())


def _insert_into_duckdb(connection: "sa.Connection", made: "sa.Table", rows: pa.Table) -> None:
    # Its statements take one row at a time; it reads Arrow as it is.
    driver: Any = connection.connection.driver_connection
    driver.register("ehrsynth_piece", rows)
    name = connection.dialect.identifier_preparer.format_table(made)
    connection.exec_driver_sql(f"INSERT INTO {name} SELECT * FROM ehrsynth_piece")  # noqa: S608 - it is quoted
    driver.unregister("ehrsynth_piece")
