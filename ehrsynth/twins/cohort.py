"""A cohort of twins: each patient in each arm, as ordinary tables that a schema describes.

`twins` has a row for each patient, arm and outcome: mean, predictive interval, support, flags and draws.
`effects` has a row for each patient and contrast, where effects of single patients may be told. No column
subtracts one arm's draw from the other's: their order is arbitrary, and a difference of two would be a
coupling that somebody assumed. Where a patient lies outside the support of an arm, every number is missing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed
from ehrsynth.schema import BooleanColumn, CategoryColumn, IntegerColumn, NumberColumn, Schema
from ehrsynth.tables.grids import Grid
from ehrsynth.tables.origin import is_synthetic, mark_synthetic
from ehrsynth.tables.values import from_values
from ehrsynth.twins.drawing import draw
from ehrsynth.twins.model import Prediction
from ehrsynth.twins.outcome_study import OutcomeStudy
from ehrsynth.twins.outcomes import Outcome
from ehrsynth.twins.overlap import Support
from ehrsynth.twins.patients import covariates_of
from ehrsynth.twins.study import Study

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DRAWS = 100
_MORE_DECIMALS = 3
_MOST_DECIMALS = 12
_OUTSIDE = "outside support"
_FINE = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table with the schema that it was written by."""

    frame: pd.DataFrame
    schema: Schema


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """One outcome's twins of a cohort: the two tables, and the numbers behind them.

    `effects` is None where effects of single patients may not be told.
    """

    outcome: OutcomeStudy
    prediction: Prediction
    draws: Floats
    twins: Table
    effects: Table | None


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Twins of some patients.

    Parameters
    ----------
    patients
        The covariates of the patients, a row each; their order numbers them from 1.
    synthetic
        Whether no patient is real. Twins of real patients are these patients' data: internal.
    withheld
        Whether a patient lies outside support and no number is given.
    """

    patients: Table
    rows: Matrix
    support: Support
    outcomes: tuple[Twins, ...]
    synthetic: bool
    withheld: Mask

    def __len__(self) -> int:
        return len(self.rows)


def twin_cohort(
    study: Study,
    table: pd.DataFrame | None = None,
    *,
    draws: int = DRAWS,
    synthetic: bool | None = None,
    seed: int,
    progress: Progress | None = None,
) -> Cohort:
    """The twins of a cohort.

    Parameters
    ----------
    table
        The cohort's covariates; default: the study's own patients, each spoken of by models that did not see
        the patient.
    synthetic
        Whether the patients are made up; default: as the table is marked.
    """
    report, question = progress or silent, study.question
    own = table is None
    rows = study.patients.covariates if table is None else covariates_of(table, question.covariate_schema)
    marked = not own and (is_synthetic(table) if synthetic is None else synthetic)  # type: ignore[arg-type]
    predictions = []
    for number, outcome in enumerate(study.outcomes):
        report(number / len(study.outcomes), f"{outcome.name}: twins")
        predictions.append(outcome.model.predict(rows, level=study.options.level, study=own))
    support = study.support if own else study.supported.of(rows, predictions[0].chances)
    accepted = "outside-support" in study.options.accepted
    withheld = np.zeros(len(rows), np.bool_) if accepted else support.outside
    found = []
    for outcome, said in zip(study.outcomes, predictions, strict=True):
        if study.stopped(outcome):
            continue
        drawn = draw(outcome.model, said, draws, seed=derived_seed(seed, "cohort"))
        found.append(_twins(study, outcome, said, drawn, support=support, withheld=withheld, mark=marked))
    frame = from_values(dict(zip(rows.names, rows.values.T, strict=True)), question.covariate_schema)
    patients = Table(marked_if(frame, synthetic=marked), question.covariate_schema)
    return Cohort(patients, rows, support, tuple(found), marked, withheld)


def _twins(  # noqa: PLR0913 - a study, what is said, and who is withheld
    study: Study,
    outcome: OutcomeStudy,
    said: Prediction,
    drawn: Floats,
    *,
    support: Support,
    withheld: Mask,
    mark: bool,
) -> Twins:
    arms = tuple(arm.name for arm in study.question.arms)
    twins = table_of(
        _twin_columns(outcome.model.outcome, said, drawn, arms, support=support), withheld, len(arms)
    )
    effects = None
    if outcome.individual:
        effects = table_of(
            _effect_columns(outcome.model.outcome, said, study.question.contrasts), withheld, len(arms) - 1
        )
    tables = [
        None if t is None else Table(marked_if(t.frame, synthetic=mark), t.schema) for t in (twins, effects)
    ]
    assert tables[0] is not None  # noqa: S101 - there always are twins
    return Twins(outcome, said, drawn, tables[0], tables[1])


def marked_if(frame: pd.DataFrame, *, synthetic: bool) -> pd.DataFrame:
    """A frame, marked as synthetic where it is."""
    return mark_synthetic(frame) if synthetic else frame


# ---- columns ----

Column = tuple[Any, Floats]
_KEPT = {"patient", "arm", "contrast", "support", "flags"}


def table_of(columns: Iterator[Column], withheld: Mask, each: int) -> Table:
    """Columns of n x each values as one table, every number of a withheld patient missing."""
    kinds, values = [], {}
    gone = np.repeat(withheld, each)
    for column, found in columns:
        flat = np.asarray(found, np.float64).ravel()
        if column.name not in _KEPT:
            flat = np.where(gone, np.nan, flat)
        kinds.append(column)
        values[column.name] = flat
    schema = Schema(name="twins", citation="written by ehrsynth", columns=tuple(kinds))
    return Table(from_values(values, schema), schema)


def _twin_columns(
    outcome: Outcome, said: Prediction, drawn: Floats, arms: tuple[str, ...], *, support: Support
) -> Iterator[Column]:
    n, count = said.means.shape
    yield numbered(n, count)
    yield CategoryColumn(name="arm", values=arms), np.tile(np.arange(count), (n, 1))
    yield number_column("mean", said.means, outcome), said.means
    if outcome.discrete and said.sets is not None:
        yield from _set_columns(outcome, said.sets)
    else:
        yield number_column("low", said.outcomes.low, outcome), said.outcomes.low
        yield number_column("high", said.outcomes.high, outcome), said.outcomes.high
    yield _share("support"), np.tile(support.score[:, None], (1, count))
    flags = CategoryColumn(name="flags", values=(_FINE, _OUTSIDE))
    yield flags, np.tile(support.outside.astype(np.float64)[:, None], (1, count))
    width = len(str(drawn.shape[2]))
    for number in range(drawn.shape[2]):
        yield draw_column(outcome, f"draw_{number + 1:0{width}d}"), drawn[:, :, number]


def _effect_columns(outcome: Outcome, said: Prediction, contrasts: tuple[str, ...]) -> Iterator[Column]:
    n, count = said.effects.shape
    yield numbered(n, count)
    yield CategoryColumn(name="contrast", values=contrasts), np.tile(np.arange(count), (n, 1))
    for name, found in (
        ("average_effect", said.effects),
        ("average_effect_low", said.effect_interval.low),
        ("average_effect_high", said.effect_interval.high),
        ("individual_low", said.contrasts.low),
        ("individual_high", said.contrasts.high),
    ):
        yield number_column(name, found, outcome, difference=True), found


def numbered(n: int, each: int) -> Column:
    """The column that numbers patients from 1, each `each` times."""
    column = IntegerColumn(name="patient", minimum=1, maximum=max(1, n))
    return column, np.tile(np.arange(1, n + 1)[:, None], (1, each))


def number_column(name: str, values: Floats, outcome: Outcome, *, difference: bool = False) -> NumberColumn:
    """A column for numbers on the outcome's scale, a few decimals finer than the outcome itself."""
    finite = values[np.isfinite(values)]
    steps = outcome.steps
    decimals = _MORE_DECIMALS + (len(str(steps.scale)) - 1 if isinstance(steps, Grid) else 1)
    decimals = min(decimals, _MOST_DECIMALS)
    bottom, top = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    if outcome.discrete:
        top = max(top, float(len(outcome.levels) - 1))
        bottom = min(bottom, -top) if difference else bottom
    unit = 10.0**-decimals
    low, high = np.floor(bottom / unit - 1) * unit, np.ceil(top / unit + 1) * unit
    return NumberColumn(
        name=name,
        minimum=round(float(low), decimals),
        maximum=round(float(high), decimals),
        decimals=decimals,
        missing=True,
        unit=outcome.unit,
    )


