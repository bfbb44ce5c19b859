"""Whether a table holds real patients or what ehrsynth made, and the refusal to learn from the latter.

The mark travels with the table in memory (`table.attrs`), in the metadata of a Parquet file, in the
sidecar ``<file>.origin.json`` of a CSV, and in an optional ``_origin`` column. A model that is trained on
what models made loses the rare patients first (Shumailov et al. 2024, doi:10.1038/s41586-024-07566-y), so
`fit` refuses a marked table unless the user says that it is meant. Real patients whose unknown cells a model
filled have a mark of their own: they are as little to be learnt from, and as little to be shared as any
patient.
"""

import json
from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd

from ehrsynth.errors import DataError, RequestError

ATTRIBUTE = "ehrsynth_origin"
COLUMN = "_origin"
SYNTHETIC = "synthetic"
COMPLETED = "completed"
REAL = "real"
_MADE = (SYNTHETIC, COMPLETED)
_ACCEPTED = ", accepted for training"
_MEANINGS = {
    SYNTHETIC: "made by ehrsynth: no row is a real patient",
    COMPLETED: "real patients whose unknown cells ehrsynth filled: not for sharing",
}
_MIXED = "real patients and rows made by ehrsynth, told apart in the column _origin: not for sharing"
_WHY_NOT = {
    SYNTHETIC: "the table is synthetic: a model of it would be a copy of a copy. Train on real patients",
    COMPLETED: "unknown cells of the table were filled by ehrsynth: a model of it would learn from a model."
    " Train on the patients as they were",
}


def mark_synthetic(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, marked as synthetic; the given one stays as it is.

    >>> is_synthetic(mark_synthetic(pd.DataFrame({"age": [71, 80, 65]})))
    True
    """
    return mark_as(table, SYNTHETIC)


def mark_completed(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, marked as one of real patients whose unknown cells were filled.

    >>> is_synthetic(mark_completed(pd.DataFrame({"age": [71, 80, 65]})))
    False
    """
    return mark_as(table, COMPLETED)


def mark_as(table: pd.DataFrame, made: str) -> pd.DataFrame:
    """The same table with a mark, SYNTHETIC or COMPLETED; as it is for REAL."""
    return table if made == REAL else _marked(table, made)


def accept_synthetic(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, marked as before, which `refuse_synthetic` lets pass: the user asked for it."""
    made = origin_of(table)
    return table if made == REAL else _marked(table, made + _ACCEPTED)


def origin_of(table: pd.DataFrame) -> str:
    """SYNTHETIC or COMPLETED as the table is marked, accepted for training or not; REAL without a mark."""
    return _known(str(_attributes(table).get(ATTRIBUTE, REAL)).removesuffix(_ACCEPTED))


def is_synthetic(table: pd.DataFrame) -> bool:
    """True when the table is marked as synthetic, accepted for training or not; a completed one is not."""
    return origin_of(table) == SYNTHETIC


def refuse_synthetic(table: pd.DataFrame) -> None:
    """Raise when the table is synthetic, or was completed, and was not accepted for training.

    Raises
    ------
    RequestError
        Names the option that accepts it.
    """
    made = _attributes(table).get(ATTRIBUTE)
    if made in _MADE:
        raise RequestError(
            f"{_WHY_NOT[str(made)]}, or say --train-on-synthetic (in Python: accept_synthetic) if this is"
            " meant; the report will say so"
        )


def sidecar(path: Path | str) -> Path:
    """Where the mark of a CSV file stands: ``<file>.origin.json`` beside it."""
    path = Path(path)
    return path.with_name(f"{path.name}.origin.json")


def meaning_of(made: str, *, mixed: bool = False) -> str:
    """What a mark says in words; `mixed` for real and synthetic rows in one table, which is SYNTHETIC."""
    return _MIXED if mixed else _MEANINGS[made]


def sidecar_value(made: str, *, mixed: bool = False) -> dict[str, str | int]:
    """What a sidecar holds; the arguments are as for `meaning_of`."""
    return {"format": 1, "origin": made, "meaning": meaning_of(made, mixed=mixed)}


def parquet_mark(made: str) -> dict[str, str] | None:
    """The metadata of a Parquet file; None for REAL."""
    if made == COMPLETED:
        return {ATTRIBUTE: made, f"{ATTRIBUTE}_meaning": _MEANINGS[made]}
    return None if made == REAL else {ATTRIBUTE: made}


def read_parquet_mark(metadata: Mapping[bytes, bytes] | None) -> str:
    """SYNTHETIC or COMPLETED as a Parquet file's metadata say; REAL where they say nothing."""
    return _known((metadata or {}).get(ATTRIBUTE.encode(), b"").decode(errors="replace"))


def stronger(*made: str) -> str:
    """What several marks of one table come to: COMPLETED, for not to be shared, before SYNTHETIC."""
    return next((one for one in (COMPLETED, SYNTHETIC) if one in made), REAL)


def read_sidecar(path: Path | str) -> str:
    """As what the sidecar of a file marks it: SYNTHETIC, COMPLETED or REAL, also when there is none.

    Raises
    ------
    DataError
        If the sidecar is there but does not say what the file is.
    """
    beside = sidecar(path)
    if not beside.is_file():
        return REAL
    try:
        found = json.loads(beside.read_bytes())
    except ValueError:
        found = None
    origin = found.get("origin") if isinstance(found, dict) else None
    if origin not in {*_MADE, REAL}:
        remedy = f"restore it, or remove it if {Path(path).name} holds real patients"
        raise DataError(f"{beside} does not say whether the table is synthetic: {remedy}")
    return str(origin)


def _known(made: str) -> str:
    return made if made in _MADE else REAL


def _marked(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    marked = table.copy(deep=False)
    marked.attrs = {**_attributes(table), ATTRIBUTE: origin}
    return marked


def _attributes(table: pd.DataFrame) -> Mapping[Hashable, object]:
    return table.attrs
