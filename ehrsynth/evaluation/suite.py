"""Every metric and every attack over one set of tables, in one call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import pandas as pd
from threadpoolctl import threadpool_limits

from ehrsynth.engine import InProcess, current
from ehrsynth.errors import RequestError
from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.controls import MINIMUM, controls
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.evaluation.privacy.bounds import LEVEL, Simultaneous
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.summaries import SMALL_CELL, ColumnSummary, summarise
from ehrsynth.evaluation.table_one import Row, table_one
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.registry import known, resolve
from ehrsynth.schema import Schema

_KEY_BYTES = 8
_BOUND_FROM = 0.96  # of the progress: the bound comes after everything else
_OF_EVERY_ROW = frozenset({"copied_rows", "constraint_violations"})  # measured on all copies together
SECOND_OPINIONS: tuple[Literal["inference", "linkability", "singling_out"], ...] = (
    "inference",
    "linkability",
    "singling_out",
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on one synthetic table.

    Parameters
    ----------
    scores, risks
        By registered name; of the risks also "combined", all attacks on membership as one.
    columns
        In the schema's order: both tables' shares, the real one being the training table. Internal: see
        `suppressed` for what may be shared.
    rows
        Rows that were used of "train", "holdout" and "synthetic"; of the latter by the metrics, since the
        attacks use all.
    protocol_hash
        Hash of the protocol: two evaluations compare only when theirs are equal.
    rows_given
        Rows that were given; more than were used when a subsample was asked for.
    bound
        The simultaneous bound over all attacks and groups; None when no attack gave evidence for it.
    table_one
        The training table and the synthetic one side by side, as a paper's Table 1 has them.
    combined
        What several copies say together of each effect (see `combined_effects`); None for one copy.
    second_opinions
        The same three risks as the package anonymeter finds them, its counting mended; empty where not asked.
    unread
        Synthetic rows of all copies that were not given: the attacks could not look at them.
    """

    scores: Mapping[str, Score]
    risks: Mapping[str, Risk]
    columns: tuple[ColumnSummary, ...]
    rows: Mapping[str, int]
    protocol_hash: str
    rows_given: Mapping[str, int] = field(default_factory=dict)
    bound: Simultaneous | None = None
    table_one: tuple[Row, ...] = ()
    combined: Mapping[str, Any] | None = None
    second_opinions: Mapping[str, Risk] = field(default_factory=dict)
    unread: int = 0

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
    copies: Sequence[pd.DataFrame] = (),
    earlier: Sequence[pd.DataFrame] = (),
    second_opinion: bool = False,
) -> Evaluation:
    """Measure a synthetic table against the patients it was made from and patients it never saw.

    Parameters
    ----------
    train, holdout, synthetic
        Tables in memory as `ehrsynth.tables.read_table` gives them for `schema`.
    metrics, attacks
        Registered names; all when None, none when empty.
    rows
        At most so many patients of each real table, drawn by the seed; all when None. Attacks, copied rows
        and broken rules look at every synthetic row all the same, as an attacker would: a leak is no smaller
        where fewer patients are measured. The other metrics take so many synthetic rows. Learners and attacks
        keep to the protocol's own limits in any case.
    level
        Family-wise level of the simultaneous bound: how often it may find a leak where there is none.
    attempts
        How often this real data was tried, this time included; widens the bound.
    copies
        Further tables drawn from the same fitted generator. Attacks, copied rows and broken rules then look
        at all of them together, since whoever gets one gets all; the other scores are of `synthetic`.
    earlier
        Tables of the same patients that left before: the attacks alone look at them too.
    second_opinion
        Also ask the package anonymeter about three of the risks. It takes no part in the bound.

    Raises
    ------
    RequestError
        If a name is not registered, or `rows` is below 1.
    DataError
        If a table does not fit the schema.
    MissingPackage
        If a second opinion is asked for and anonymeter is not installed.
    """
    if rows is not None and rows < 1:
        message = f"rows is {rows}; at least 1 can be used"
        raise RequestError(message)
    given = {"train": train, "holdout": holdout, "synthetic": synthetic}
    used = {n: _subsample(table, schema, rows, seed, n) for n, table in given.items()}
    control = _controls(used["holdout"], schema, seed)
    scene = _Scene(**used, control=control, copies=[synthetic, *copies], earlier=earlier)
    scores, risks = _measured(scene, schema, metrics, attacks, seed=seed, progress=progress)
    bound, opinions = None, {}
    if control is not None:
        settings = _Settings(seed=seed, level=level, attempts=attempts)
        report = part(progress, _BOUND_FROM, 1.0)
        bound = _bound(risks, (scene.train, *control), schema, settings, report=report)
        opinions = _second_opinions(scene.attacked, schema, seed) if second_opinion else {}
    return Evaluation(
        scores,
        risks,
        summarise(scene.train, scene.synthetic, schema),
        {name: len(used[name]) for name in given},
        protocol().hash,
        {name: len(table) for name, table in given.items()},
        bound,
        table_one(scene.train, scene.synthetic, schema),
        _combined(train, scene.copies, schema, seed) if copies else None,
        opinions,
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """The tables as they are used: `control` is what the attacks need.

    Of the real tables and of `synthetic`, which the metrics take, perhaps a subsample; `copies`, at least
    one, and the `earlier` tables, which left before, as an attacker holds them: all of each.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame
    synthetic: pd.DataFrame
    control: tuple[pd.DataFrame, pd.DataFrame] | None
    copies: Sequence[pd.DataFrame]
    earlier: Sequence[pd.DataFrame]

    @property
    def union(self) -> pd.DataFrame:
        """All copies in one table."""
        return self.copies[0] if len(self.copies) == 1 else pd.concat(self.copies, ignore_index=True)

    @property
    def attacked(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """What an attack takes: members, non-members, reference, all synthetic rows."""
        non_members, reference = self.control or (self.holdout[:0], self.holdout[:0])
        every = [*self.copies, *self.earlier]
        made = self.union if len(every) == 1 else pd.concat(every, ignore_index=True)
        return self.train, non_members, reference, made


def _measured(
    scene: _Scene,
    schema: Schema,
    metrics: Sequence[str] | None,
    attacks: Sequence[str] | None,
    *,
    seed: int,
    progress: Progress | None,
) -> tuple[dict[str, Score], dict[str, Risk]]:
    """Every metric and every attack, by name."""
    wanted = [*_names("metric", metrics), *_names("attack", attacks)]
    for what, name in wanted:
        resolve(what, name)  # a name that is not known is said before the work
    found = dict(_each(_Task(scene, schema, seed), wanted, progress))
    scores = {name: one for _, name in wanted if isinstance(one := found[name], Score)}
    risks = {name: one for _, name in wanted if isinstance(one := found[name], Risk)}
    # Here and not above: SciPy's statistics change the warning filters of whoever imports ehrsynth.
    from ehrsynth.evaluation.privacy.combined import combined

    together = combined(risks)
    return scores, risks if together is None else {**risks, together.name: together}


@dataclass(frozen=True, slots=True)
class _Task:
    """What every metric and attack needs."""

    scene: _Scene
    schema: Schema
    seed: int


def _each(
    task: _Task, wanted: Sequence[tuple[str, str]], progress: Progress | None
) -> Iterator[tuple[str, Score | Risk]]:
    """Every result by its name: one after the other here, or side by side on the engine that was set."""
    share = _BOUND_FROM / max(1, len(wanted))
    if isinstance(current(), InProcess):
        for place, (what, name) in enumerate(wanted):
            report = part(progress, place * share, (place + 1) * share)
            report(0.0, name.replace("_", " "))
            yield name, _one(task, (what, name), report)
        return
    report = part(progress, 0.0, _BOUND_FROM)
    report(0.0, f"{len(wanted)} metrics and attacks side by side")
    for done, (place, result) in enumerate(current().each(_one, task, wanted), 1):
        name = wanted[place][1]
        report(done / len(wanted), f"{name.replace('_', ' ')} is done")
        yield name, result


def _one(task: _Task, wanted: tuple[str, str], progress: Progress = silent) -> Score | Risk:
    (what, name), scene = wanted, task.scene
    if what == "metric":
        made = scene.union if name in _OF_EVERY_ROW else scene.synthetic
        tables: tuple[pd.DataFrame, ...] = (scene.train, scene.holdout, made)
    elif scene.control is None:
        return _no_control(name, len(scene.holdout))
    else:
        tables = scene.attacked
    # The number of threads decides how sums round: the same numbers here and on a worker.
    with threadpool_limits(1):
        found: Score | Risk = resolve(what, name)(*tables, task.schema, seed=task.seed, progress=progress)
    return found


def _combined(
    train: pd.DataFrame, copies: Sequence[pd.DataFrame], schema: Schema, seed: int
) -> Mapping[str, Any]:
    # Here and not above: SciPy's statistics change the warning filters of whoever imports ehrsynth.
    from ehrsynth.evaluation.utility.copies import combined_effects

    return combined_effects(train, copies, schema, seed=seed)


def _second_opinions(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame], schema: Schema, seed: int
) -> dict[str, Risk]:
    from ehrsynth.evaluation.privacy._anonymeter_package import second_opinion

    return {name: second_opinion(*tables, schema, attack=name, seed=seed) for name in SECOND_OPINIONS}


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
