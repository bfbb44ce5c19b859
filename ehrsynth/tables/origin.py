"""Whether a table holds real patients or synthetic ones, and the refusal to learn from the latter.

The mark travels with the table in memory (`table.attrs`), in the metadata of a Parquet file, in the
sidecar ``<file>.origin.json`` of a CSV, and in an optional ``_origin`` column. A model that is trained on
what models made loses the rare patients first (Shumailov et al. 2024, doi:10.1038/s41586-024-07566-y), so
`fit` refuses a marked table unless the user says that it is meant.
"""

import json
from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd

from ehrsynth.errors import DataError, RequestError

ATTRIBUTE = "ehrsynth_origin"
COLUMN = "_origin"
SYNTHETIC = "synthetic"
ACCEPTED = "synthetic, accepted for training"
REAL = "real"


def mark_synthetic(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, marked as synthetic; the given one stays as it is.

    >>> is_synthetic(mark_synthetic(pd.DataFrame({"age": [71, 80, 65]})))
    True
    """
    return _marked(table, SYNTHETIC)


def accept_synthetic(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, still synthetic, which `refuse_synthetic` lets pass: the user asked for it."""
    return _marked(table, ACCEPTED) if is_synthetic(table) else table


def is_synthetic(table: pd.DataFrame) -> bool:
    """True when the table is marked as synthetic, accepted for training or not."""
    return _attributes(table).get(ATTRIBUTE) in {SYNTHETIC, ACCEPTED}


def refuse_synthetic(table: pd.DataFrame) -> None:
    """Raise when the table is synthetic and was not accepted for training.

    Raises
    ------
    RequestError
        Names the option that accepts it.
    """
    if _attributes(table).get(ATTRIBUTE) == SYNTHETIC:
        raise RequestError(
            "the table is synthetic: a model of it would be a copy of a copy. Train on real patients, or say"
            " --train-on-synthetic (in Python: accept_synthetic) if this is meant; the report will say so"
        )


def sidecar(path: Path | str) -> Path:
    """Where the mark of a CSV file stands: ``<file>.origin.json`` beside it."""
    path = Path(path)
    return path.with_name(f"{path.name}.origin.json")


def sidecar_value(*, mixed: bool = False) -> dict[str, str | int]:
    """What a sidecar holds; `mixed` for a table of real and synthetic rows, which counts as synthetic."""
    meaning = "made by ehrsynth: no row is a real patient"
    if mixed:
        meaning = "real patients and rows made by ehrsynth, told apart in the column _origin: not for sharing"
    return {"format": 1, "origin": SYNTHETIC, "meaning": meaning}


def read_sidecar(path: Path | str) -> bool:
    """Does the sidecar of a file mark it as synthetic? False when there is none.

    Raises
    ------
    DataError
        If the sidecar is there but does not say what the file is.
    """
    beside = sidecar(path)
    if not beside.is_file():
        return False
    try:
        found = json.loads(beside.read_bytes())
    except ValueError:
        found = None
    origin = found.get("origin") if isinstance(found, dict) else None
    if origin not in {SYNTHETIC, REAL}:
        remedy = f"restore it, or remove it if {Path(path).name} holds real patients"
        raise DataError(f"{beside} does not say whether the table is synthetic: {remedy}")
    return bool(origin == SYNTHETIC)


def _marked(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    marked = table.copy(deep=False)
    marked.attrs = {**_attributes(table), ATTRIBUTE: origin}
    return marked


def _attributes(table: pd.DataFrame) -> Mapping[Hashable, object]:
    return table.attrs
