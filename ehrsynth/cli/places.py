"""Places to write to, looked at before the work begins rather than after it."""

from pathlib import Path
from typing import TYPE_CHECKING

from ehrsynth.errors import OutputError

if TYPE_CHECKING:
    from ehrsynth.tables.databases import DatabaseTable


def must_be_free(folder: Path) -> None:
    """Raise if a folder cannot be made here, so that an hour of fitting is not lost to a name.

    Raises
    ------
    OutputError
        If the name is taken by a file or by a folder with something in it.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder} exists already: name another place, or remove it first")
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir():
        raise OutputError(f"{folder} cannot be made: {parent} is not a folder")


def must_be_table(place: str) -> "Path | DatabaseTable":
    """Where a table is to be written, looked at before the work.

    Raises
    ------
    OutputError
        If the ending is none that tables are written with, the name is a folder's, or the table of a
        database is there already.
    RequestError
        If the database cannot be reached.
    """
    from ehrsynth.tables.databases import DatabaseTable, located, must_not_exist

    file = located(place)
    if isinstance(file, DatabaseTable):
        must_not_exist(file)
        return file
    if not file.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise OutputError(f"{file.name} has no known ending: use .csv, .csv.gz or .parquet")
    if file.is_dir():
        raise OutputError(f"{file} is a folder: name a file in it")
    return file


def must_be_new(file: Path, *, force: bool) -> None:
    """Raise if a file is there already and was not given up.

    Raises
    ------
    OutputError
        If the name is taken.
    """
    if file.exists() and not force:
        raise OutputError(f"{file} exists already: name another file, or say --force")
