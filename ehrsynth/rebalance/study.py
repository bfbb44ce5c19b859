"""The study: every method learns from training patients alone and is tested on real, unseen patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import EhrSynthError, MissingPackage
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed
from ehrsynth.rebalance.base import AbstractDecider, Predictor
from ehrsynth.rebalance.exposure import loss_exposure, row_exposure
from ehrsynth.rebalance.groups import EVERYONE
from ehrsynth.rebalance.measures import MEASURES, measures
from ehrsynth.rebalance.methods import UNTREATED, method
from ehrsynth.rebalance.plan import Plan, Rows, remembered, rows_of
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.splits import Split, Splits
from ehrsynth.rebalance.treating import learnt_from, treat
from ehrsynth.schema import Schema
from ehrsynth.statistics import Estimate, corrected_paired_interval

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
EXPOSURES = ("membership", "membership_by_rows")
COLUMNS = (*MEASURES, *EXPOSURES, "made", "events", "patients")
NO_SPREAD = 1e-12  # below this, numbers of splits are the same but for rounding
_LARGE = 1_000_000  # what a share of patients is multiplied by to be given as two whole numbers


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What was measured.

    Parameters
    ----------
    plan, schema
        What it was about.
    groups
        The plan's groups, and "all patients" last where there are several.
    methods
        The methods that could be judged on every split, "none" first.
    values
        Methods x splits x groups x `COLUMNS`: measures on real test patients of the split (see
        `ehrsynth.rebalance.measures`), how well training patients are told from them, rows made for the
        group, and the test patients of the group; NaN where there is no number.
    failed
        Methods that could not be judged, each with the reason.
    splits
        The splits.
    warnings
        What must be read, by method.
    """

    plan: Plan
    schema: Schema
    groups: tuple[str, ...]
    methods: tuple[str, ...]
    values: Floats
    failed: Mapping[str, str]
    splits: Splits
    warnings: Mapping[str, tuple[str, ...]]

    def of(self, method: str, group: str, measure: str) -> Floats:
        """One number for each split."""
        place = self.methods.index(method), self.groups.index(group), COLUMNS.index(measure)
        return self.values[place[0], :, place[1], place[2]]

    def mean(self, method: str, group: str, measure: str) -> float:
        """The mean over the splits that have a number; NaN where none has."""
        return mean_known(self.of(method, group, measure))

    def difference(
        self, method: str, group: str, measure: str, *, against: str = UNTREATED
    ) -> Estimate | None:
        """By how much a method is above another on the same splits, with the corrected interval.

        None where fewer than two splits have both numbers.
        """
        return self.interval(self.of(method, group, measure) - self.of(against, group, measure))

    def interval(self, numbers: Floats) -> Estimate | None:
        """The mean of one number a split, with the corrected interval.

        None if fewer than two are known, or if all are the same and not 0: an interval of no width would
        promise what a handful of events cannot show.
        """
        known = numbers[~np.isnan(numbers)]
        if len(known) < 2:  # noqa: PLR2004
            return None
        if np.ptp(known) <= NO_SPREAD < abs(known.mean()):
            return None
        test = max(1, round(self.splits.test_over_train * _LARGE))
        return corrected_paired_interval(known, n_train=_LARGE, n_test=test)


def mean_known(numbers: Floats) -> float:
    """The mean of the numbers that are none of NaN; NaN where all are."""
    known = numbers[~np.isnan(numbers)]
    return float(known.mean()) if len(known) else float("nan")


