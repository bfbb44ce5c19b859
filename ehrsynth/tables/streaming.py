"""Tables that need not fit into memory: read piece by piece, checked as a whole.

Parquet is read in row groups and a database in blocks. Every piece is checked as `read_table` checks a table;
what is wrong in any of them is added up over all and said once, at the end.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ehrsynth.errors import DataError, NotEnoughData, RequestError
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.tables import origin
from ehrsynth.tables.databases import DatabaseTable, count_rows, located, read_frames
from ehrsynth.tables.reading import raw_of_arrow, read_table, words_of
from ehrsynth.tables.validation import Violation, parse_and_check, taken

AT_ONCE = 100_000  # rows
MOST_CELLS = 6_000_000  # of a table in memory, where nobody says otherwise
_MAGIC = b"PAR1"
_BUFFER = 1 << 20  # bytes of each column
_COUNTED = re.compile(r"^[\d,]+ rows? ")
_DIFFERENT = re.compile(r" \([\d,]+ different\)")
_KEY = "%016x"  # 16 characters, as SipHash wants


@dataclass(frozen=True, slots=True)
class TableStream:
    """A patient table that is read as often as it is iterated over, `at_once` rows at a time.

    Parameters
    ----------
    rows
        How many patients there are.
    made
        As what it is marked (see `ehrsynth.tables.origin`); `accepted` if it may be learnt from all the same.
    """

    place: Path | DatabaseTable
    schema: Schema
    rows: int
    made: str = origin.REAL
    accepted: bool = False
    at_once: int = field(default=AT_ONCE, kw_only=True)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Checked tables as `read_table` gives them, one below the other.

        Raises
        ------
        DataError
            At the end, if something does not fit the schema, or patients have more rows than it declares;
            all of it is listed by column and count. After the first piece that does not fit, none is given
            any more.
        """
        wrong: Counter[tuple[str, str, str]] = Counter()
        keys = _Keys(self.schema)
        for raw in self._raw():
            table, violations = parse_and_check(raw, self.schema)
            for violation in violations:
                wrong[_kind(violation)] += violation.rows
            keys.see(table)
            if not wrong:
                yield self._with_mark(table, raw)
        problems = [*_added_up(wrong), *keys.problems()]
        if problems:
            n = len(problems)
            summary = f"{self.place.name} does not fit the schema {self.schema.name!r}"
            raise DataError(f"{summary}: {n:,} problem{'s' if n > 1 else ''}", map(str, problems))

    def _with_mark(self, table: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
        marked = origin.mark_as(table, origin.stronger(self.made, origin.origin_of(raw)))
        return origin.accept_synthetic(marked) if self.accepted else marked

    def _raw(self) -> Iterator[pd.DataFrame]:
        expected = {*self.schema.names, *(column.name for column in self.schema.left_out)}
        if isinstance(self.place, DatabaseTable):
            for frame in read_frames(self.place, self.at_once, self.schema.patient_key):
                yield words_of(frame, str(self.place), expected)
            return
        damaged = False
        try:
            # Buffered: a file may be one large row group.
            file = pq.ParquetFile(self.place, buffer_size=_BUFFER, pre_buffer=False)
            for batch in file.iter_batches(self.at_once):
                yield raw_of_arrow(pa.Table.from_batches([batch]), self.place.name, expected)
        except (pa.ArrowException, OSError):
            damaged = True  # the exception may quote what it stumbled over
        if damaged:
            name = self.place.name
            raise DataError(f"{name} is damaged: it begins like a Parquet file and does not read as one")


def stream(path: Path | str | DatabaseTable, schema: Schema, *, accepted: bool = False) -> TableStream | None:
    """A table as a stream, if it is of a kind that can be read in pieces: Parquet, or a database's.

    Parameters
    ----------
    accepted
        Whether it may be learnt from though it is marked as synthetic.

    Raises
    ------
    RequestError
        If there is no such file or table.
    NotEnoughData
        If it has no rows.
    """
    place = located(path)
    if isinstance(place, DatabaseTable):
        return TableStream(place, schema, count_rows(place), accepted=accepted)
    try:
        with place.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
        metadata = pq.ParquetFile(place).metadata
    except (pa.ArrowException, OSError):
        return None  # `read_table` says what is wrong
    if not metadata.num_rows:
        raise NotEnoughData(f"{place.name} has columns and no rows: give at least one patient")
    made = origin.stronger(origin.read_parquet_mark(metadata.metadata), origin.read_sidecar(place))
    return TableStream(place, schema, metadata.num_rows, made=made, accepted=accepted)


def subsample(table: TableStream, rows: int, *, seed: int, progress: Progress | None = None) -> pd.DataFrame:
    """At most so many patients of a stream, drawn uniformly without replacement, in one pass.

    Each patient's draw is a keyed hash (SipHash) of the patient key, and those with the smallest stay:
    neither the order of the rows nor the size of the pieces matters, and taking one patient out of the table
    changes at most one other's place. Without a patient key the draw goes by the row's place in the table.
    All patients are taken, in the table's order, if there are no more.

    Raises
    ------
    DataError
        If any row of the table, drawn or not, does not fit the schema.
    """
    drawn, everything = _Smallest(rows), table.rows <= rows
    chance, report = _chances(table.schema.patient_key, seed), part(progress, 0.0, 1.0)
    seen = 0
    for piece in table:
        seen += len(piece)
        order = np.arange(seen - len(piece), seen, dtype=np.uint64) if everything else chance(piece)
        drawn.add(piece, order)
        report(min(1.0, seen / table.rows), f"{seen} of {table.rows} patients read")
    return drawn.table()


def read_at_most(
    path: Path | str | DatabaseTable, schema: Schema, rows: int | None, *, seed: int
) -> tuple[pd.DataFrame, int]:
    """A table, or a uniform subsample of it where it is long and of a kind that is read piece by piece.

    Parameters
    ----------
    rows
        How many patients may be held in memory; None: `MOST_CELLS` cells.

    Returns
    -------
    table, rows
        How many rows the table has, held or not.

    Raises
    ------
    DataError, RequestError
        As `read_table`.
    """
    most, long = rows or max(2, MOST_CELLS // len(schema.columns)), stream(path, schema)
    if long is None or long.rows <= most:
        table = read_table(path, schema)
        return table, len(table)
    return subsample(long, most, seed=seed), long.rows


class _Smallest:
    """The rows with the smallest draws; at most twice as many as wanted are held."""

    def __init__(self, wanted: int) -> None:
        self._wanted, self._pieces, self._chances = wanted, list[pd.DataFrame](), list[NDArray[np.uint64]]()
        self._held, self._largest = 0, np.uint64(2**64 - 1)

    def add(self, piece: pd.DataFrame, chances: NDArray[np.uint64]) -> None:
        kept = np.flatnonzero(chances <= self._largest)
        self._pieces.append(piece.iloc[kept])
        self._chances.append(chances[kept])
        self._held += len(kept)
        if self._held > 2 * self._wanted:
            self._shrink()

    def _shrink(self) -> None:
        marks = dict(self._pieces[0].attrs)
        chances = np.concatenate(self._chances)
        order = np.argsort(chances, kind="stable")[: self._wanted]
        whole = pd.concat(self._pieces, ignore_index=True).iloc[order].reset_index(drop=True)
        whole.attrs = marks
        self._pieces, self._chances, self._held = [whole], [chances[order]], len(order)
        if self._held == self._wanted:
            self._largest = chances[order[-1]]

    def table(self) -> pd.DataFrame:
        self._shrink()
        return self._pieces[0]


def _chances(key: str | None, seed: int) -> Callable[[pd.DataFrame], NDArray[np.uint64]]:
    """A number for each row of a piece, uniform on 64 bits."""
    if key is not None:
        secret = _KEY % derived_seed(seed, "subsample")
        return lambda piece: _hashes(piece[key], secret)
    rng = numpy_generator(seed, "subsample")
    return lambda piece: rng.integers(0, 2**64 - 1, len(piece), np.uint64, endpoint=True)


def draws(table: pd.DataFrame, schema: Schema, *, seed: int) -> NDArray[np.uint64]:
    """The number by which `subsample` draws each patient, from the patient key alone: the smallest stay.

    Raises
    ------
    RequestError
        If the schema has no patient key.
    """
    if schema.patient_key is None:
        raise RequestError("the draw goes by the patient key, and the schema has none")
    return _chances(schema.patient_key, seed)(table)


def _hashes(series: "pd.Series[Any]", secret: str) -> NDArray[np.uint64]:
    words = series.astype("string").fillna("").to_numpy(object)
    return np.asarray(pd.util.hash_array(words, hash_key=secret, categorize=False), np.uint64)


class _Keys:
    """Whether patients have too many rows over all pieces: 8 bytes of each row's patient key are held."""

    def __init__(self, schema: Schema) -> None:
        self._key, self._most = schema.patient_key, schema.rows_per_patient
        self._seen = list[NDArray[np.uint64]]()

    def see(self, table: pd.DataFrame) -> None:
        if self._key is not None:
            keys = _hashes(table[self._key].dropna(), _KEY % 0)
            found, counts = np.unique(keys, return_counts=True)
            # Too many in one piece: `parse_and_check` says so.
            self._seen.append(np.repeat(found, np.minimum(counts, self._most)))

    def problems(self) -> Iterator[Violation]:
        if self._key is None or not self._seen:
            return
        counts = np.unique(np.concatenate(self._seen), return_counts=True)[1]
        patients = int((counts > self._most).sum())
        if patients:
            text = f"{patients:,} patient key(s) come again further down: ehrsynth takes {taken(self._most)}"
            kept = "one row" if self._most == 1 else f"{self._most} rows"
            yield Violation(self._key, patients, text, f"keep or summarise {kept} of each patient")


def _kind(violation: Violation) -> tuple[str, str, str]:
    """What is wrong, with a mark where it says in how many rows."""
    problem = _COUNTED.sub("* ", _DIFFERENT.sub("", violation.problem))
    return violation.column, problem, violation.remedy


def _added_up(wrong: Counter[tuple[str, str, str]]) -> Iterator[Violation]:
    for (column, problem, remedy), rows in wrong.items():
        counted = f"{rows:,} row{'' if rows == 1 else 's'} "
        yield Violation(column, rows, re.sub(r"^\* ", counted, problem), remedy)
