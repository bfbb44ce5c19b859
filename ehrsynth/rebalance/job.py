"""The whole job: prepare, study, measure the headroom, leave sites out, decide, and treat the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from ehrsynth.errors import MissingPackage, Refused, RequestError
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed
from ehrsynth.rebalance.base import Treatment
from ehrsynth.rebalance.brnet import BrNetSettings
from ehrsynth.rebalance.headroom import Headroom, headroom
from ehrsynth.rebalance.methods import UNTREATED, installed, method, quick
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.representation import Brnet, Represented, dependence
from ehrsynth.rebalance.sites import SitesOut, leave_sites_out
from ehrsynth.rebalance.splits import Splits, repeated_splits
from ehrsynth.rebalance.study import Study, study
from ehrsynth.rebalance.targets import helped
from ehrsynth.rebalance.treating import treat
from ehrsynth.rebalance.verdict import Verdict, decide
from ehrsynth.rebalance.wishes import Prepared, Wishes, prepare
from ehrsynth.schema import Schema
from ehrsynth.versions import installed_versions

_PACKAGES = (
    "ehrsynth",
    "numpy",
    "pandas",
    "scikit-learn",
    "lightgbm",
    "torch",
    "imbalanced-learn",
    "fairlearn",
)
_STUDY, _HEADROOM, _SITES = 0.7, 0.85, 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Rebalancing:
    """Everything that was found, and the treatment of the whole table; None where nothing is to be done."""

    ready: Prepared
    wishes: Wishes
    study: Study
    headroom: Headroom
    sites: SitesOut | None
    dependence: dict[str, Any] | None
    verdict: Verdict
    treatment: Treatment | None
    seed: int
    date: str
    versions: dict[str, str]


def rebalance(  # noqa: PLR0913 - what the command line can choose
    table: pd.DataFrame,
    schema: Schema,
    wishes: Wishes,
    *,
    methods: Sequence[str] | None = None,
    splits: int | None = None,
    apply: str | None = None,
    seed: int,
    progress: Progress | None = None,
) -> Rebalancing:
    """Find out whether rebalancing helps, and do it where it does.

    Parameters
    ----------
    table
        Real patients, in memory as `ehrsynth.tables.read_table` gives them for `schema`.
    methods
        As `ehrsynth.rebalance.methods.method` reads them; all quick ones when None.
    splits
        Repeated splits, at least 2; the protocol's 12 when None.
    apply
        A method that treats the table whatever the verdict says.
    seed
        0 or larger; equal seeds give equal results on the same machine.

    Raises
    ------
    RequestError, DataError, Refused
        As `ehrsynth.rebalance.wishes.prepare`; RequestError also for a method that is not known.
    MissingPackage
        If a method needs a package that is not installed.
    """
    ready = prepare(table, schema, wishes)
    tried = _methods(methods, apply, wishes)
    cut = cut_repeatedly(ready, splits, seed)
    raised = helped(ready.table, ready.plan, ready.schema)
    first = part(progress, 0.0, _STUDY)
    studied = study(ready.table, ready.plan, ready.schema, tried, splits=cut, seed=seed, progress=first)
    _check_tried(studied)
    room = headroom(ready.table, studied, raised, seed=seed, progress=part(progress, _STUDY, _HEADROOM))
    sites = leave_sites_out(ready, studied, raised, seed=seed, progress=part(progress, _HEADROOM, _SITES))
    shown = _dependence(ready, studied, cut, seed)
    verdict = decide(studied, raised)
    chosen = apply or verdict.recommended
    last = derived_seed(seed, "treatment")
    part(progress, _SITES, 1.0)(0.0, "treating the whole table" if chosen else "no treatment")
    done = None if chosen is None else treat(chosen, ready.table, ready.plan, ready.schema, seed=last)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Rebalancing(
        ready, wishes, studied, room, sites, shown, verdict, done, seed, now, installed_versions(_PACKAGES)
    )


def _check_tried(studied: Study) -> None:
    """Where no method could be tried there is nothing to reach a verdict on."""
    if studied.failed and set(studied.methods) == {UNTREATED}:
        raise Refused(
            "none of the methods can be tried, so that there is no verdict",
            [f"{name}: {why}" for name, why in studied.failed.items()],
        )


def cut_repeatedly(ready: Prepared, splits: int | None, seed: int) -> Splits:
    """The repeated splits of a study.

    Raises
    ------
    RequestError
        If fewer than 2 are asked for.
    """
    settings = rebalance_protocol()
    count = settings.splits if splits is None else splits
    if count < 2:  # noqa: PLR2004
        message = f"{count} splits were asked for; an interval needs at least 2"
        raise RequestError(message)
    return repeated_splits(ready.rows, count=count, test_share=settings.test_share, seed=seed)


def _methods(methods: Sequence[str] | None, apply: str | None, wishes: Wishes) -> tuple[str, ...]:
    chosen = quick(thresholds=wishes.group_thresholds) if methods is None else tuple(methods)
    chosen = (*chosen, *(() if apply is None else (apply,)))
    for text in chosen:
        if not installed(text):
            raise MissingPackage(text, "rebalance")
    return tuple(dict.fromkeys((UNTREATED, *chosen)))


def _dependence(ready: Prepared, studied: Study, cut: Splits, seed: int) -> dict[str, Any] | None:
    """What a BR-Net, where one was tried, still shows of the groups; on the first split."""
    text = next((name for name in studied.methods if name.split()[0] == Brnet.name), None)
    if text is None:
        return None
    train, test = (ready.table.iloc[p].reset_index(drop=True) for p in (cut.each[0].train, cut.each[0].test))
    made = method(text)
    if not isinstance(made, Brnet):
        return None
    resting = BrNetSettings(**made.network.model_dump() | {"adversary_rate": 0.0})
    each = [
        one(train, ready.plan, ready.schema, seed=seed).predictor
        for one in (made, made.model_copy(update={"network": resting}))
    ]
    if not all(isinstance(one, Represented) for one in each):
        return None
    return dependence(made, each[0], each[1], test, seed=seed)  # type: ignore[arg-type]
