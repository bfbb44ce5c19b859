"""Every metric and every attack over one set of tables, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import pandas as pd

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.controls import MINIMUM, controls
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.evaluation.privacy.bounds import LEVEL, Simultaneous
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.summaries import SMALL_CELL, ColumnSummary, summarise
from ehrsynth.evaluation.table_one import Row, table_one
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.registry import known, resolve
from ehrsynth.schema import Schema

_KEY_BYTES = 8
_BOUND_FROM = 0.96  # of the progress: the bound comes after everything else


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
    bound
        The simultaneous bound over all attacks and groups; None when no attack gave evidence for it.
    table_one
        The training table and the synthetic one side by side, as a paper's Table 1 has them.
    """

    scores: Mapping[str, Score]
    risks: Mapping[str, Risk]
    columns: tuple[ColumnSummary, ...]
    rows: Mapping[str, int]
    protocol_hash: str
    rows_given: Mapping[str, int] = field(default_factory=dict)
    bound: Simultaneous | None = None
    table_one: tuple[Row, ...] = ()

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
    level: float = LEVEL,
    attempts: int = 1,
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
    level
        Family-wise level of the simultaneous bound: how often it may find a leak where there is none.
    attempts
        How often this real data was tried, this time included; widens the bound.

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
        share = _BOUND_FROM / len(wanted)
        report = part(progress, place * share, (place + 1) * share)
        report(0.0, name.replace("_", " "))
        if what == "metric":
            tables = (used["train"], used["holdout"], used["synthetic"])
            scores[name] = functions[name](*tables, schema, seed=seed, progress=report)
        elif control is None:
            risks[name] = _no_control(name, len(used["holdout"]))
        else:
            targets = (used["train"], *control, used["synthetic"])
            risks[name] = functions[name](*targets, schema, seed=seed, progress=report)
    bound = None
    if control is not None:
        settings = _Settings(seed=seed, level=level, attempts=attempts)
        report = part(progress, _BOUND_FROM, 1.0)
        bound = _bound(risks, (used["train"], *control), schema, settings, report=report)
    return Evaluation(
        scores,
        risks,
        summarise(used["train"], used["synthetic"], schema),
        {name: len(table) for name, table in used.items()},
        protocol().hash,
        {name: len(table) for name, table in given.items()},
        bound,
        table_one(used["train"], used["synthetic"], schema),
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


class _Settings(TypedDict):
    seed: int
    level: float
    attempts: int


def _bound(
    risks: Mapping[str, Risk],
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    schema: Schema,
    settings: _Settings,
    *,
    report: Progress,
) -> Simultaneous | None:
    """The bound over members, non-members and reference, from whatever evidence the attacks gave."""
    evidence = [one for risk in risks.values() for one in risk.evidence]
    if not evidence:
        return None
    # Here and not above: SciPy's statistics change the warning filters of whoever imports ehrsynth.
    from ehrsynth.evaluation.privacy.simultaneous import simultaneous
    from ehrsynth.evaluation.privacy.strata import strata

    report(0.0, "bounding all attacks together")
    groups = strata(*tables, schema, seed=settings["seed"])
    return simultaneous(evidence, groups, **settings, progress=report)


def _controls(holdout: pd.DataFrame, schema: Schema, seed: int) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    if len(holdout) < MINIMUM:
        return None
    key = derived_seed(seed, "controls").to_bytes(_KEY_BYTES, "big")
    return controls(holdout, schema, key=key)


def _no_control(name: str, rows: int) -> Risk:
    reason = f"not measurable here: the holdout has {rows} patients, and a control needs {MINIMUM}"
    return Risk(name, None, None, None, None, None, None, 0, 0, {}, reason)