def study(  # noqa: PLR0913 - what is studied, and how
    table: pd.DataFrame,
    plan: Plan,
    schema: Schema,
    methods: Sequence[str],
    *,
    splits: Splits,
    seed: int,
    progress: Progress | None = None,
) -> Study:
    """Try methods on splits of a table of real patients.

    Parameters
    ----------
    methods
        As `ehrsynth.rebalance.methods.method` reads them; "none" is always tried.
    splits
        Whom to learn from and whom to test on.
    seed
        0 or larger; equal seeds give equal studies on the same machine.

    Raises
    ------
    RequestError
        If a method is not known.
    MissingPackage
        If a method needs a package that is not installed.
    """
    texts = (UNTREATED, *(m for m in dict.fromkeys(methods) if m != UNTREATED))
    for text in texts:
        method(text)
    groups = plan.names if plan.names == (EVERYONE,) else (*plan.names, EVERYONE)
    values = np.full((len(texts), len(splits), len(groups), len(COLUMNS)), np.nan)
    failed: dict[str, str] = {}
    warned: dict[str, tuple[str, ...]] = {}
    report = progress or silent
    for number, split in enumerate(splits.each):
        fold = _Fold.of(table, split, plan, schema, seed=derived_seed(seed, "study", str(number)))
        for place, text in enumerate(texts):
            if text in failed:
                continue
            done = (number * len(texts) + place) / (len(splits) * len(texts))
            report(done, f"split {number + 1} of {len(splits)}: {text}")
            try:
                values[place, number], warned[text] = fold.judged(text, groups)
            except MissingPackage:
                raise
            except EhrSynthError as error:
                failed[text] = str(error)
    report(1.0, "studied")
    kept = [place for place, text in enumerate(texts) if text not in failed]
    names = tuple(texts[place] for place in kept)
    warned = {name: words for name, words in warned.items() if words and name in names}
    return Study(plan, schema, groups, names, values[kept], failed, splits, warned)


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """One split, ready for every method."""

    train: pd.DataFrame
    test: pd.DataFrame
    rows: Rows
    unseen: Rows
    plan: Plan
    schema: Schema
    seed: int

    @classmethod
    def of(cls, table: pd.DataFrame, split: Split, plan: Plan, schema: Schema, *, seed: int) -> "_Fold":
        train, test = (table.iloc[p].reset_index(drop=True) for p in (split.train, split.test))
        return cls(train, test, rows_of(train, plan, schema), rows_of(test, plan, schema), plan, schema, seed)

    def judged(self, text: str, groups: Sequence[str]) -> tuple[Floats, tuple[str, ...]]:
        """Groups x `COLUMNS`, and the method's warnings."""
        with remembered((self.train, self.plan, self.rows), (self.test, self.plan, self.unseen)):
            treatment = treat(text, self.train, self.plan, self.schema, seed=self.seed)
            predictor = learnt_from(treatment, self.train, self.plan, self.schema, seed=self.seed)
            risk = {"train": predictor.risks(self.train), "test": predictor.risks(self.test)}
            called = self._called(predictor, risk["test"])
        made = None if treatment.made is None else rows_of(treatment.made, self.plan, self.schema)
        found = np.full((len(groups), len(COLUMNS)), np.nan)
        for place, name in enumerate(groups):
            number = None if name == EVERYONE else self.plan.names.index(name)
            found[place] = self._group(number, risk, called, made)
        return found, treatment.warnings

    def _called(self, predictor: Predictor, risk: Floats) -> Mask:
        """Who is called high-risk: as the predictor decides, else above the training share of events."""
        if isinstance(predictor, AbstractDecider):
            return predictor.decisions(self.test)
        return np.asarray(risk > self.rows.event.mean())

    def _group(
        self, number: int | None, risk: Mapping[str, Floats], called: Mask, made: Rows | None
    ) -> Floats:
        everyone: Callable[[Rows], Mask] = lambda rows: np.ones(len(rows), np.bool_)  # noqa: E731
        inside = everyone if number is None else lambda rows: np.asarray(rows.group == number)
        seen, unseen = inside(self.rows), inside(self.unseen)
        specificity = rebalance_protocol().specificity
        event = self.unseen.event[unseen]
        known = measures(event, risk["test"][unseen], called[unseen], specificity=specificity)
        known["membership"] = loss_exposure(
            (self.rows.event[seen], risk["train"][seen]), (event, risk["test"][unseen])
        )
        if made is not None and number is not None:
            mine = inside(made)
            known["made"] = float(mine.sum())
            known["membership_by_rows"] = row_exposure(
                self.rows.matrix.rows(seen),
                self.unseen.matrix.rows(unseen),
                made.matrix.rows(mine),
                seed=self.seed,
            )
        known |= {"events": float(event.sum()), "patients": float(len(event))}
        return np.array([known.get(name, np.nan) for name in COLUMNS])
