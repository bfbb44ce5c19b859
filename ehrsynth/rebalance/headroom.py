"""What more patients of a group would be worth, and what made rows are worth in real ones.

Of each group that is to be helped a share of the training patients is kept and the rest removed: what the
learner then does is its learning curve. A method that adds rows is asked to put back as many as were removed
(mask and restore: Juwara, El-Hussuna and El Emam 2024, doi 10.1016/j.patter.2024.100946). Tests are on real
patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import EhrSynthError
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.rebalance.coefficients import Kept, kept_coefficients
from ehrsynth.rebalance.measures import log_loss
from ehrsynth.rebalance.methods import UNTREATED
from ehrsynth.rebalance.plan import Counts, Plan, Rows, rows_of
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.splits import Split
from ehrsynth.rebalance.study import Study
from ehrsynth.rebalance.treating import learnt_from, treat
from ehrsynth.rebalance.worth import SCORES, Curve, Worth, learning_curve, row_worth
from ehrsynth.schema import Schema
from ehrsynth.statistics import Estimate, auroc

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Restored(NamedTuple):
    """What a method put back of what was lost when a share of a group's patients was removed.

    `lost` is the AUROC of all patients less that of those left; `regained` that with the method less that of
    those left, on the same splits. `coefficients` says the same of the group's regression (see
    `coefficients`).
    """

    group: str
    method: str
    removed: float
    lost: Estimate | None
    regained: Estimate | None
    coefficients: Kept | None


@dataclass(frozen=True, slots=True, eq=False)
class Headroom:
    """Learning curves, mask-and-restore, and what made rows were worth."""

    curves: tuple[Curve, ...]
    restored: tuple[Restored, ...]
    worth: tuple[Worth, ...]


def headroom(
    table: pd.DataFrame, study: Study, helped: Sequence[str], *, seed: int, progress: Progress | None = None
) -> Headroom:
    """Measure the headroom on the study's own splits.

    Parameters
    ----------
    table
        The study's table.
    helped
        The groups that are to be helped.
    """
    shares, restorers = rebalance_protocol().kept_shares, _restorers(study, helped)
    report = progress or silent
    masked = np.full((len(study.splits), len(helped), len(shares), 1 + len(restorers), len(SCORES)), np.nan)
    sizes = np.zeros((len(study.splits), len(helped), len(shares) + 1))
    kept: dict[tuple[int, int, int], list[Kept]] = {}
    for number, split in enumerate(study.splits.each):
        report(number / len(study.splits), f"headroom: split {number + 1} of {len(study.splits)}")
        fold = _Fold.of(table, split, study, helped, seed=derived_seed(seed, "headroom", str(number)))
        sizes[number, :, -1] = fold.counts
        for place, share in enumerate(shares):
            part = fold.masked(share)
            sizes[number, :, place] = [fold.count(part, name) for name in helped]
            for m, text in enumerate((UNTREATED, *restorers)):
                masked[number, :, place, m], coefficients = fold.tried(text, part)
                for g, found in enumerate(coefficients):
                    if found is not None:
                        kept.setdefault((g, place, m), []).append(found)
    report(1.0, "headroom measured")
    curves = tuple(
        learning_curve(study, name, sizes[:, g], masked[:, g, :, 0]) for g, name in enumerate(helped)
    )
    restored = tuple(
        _restored(study, name, text, shares[place], masked[:, g, place, :, 0], m, kept.get((g, place, m)))
        for g, name in enumerate(helped)
        for place in range(len(shares))
        for m, text in enumerate((UNTREATED, *restorers))
    )
    worth = tuple(row_worth(study, curve, name) for curve in curves for name in _makers(study, helped))
    return Headroom(curves, restored, worth)


def _makers(study: Study, helped: Sequence[str]) -> list[str]:
    """The methods that make rows for the groups to be helped."""
    return [n for n in study.methods if np.nansum([study.of(n, g, "made") for g in helped]) > 0]


def _restorers(study: Study, helped: Sequence[str]) -> tuple[str, ...]:
    """The methods that make rows and did best in the groups to be helped."""
    makers = _makers(study, helped)
    mean = {n: float(np.mean([study.mean(n, g, "auroc") for g in helped])) for n in makers}
    return tuple(sorted(makers, key=lambda n: -mean[n])[: rebalance_protocol().restored_by])


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """One split: whole training part, test part, and how to take patients away."""

    train: pd.DataFrame
    rows: Rows
    test: pd.DataFrame
    unseen: Rows
    plan: Plan
    schema: Schema
    helped: tuple[str, ...]
    seed: int

    @classmethod
    def of(
        cls, table: pd.DataFrame, split: Split, study: Study, helped: Sequence[str], *, seed: int
    ) -> "_Fold":
        train, test = (table.iloc[p].reset_index(drop=True) for p in (split.train, split.test))
        plan, schema = study.plan, study.schema
        return cls(
            train,
            rows_of(train, plan, schema),
            test,
            rows_of(test, plan, schema),
            plan,
            schema,
            tuple(helped),
            seed,
        )

    @property
    def counts(self) -> list[int]:
        """Training patients of each group to be helped."""
        return [int((self.rows.group == self.plan.names.index(name)).sum()) for name in self.helped]

    def count(self, table: pd.DataFrame, name: str) -> int:
        """Patients of a group in a table."""
        return int((rows_of(table, self.plan, self.schema).group == self.plan.names.index(name)).sum())

    def masked(self, share: float) -> pd.DataFrame:
        """Training patients with a share of each outcome of the helped groups, two of each at least."""
        drop = np.zeros(len(self.train), np.bool_)
        for name in self.helped:
            inside = self.rows.group == self.plan.names.index(name)
            for event in (False, True):
                places = np.flatnonzero(inside & (self.rows.event == event))
                rng = numpy_generator(self.seed, "mask", name, str(event), f"{share:g}")
                drop[rng.permutation(places)[max(2, round(share * len(places))) :]] = True
        return self.train[~drop].reset_index(drop=True)

    def tried(self, text: str, part: pd.DataFrame) -> tuple[Floats, list[Kept | None]]:
        """Each helped group's `SCORES` after a method put back what was removed, and its regression."""
        wanted = Counts(dict(zip(self.helped, self.counts, strict=True)))
        plan = replace(self.plan, goal=wanted, rows=len(part), classes="kept")
        scores, coefficients = np.full((len(self.helped), len(SCORES)), np.nan), [None] * len(self.helped)
        try:
            treatment = treat(text, part, plan, self.schema, seed=self.seed)
            predictor = learnt_from(treatment, part, plan, self.schema, seed=self.seed)
        except EhrSynthError:  # a method that needs more patients than are left restores nothing
            return scores, [*coefficients]
        risks, treated = predictor.risks(self.test), part if treatment.table is None else treatment.table
        for g, name in enumerate(self.helped):
            inside = self.unseen.group == self.plan.names.index(name)
            event = self.unseen.event[inside]
            if event.any() and not event.all():
                scores[g] = auroc(event, risks[inside]), log_loss(event, risks[inside])
        return scores, [
            kept_coefficients(treated, self.train, plan, self.schema, group=n) for n in self.helped
        ]


