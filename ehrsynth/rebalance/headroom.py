"""What more patients of a group would be worth, and what made rows are worth in real ones.

Of each group that is to be helped a share of the training patients is kept and the rest removed: what the
learner then does is its learning curve. A method that adds rows is asked to put back as many as were removed
(mask and restore: Juwara, El-Hussuna and El Emam 2024, doi 10.1016/j.patter.2024.100946). Tests are on real
patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import EhrSynthError
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.rebalance.coefficients import Kept, kept_coefficients
from ehrsynth.rebalance.methods import UNTREATED
from ehrsynth.rebalance.plan import Counts, Plan, Rows, rows_of
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.splits import Split
from ehrsynth.rebalance.study import Study
from ehrsynth.rebalance.treating import learnt_from, treat
from ehrsynth.schema import Schema
from ehrsynth.statistics import Estimate, auroc, normal_quantile

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
_DRAWS = 20_000
_UNSURE = 0.05
_DEGENERATE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A group's AUROC by how many of its training patients there are, with "none".

    `sizes` are mean numbers of training patients, rising; `values` splits x sizes. `per_doubling` is what
    twice as many patients add.
    """

    group: str
    sizes: tuple[float, ...]
    values: Floats
    per_doubling: Estimate | None


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


class Worth(NamedTuple):
    """What 100 made rows were worth in real patients; None where it cannot be told, with the reason."""

    group: str
    method: str
    made: float
    value: float | None
    low: float | None
    high: float | None
    reason: str

    @property
    def sentence(self) -> str:
        """In words."""
        rows = f"100 rows made by {self.method} for {self.group}"
        if self.value is None or self.low is None:
            return f"What {rows} were worth in real patients cannot be told: {self.reason}."
        upper = "no upper end" if self.high is None else f"{self.high:.0f}"
        return f"{rows} were worth {self.value:.0f} ({self.low:.0f} to {upper}) more real ones."


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
    masked = np.full((len(study.splits), len(helped), len(shares), 1 + len(restorers)), np.nan)
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
                aurocs, coefficients = fold.tried(text, part)
                masked[number, :, place, m] = aurocs
                for g, found in enumerate(coefficients):
                    if found is not None:
                        kept.setdefault((g, place, m), []).append(found)
    report(1.0, "headroom measured")
    curves = tuple(_curve(study, name, sizes[:, g], masked[:, g, :, 0]) for g, name in enumerate(helped))
    restored = tuple(
        _restored(study, name, text, shares[place], masked[:, g, place], m, kept.get((g, place, m)))
        for g, name in enumerate(helped)
        for place in range(len(shares))
        for m, text in enumerate((UNTREATED, *restorers))
    )
    makers = [name for name in study.methods if np.nansum(study.of(name, helped[0], "made")) > 0]
    worth = tuple(_worth(study, curve, name) for curve in curves for name in makers)
    return Headroom(curves, restored, worth)


def _restorers(study: Study, helped: Sequence[str]) -> tuple[str, ...]:
    """The methods that make rows and did best in the groups to be helped."""
    makers = [n for n in study.methods if np.nansum([study.of(n, g, "made") for g in helped]) > 0]
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

    def tried(self, text: str, part: pd.DataFrame) -> tuple[list[float], list[Kept | None]]:
        """Each helped group's AUROC after a method put back what was removed, and its regression."""
        wanted = Counts(dict(zip(self.helped, self.counts, strict=True)))
        plan = replace(self.plan, goal=wanted, rows=len(part), classes="kept")
        try:
            treatment = treat(text, part, plan, self.schema, seed=self.seed)
            predictor = learnt_from(treatment, part, plan, self.schema, seed=self.seed)
        except EhrSynthError:  # a method that needs more patients than are left restores nothing
            return [np.nan] * len(self.helped), [None] * len(self.helped)
        risks, treated = predictor.risks(self.test), part if treatment.table is None else treatment.table
        aurocs, coefficients = [], []
        for name in self.helped:
            inside = self.unseen.group == self.plan.names.index(name)
            event = self.unseen.event[inside]
            aurocs.append(np.nan if event.all() or not event.any() else auroc(event, risks[inside]))
            coefficients.append(kept_coefficients(treated, self.train, plan, self.schema, group=name))
        return aurocs, coefficients


