"""Every metric and every attack over one set of tables, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.controls import MINIMUM, controls
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.summaries import SMALL_CELL, ColumnSummary, summarise
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.registry import known, resolve
from ehrsynth.schema import Schema

_KEY_BYTES = 8


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on one synthetic table.

    Parameters
    ----------
    scores, risks
        By registered name.
    columns
        In the schema's order: both tables' shares, the real one being the training table. Internal: see
        `suppressed` for what may be shared.
    rows
        Rows that were used of "train", "holdout" and "synthetic".
    protocol_hash
        Hash of the protocol: two evaluations compare only when theirs are equal.
    rows_given
        Rows that were given; more than were used when a subsample was asked for.
    """

    scores: Mapping[str, Score]
    risks: Mapping[str, Risk]
    columns: tuple[ColumnSummary, ...]
    rows: Mapping[str, int]
    protocol_hash: str
    rows_given: Mapping[str, int] = field(default_factory=dict)

    def suppressed(self, small_cell: int = SMALL_CELL) -> tuple[ColumnSummary, ...]:
        """The columns without cells of 1 to `small_cell` patients."""
        return tuple(column.suppressed(small_cell) for column in self.columns)


def evaluate(  # noqa: PLR0913 - the tables, and what the command line can choose
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
    metrics: Sequence[str] | None = None,
    attacks: Sequence[str] | None = None,
    rows: int | None = None,
) -> Evaluation:
    """Measure a synthetic table against the patients it was made from and patients it never saw.

    Parameters
    ----------
    train, holdout, synthetic
        Tables in memory as `ehrsynth.tables.read_table` gives them for `schema`.
    metrics, attacks
        Registered names; all when None, none when empty.
    rows
        At most so many rows of each table, drawn by the seed; all when None. Learners and attacks keep to
        the protocol's own limits in any case.

    Raises
    ------
    RequestError
        If a name is not registered, or `rows` is below 1.
    DataError
        If a table does not fit the schema.
    """
    if rows is not None and rows < 1:
        message = f"rows is {rows}; at least 1 can be used"
        raise RequestError(message)
    given = {"train": train, "holdout": holdout, "synthetic": synthetic}
    used = {name: _subsample(table, schema, rows, seed, name) for name, table in given.items()}
    wanted = [*_names("metric", metrics), *_names("attack", attacks)]
    functions = {name: resolve(what, name) for what, name in wanted}
    control = _controls(used["holdout"], schema, seed)
    scores: dict[str, Score] = {}
    risks: dict[str, Risk] = {}
    for place, (what, name) in enumerate(wanted):
        report = part(progress, place / len(wanted), (place + 1) / len(wanted))
        report(0.0, name.replace("_", " "))
        if what == "metric":
            tables = (used["train"], used["holdout"], used["synthetic"])
            scores[name] = functions[name](*tables, schema, seed=seed, progress=report)
        elif control is None:
            risks[name] = _no_control(name, len(used["holdout"]))
        else:
            targets = (used["train"], *control, used["synthetic"])
            risks[name] = functions[name](*targets, schema, seed=seed, progress=report)
    return Evaluation(
        scores,
        risks,
        summarise(used["train"], used["synthetic"], schema),
        {name: len(table) for name, table in used.items()},
        protocol().hash,
        {name: len(table) for name, table in given.items()},
    )


def _names(what: str, asked: Sequence[str] | None) -> list[tuple[str, str]]:
    return [(what, name) for name in (known(what) if asked is None else asked)]


def _subsample(table: pd.DataFrame, schema: Schema, rows: int | None, seed: int, name: str) -> pd.DataFrame:
    """At most `rows` rows, the same ones in whatever order the rows stand."""
    if rows is None or len(table) <= rows:
        return table
    order = row_hashes(stacked(table, schema)).argsort(kind="stable")
    drawn = numpy_generator(seed, "suite", name).permutation(len(table))[:rows]
    part_of: pd.DataFrame = table.iloc[order[drawn]].reset_index(drop=True)
    return part_of


def _controls(holdout: pd.DataFrame, schema: Schema, seed: int) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    if len(holdout) < MINIMUM:
        return None
    key = derived_seed(seed, "controls").to_bytes(_KEY_BYTES, "big")
    return controls(holdout, schema, key=key)


def _no_control(name: str, rows: int) -> Risk:
    reason = f"not measurable here: the holdout has {rows} patients, and a control needs {MINIMUM}"
    return Risk(name, None, None, None, None, None, None, 0, 0, {}, reason)
