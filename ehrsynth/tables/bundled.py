"""The public tables that come with ehrsynth, each with a schema written by hand from its documentation.

Licences and citations stand in ``ehrsynth/tables/data/README.md``.
"""

from dataclasses import dataclass
from pathlib import Path

from ehrsynth.errors import RequestError, unknown
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema

_TABLES = Path(__file__).parent / "data"
_PACKAGE = Path(__file__).parents[1]
# A wheel holds the schemas inside the package, a checkout beside it.
_SCHEMAS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")
_IST_DEMO = (
    "RDELAY RCONSC SEX AGE RSLEEP RATRIAL RCT RVISINF RHEP24 RASP3 RSBP"
    " RDEF1 RDEF2 RDEF3 RDEF4 RDEF5 RDEF6 RDEF7 STYPE RXASP RXHEP ONDRUG DPLACE COUNTRY"
    " DIED TD ISC14 H14 ID14 OCCODE"
)
_SUPPORT2_DEMO = (
    "age death sex hospdead slos d.time dzgroup dzclass num.co edu income scoma charges avtisst race"
    " aps hday diabetes dementia ca dnr dnrday meanbp hrt resp temp alb crea sod sfdm2"
)
_DEMOS = {
    "ist": (tuple(_IST_DEMO.split()), "not missing(OCCODE)"),
    "support2": (tuple(_SUPPORT2_DEMO.split()), ""),
}


@dataclass(frozen=True, slots=True)
class Bundled:
    """One bundled table.

    Attributes
    ----------
    name
        As in `names`.
    path
        The file, a gzipped CSV.
    schema
        What its columns mean, all of them.
    demo_columns
        The columns that the demonstration uses, in its order.
    demo_where
        The rows that it uses, as an expression over them; empty for all rows.
    """

    name: str
    path: Path
    schema: Schema
    demo_columns: tuple[str, ...]
    demo_where: str

    @property
    def demo_schema(self) -> Schema:
        """The schema of `demo_columns`, with the rules that hold among them."""
        return self.schema.subset(self.demo_columns)


def names() -> tuple[str, ...]:
    """The names of the bundled tables, sorted.

    >>> names()
    ('ist', 'support2')
    """
    return tuple(sorted(_DEMOS))


def bundled(name: str) -> Bundled:
    """One bundled table by name, with its schema; the table itself is not read.

    Parameters
    ----------
    name
        One of `names`.

    Raises
    ------
    RequestError
        If there is no such table, or the installation lacks its files.
    """
    if name not in _DEMOS:
        raise RequestError(unknown("bundled table", name, names()))
    columns, where = _DEMOS[name]
    path = _TABLES / f"{name}.csv.gz"
    schema_path = next((p for folder in _SCHEMAS if (p := folder / f"{name}.yaml").is_file()), None)
    if schema_path is None or not path.is_file():
        raise RequestError(f"the bundled table {name!r} is not complete in this installation: install anew")
    return Bundled(name, path, load_schema(schema_path), columns, where)