def _curve(study: Study, name: str, sizes: Floats, masked: Floats) -> Curve:
    values = np.column_stack([masked, study.of(UNTREATED, name, "auroc")])
    return Curve(name, tuple(sizes.mean(axis=0)), values, study.interval(_slopes(sizes, values)))


def _slopes(sizes: Floats, values: Floats) -> Floats:
    """For each split, what a doubling of the group adds: the slope of AUROC on the logarithm of the size."""
    found = np.full(len(values), np.nan)
    for number, (size, value) in enumerate(zip(np.log2(sizes), values, strict=True)):
        known = ~np.isnan(value)
        if known.sum() > 1 and np.ptp(size[known]) > 0:
            found[number] = np.polyfit(size[known], value[known], 1)[0]
    return found


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


def _worth(study: Study, curve: Curve, text: str) -> Worth:
    """Made rows in real patients: how far along the learning curve the method's gain would reach.

    With D the gain and b what a doubling adds, the rows stand for ``n (2 ** (D / b) - 1)`` real patients. D
    and b are drawn together from the normal distribution that the splits' corrected covariance gives.
    """
    made, n = study.mean(text, curve.group, "made"), curve.sizes[-1]
    gains = study.of(text, curve.group, "auroc") - study.of(UNTREATED, curve.group, "auroc")
    slopes = _slopes(np.tile(curve.sizes, (len(gains), 1)), curve.values)
    known = ~np.isnan(gains) & ~np.isnan(slopes)
    if known.sum() < 3 or not made > 0:  # noqa: PLR2004
        return Worth(
            curve.group, text, made, None, None, None, "too few splits could be measured, or no row was made"
        )
    pairs = np.stack([gains[known], slopes[known]])
    widened = (1 / known.sum() + study.splits.test_over_train) * np.cov(pairs)
    gain, slope = pairs.mean(axis=1)
    error = float(np.sqrt(widened[1, 1]))
    if slope - normal_quantile(0.95) * error <= 0:
        reason = (
            f"its learning curve is too flat or too uncertain: twice as many real patients add {slope:.3f}"
            f" ({slope - normal_quantile(0.95) * error:.3f} to"
            f" {slope + normal_quantile(0.95) * error:.3f}) of AUROC"
        )
        return Worth(curve.group, text, made, None, None, None, reason)
    rng = numpy_generator(0, "worth", curve.group, text)
    drawn = rng.multivariate_normal([gain, slope], widened + _DEGENERATE * np.eye(2), size=_DRAWS)
    ratio = np.where(drawn[:, 1] > 0, drawn[:, 0] / np.maximum(drawn[:, 1], _DEGENERATE), np.nan)
    worths = 100 * n * (2 ** np.clip(ratio, -50, 50) - 1) / made
    low, high = np.nanquantile(worths, (_UNSURE / 2, 1 - _UNSURE / 2))
    value = 100 * n * (2 ** (gain / slope) - 1) / made
    return Worth(curve.group, text, made, float(value), float(low), float(high), "")


def as_json(found: Headroom) -> dict[str, Any]:
    """Plain values."""
    return {
        "learning_curves": [
            {
                "group": c.group,
                "training_patients": list(c.sizes),
                "auroc": [float(v) for v in np.nanmean(c.values, axis=0)],
                "per_doubling": None if c.per_doubling is None else c.per_doubling._asdict(),
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


def best_worth(found: Headroom, recommended: str | None) -> Mapping[str, str]:
    """For each group the sentence of the recommended method, else of the one whose rows were worth most."""
    sentences: dict[str, str] = {}
    for group in dict.fromkeys(w.group for w in found.worth):
        mine = [w for w in found.worth if w.group == group]
        chosen = [w for w in mine if w.method == recommended] or sorted(
            mine, key=lambda w: -(w.value or -np.inf)
        )
        sentences[group] = chosen[0].sentence
    return sentences