def _share(name: str) -> NumberColumn:
    return NumberColumn(name=name, minimum=0.0, maximum=1.0, decimals=4)


def _set_columns(outcome: Outcome, sets: Mask) -> Iterator[Column]:
    """The predictive set, in words: its values joined by a bar."""
    powers = 2 ** np.arange(sets.shape[2])
    codes = (sets * powers).sum(axis=2)
    seen, places = np.unique(codes, return_inverse=True)
    words = [" | ".join(w for k, w in enumerate(outcome.levels) if code & (1 << k)) for code in seen.tolist()]
    column = CategoryColumn(name="predictive_set", values=tuple(words), missing=True)
    yield column, places.reshape(codes.shape)


def draw_column(outcome: Outcome, name: str) -> Any:
    """A column for draws of an outcome."""
    if outcome.event:
        return BooleanColumn(name=name, true="1", false="0", missing=True)
    if outcome.discrete:
        return CategoryColumn(name=name, values=outcome.levels, ordered=True, missing=True)
    steps = outcome.steps
    assert steps is not None  # noqa: S101 - numbers have a grid
    decimals = len(str(steps.scale)) - 1
    return NumberColumn(
        name=name, minimum=steps.low, maximum=steps.high, decimals=decimals, missing=True, unit=outcome.unit
    )


def summary(cohort: Cohort) -> Mapping[str, Any]:
    """Means of the arms over the cohort, for each outcome: of what was drawn and of what was said.

    No standard error is given, and none may be computed from these rows: they are as many as one likes. Where
    every patient is withheld there is no mean.
    """
    kept = ~cohort.withheld
    found: dict[str, Any] = {}
    for twins in cohort.outcomes if kept.any() else ():
        found[twins.outcome.name] = {
            "patients": int(kept.sum()),
            "mean_of_means": [float(m) for m in twins.prediction.means[kept].mean(axis=0)],
            "mean_of_draws": [float(m) for m in twins.draws[kept].mean(axis=(0, 2))],
        }
    return found
