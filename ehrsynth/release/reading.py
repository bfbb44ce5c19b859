"""The table of a release as it is read: whole, or of a long one a uniform subsample, which is told.

Who is drawn is decided by a keyed hash of the patient alone, held against one number. So forgetting finds the
same patients again in a table that has lost some, and those who remain are a uniform subsample of the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import accept_synthetic, read_table, table_from_frame
from ehrsynth.tables.limits import limits_as_missing
from ehrsynth.tables.origin import COMPLETED, REAL, origin_of
from ehrsynth.tables.streaming import draws, stream, subsample

FEWEST = 2


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which patients of a long table were drawn: those whose draw with this seed is no higher than `highest`.

    `of` is how many the table had.
    """

    seed: int = field(repr=False)
    highest: int = field(repr=False)
    of: int

    def said(self, patients: int) -> str:
        """It in words, for so many patients drawn."""
        return (
            f"everything was learnt and measured on a uniform subsample of {patients:,} of {self.of:,} "
            "patients, drawn by a keyed hash of each"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """The table, what was done to it in words, and who was drawn where it was long."""

    table: pd.DataFrame = field(repr=False)
    actions: tuple[str, ...]
    sampled: Sampled | None


def check_at_most(schema: Schema, at_most: int | None, *, private: bool) -> None:
    """Raise RequestError where a release cannot be made of a subsample."""
    if at_most is None:
        return
    if private:
        # Who leaves a subsample of fixed size lets another in: that is more than one patient's influence.
        raise RequestError("a guarantee needs every patient in memory: do without --at-most")
    if schema.patient_key is None:
        raise RequestError(
            "--at-most draws patients by their key, so that they can be forgotten: give a column the role"
            " patient_key"
        )


def read(
    data: Path | str | pd.DataFrame, schema: Schema, at_most: int | None, *, seed: int, accepted: bool
) -> Reading:
    """Read the table of a release.

    Parameters
    ----------
    at_most
        How many patients may be held; None: all.
    accepted
        Whether it may be learnt from though it is marked as synthetic.

    Raises
    ------
    NotEnoughData
        If it has fewer than two patients.
    RequestError
        If a CSV is longer than allowed.
    """
    table, sampled = _sampled(data, schema, at_most, seed)
    if len(table) < FEWEST:
        summary = f"a release needs at least {FEWEST} patients, one to learn from and one to compare with"
        raise NotEnoughData(f"{summary}; the table has {len(table)}")
    said = () if sampled is None else (sampled.said(len(table)),)
    table, actions = accept(table, accepted=accepted)
    return Reading(table, (*said, *actions, *limits_as_missing(schema)), sampled)


def whole_table(data: Path | str | pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """A patient table from a file or a frame, checked in the same way.

    Raises
    ------
    DataError
        If it does not fit the schema: every violation is listed.
    """
    return table_from_frame(data, schema) if isinstance(data, pd.DataFrame) else read_table(data, schema)


def accept(table: pd.DataFrame, *, accepted: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A table that may be learnt from though ehrsynth made or completed it, and what the report says of that.

    Where it is marked and not accepted the mark stays, and whoever learns from it refuses it.
    """
    made = origin_of(table)
    if not accepted or made == REAL:
        return table, ()
    said = "the table is itself synthetic: a model of it is a copy of a copy"
    if made == COMPLETED:
        said = "unknown cells of the table were filled by a model, from which the new one learns too"
    return accept_synthetic(table), (said,)


def columns_of(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The columns of a schema alone; a table that is marked as synthetic stays marked."""
    kept = table[list(schema.names)]
    kept.attrs = dict(table.attrs)
    return kept


def _sampled(
    data: Path | str | pd.DataFrame, schema: Schema, at_most: int | None, seed: int
) -> tuple[pd.DataFrame, Sampled | None]:
    if isinstance(data, pd.DataFrame):
        return whole_table(data, schema), None
    long = stream(data, schema) if at_most is not None else None
    if long is None or at_most is None or long.rows <= at_most:
        table = read_table(data, schema)
        if at_most is not None and len(table) > at_most:
            raise RequestError(
                f"{data} has {len(table):,} patients, and a CSV is read whole: write it as Parquet, which is"
                " read in pieces, or do without --at-most"
            )
        return table, None
    table = subsample(long, at_most, seed=seed)
    return table, Sampled(seed, int(draws(table, schema, seed=seed).max()), long.rows)


def read_again(
    data: Path | str,
    schema: Schema,
    sampled: Sampled | None,
    *,
    see: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """The table of an earlier release, or those of its patients who were drawn.

    Parameters
    ----------
    see
        Called with each piece of the table as it is read, before anybody is drawn from it.
    """
    long = None if sampled is None else stream(data, schema)
    pieces = []
    for piece in [read_table(data, schema)] if long is None else long:
        if see is not None:
            see(piece)
        pieces.append(piece if sampled is None else _drawn(piece, schema, sampled))
    if sampled is None:
        return pieces[0]
    table = pd.concat(pieces, ignore_index=True)
    table.attrs = dict(pieces[0].attrs)
    return table


def _drawn(table: pd.DataFrame, schema: Schema, sampled: Sampled) -> pd.DataFrame:
    return table.loc[draws(table, schema, seed=sampled.seed) <= sampled.highest]


def load_sampled(found: Mapping[str, Any] | None) -> Sampled | None:
    """What was stored as plain values; None for a table that was read whole."""
    return None if found is None else Sampled(int(found["seed"]), int(found["highest"]), int(found["of"]))
