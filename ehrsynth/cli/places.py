"""Places to write to, looked at before the work begins rather than after it."""

from pathlib import Path
from typing import TYPE_CHECKING

from ehrsynth.errors import OutputError

if TYPE_CHECKING:
    from ehrsynth.tables.databases import DatabaseTable


def must_be_table(place: str) -> "Path | DatabaseTable":
    """Where a table is to be written, looked at before the work.

    Raises
    ------
    OutputError
        If the ending is none that tables are written with, the name is a folder's, a file is there that is
        not marked as synthetic (it may be the only copy of real patients), or the table of a database is
        there already.
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
    if file.exists() and not _is_synthetic(file):
        raise OutputError(f"{file} exists already, and not as a synthetic table: name another file")
    return file


def _is_synthetic(file: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ehrsynth.tables import origin

    if file.suffix != ".parquet":
        return origin.read_sidecar(file) == origin.SYNTHETIC
    try:
        made = origin.read_parquet_mark(pq.read_schema(file).metadata)
    except (pa.ArrowException, OSError):
        return False
    return made == origin.SYNTHETIC


def must_be_new(file: Path, *, force: bool) -> None:
    """Raise if a file is there already and was not given up.

    Raises
    ------
    OutputError
        If the name is taken.
    """
    if file.exists() and not force:
        raise OutputError(f"{file} exists already: name another file, or say --force")