def _restored(  # noqa: PLR0913, PLR0917 - one cell of the table
    study: Study,
    name: str,
    text: str,
    share: float,
    aurocs: Floats,
    m: int,
    kept: list[Kept] | None,
) -> Restored:
    full = study.of(UNTREATED, name, "auroc")
    lost, regained = study.interval(full - aurocs[:, 0]), study.interval(aurocs[:, m] - aurocs[:, 0])
    mean = None if not kept else Kept(*(float(np.mean(column)) for column in zip(*kept, strict=True)))
    return Restored(name, text, 1 - share, lost, regained, mean)


def as_json(found: Headroom) -> dict[str, Any]:
    """Plain values."""
    return {
        "learning_curves": [
            {
                "group": c.group,
                "training_patients": list(c.sizes),
                **{
                    score: {
                        "values": [float(v) for v in np.nanmean(c.values[:, :, place], axis=0)],
                        "per_doubling": None if (d := c.per_doubling[score]) is None else d._asdict(),
                    }
                    for place, score in enumerate(SCORES)
                },
            }
            for c in found.curves
        ],
        "mask_and_restore": [
            {
                **r._asdict(),
                **{
                    k: None if (e := getattr(r, k)) is None else e._asdict()
                    for k in ("lost", "regained", "coefficients")
                },
            }
            for r in found.restored
        ],
        "worth": [{**w._asdict(), "sentence": w.sentence} for w in found.worth],
    }
