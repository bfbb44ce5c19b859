"""The six tables and their splits: the same files for every system."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode
from ehrsynth.files import sha256
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, IntegerColumn, Schema
from ehrsynth.schema.yaml_files import load_schema, save_schema
from ehrsynth.tables import bundled, read_table, write_table
from ehrsynth.tables.infer import infer_schema

HALF = None

# Fixed: the demo's columns may change, and results here must go on comparing.
_IST_COLUMNS = (
    "RDELAY RCONSC SEX AGE RSLEEP RATRIAL RCT RVISINF RHEP24 RASP3 RSBP RDEF1 RDEF2 RDEF3 RDEF4 RDEF5 RDEF6"
    " RDEF7 RDEF8 STYPE RXASP RXHEP ONDRUG DPLACE COUNTRY TD ISC14 H14 ID14 OCCODE"
)
_IST = tuple(_IST_COLUMNS.split())


@dataclass(frozen=True)
class Source:
    """A table, its outcome, the columns left out, and how many rows are learnt from (`HALF`: half)."""

    name: str
    target: str
    larger: bool
    train: int | None = HALF
    without: tuple[str, ...] = ()
    from_package: bool = False
    demo_columns: bool = False


SOURCES = {
    source.name: source
    for source in (
        Source("ist", "OCCODE", larger=True, from_package=True, demo_columns=True),
        Source("support2", "hospdead", larger=True, from_package=True),
        Source("adult", "income", larger=True, train=38_842, without=("fnlwgt", "split")),
        Source("hypothyroid", "Class", larger=True),
        Source("heart_failure", "DEATH_EVENT", larger=False),
        Source("heart_disease_uci", "disease", larger=False),
    )
}
LARGER = tuple(name for name, source in SOURCES.items() if source.larger)


@dataclass(frozen=True)
class Split:
    """Where one split of one table lies, and the hash of what every system and judge is given."""

    folder: Path

    @property
    def train(self) -> Path:
        """Patients to learn from."""
        return self.folder / "train.csv"

    @property
    def holdout(self) -> Path:
        """Patients that no system sees."""
        return self.folder / "holdout.csv"

    @property
    def schema(self) -> Path:
        """What the columns mean."""
        return self.folder / "schema.yaml"

    @property
    def kinds(self) -> dict[str, str]:
        """Column to word, whole or number."""
        kinds: dict[str, str] = json.loads((self.folder / "kinds.json").read_text())
        return kinds

    @property
    def hash(self) -> str:
        """Twelve digits of the hash of both tables and the kinds."""
        return "".join(sha256(self.folder / n)[:4] for n in ("train.csv", "holdout.csv", "kinds.json"))


def split(name: str, seed: int, *, data: Path | None, work: Path) -> Split:
    """Make a split, or find it where it was made before."""
    made = Split(work / "splits" / name / str(seed))
    if not (made.folder / "kinds.json").is_file():
        made.folder.mkdir(parents=True, exist_ok=True)
        schema, table = whole(SOURCES[name], data, made.folder)
        order = numpy_generator(seed, "benchmark", name).permutation(len(table))
        first = SOURCES[name].train or len(table) // 2
        second = min(len(table) - first, first)
        for path, rows in ((made.train, order[:first]), (made.holdout, order[first : first + second])):
            write_table(table.iloc[rows].reset_index(drop=True), schema, path)
        (made.folder / "kinds.json").write_text(json.dumps(kinds_of(schema), indent=1))
    return made


def whole(source: Source, data: Path | None, folder: Path) -> tuple[Schema, pd.DataFrame]:
    """The schema, stored in the folder, and the rows used."""
    if source.from_package:
        found = bundled(source.name)
        schema = found.schema.subset(_IST) if source.demo_columns else found.schema
        table = read_table(found.path, found.schema)[list(schema.names)]
        if source.demo_columns and found.demo_where:
            condition = Condition.parse(found.demo_where, schema)
            table = table[condition.mask(encode(table, schema))]
        save_schema(schema, folder / "schema.yaml")
        return schema, table
    if data is None:
        message = f"{source.name} is not bundled: give a folder with {source.name}.csv.gz by --data DIR"
        raise SystemExit(message)
    path = data / f"{source.name}.csv.gz"
    guessed, comments = infer_schema(path, name=source.name)
    table = read_table(path, guessed)
    schema = guessed.subset(tuple(n for n in guessed.names if n not in source.without))
    kept = {name: why for name, why in comments.items() if name in schema.names}
    save_schema(schema, folder / "schema.yaml", comments=kept)
    return load_schema(folder / "schema.yaml"), table[list(schema.names)]


def kinds_of(schema: Schema) -> dict[str, str]:
    """Which columns are words, whole numbers or numbers."""
    words = (BooleanColumn, CategoryColumn, CodeColumn)
    return {
        column.name: "word"
        if isinstance(column, words)
        else "whole"
        if isinstance(column, IntegerColumn)
        else "number"
        for column in schema.learnt
    }


def rows_of(path: Path) -> int:
    """How many rows a CSV has."""
    return len(np.asarray(pd.read_csv(path, usecols=[0], keep_default_na=False)))
