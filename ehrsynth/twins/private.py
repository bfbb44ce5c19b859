"""Twins under differential privacy: covariates and both arms' outcomes from one private model.

One generator learns covariates, treatment and outcomes through a ledger. Everything after that is
post-processing, which costs nothing more: patients are drawn from the model, and for each patient and arm the
outcomes are completed by the same model, given covariates and arm. No real patient is looked at, so that
nothing here is known to be supported, calibrated or borne out by a trial.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.density import AbstractDensity, knows_density
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.schema import CategoryColumn, IdentifierColumn, Schema
from ehrsynth.tables.grids import grid
from ehrsynth.tables.values import from_values, to_values
from ehrsynth.twins.cohort import (
    Column,
    Table,
    draw_column,
    marked_if,
    number_column,
    numbered,
    table_of,
)
from ehrsynth.twins.outcomes import Outcome, values_of
from ehrsynth.twins.patients import covariates_of
from ehrsynth.twins.question import Question, Request, ask

Floats = NDArray[np.float64]

_AT_ONCE = 1_000  # patients whose completions are in memory at one time


@dataclass(frozen=True, slots=True, eq=False)
class PrivateTwins:
    """One outcome's twins: means n x arms, draws n x arms x draws, and the table that holds them."""

    outcome: Outcome
    means: Floats
    draws: Floats
    twins: Table


@dataclass(frozen=True, slots=True, eq=False)
class PrivateCohort:
    """Twins of patients who were drawn from a private model; their order numbers them from 1."""

    patients: Table
    rows: Matrix
    outcomes: tuple[PrivateTwins, ...]

    def __len__(self) -> int:
        return len(self.rows)


def private_schema(request: Request, schema: Schema) -> Schema:
    """What a private model learns: covariates, treatment and outcomes, and the key that tells patients apart.

    Raises
    ------
    RequestError
        If the question cannot be answered by a private model alone; all that can be said is said at once.
    """
    question = ask(request, schema)
    problems = []
    if any(outcome.kind == "horizon" for outcome in question.outcomes):
        problems.append("a horizon needs weights for patients lost to follow-up: leave --horizon out")
    if question.estimand != "all":
        problems.append("the patients are drawn from the model: leave --estimand out")
    if question.negative_control:
        problems.append("negative controls are tried on real patients: leave --negative-control out")
    if schema.rows_per_patient > 1:
        problems.append("twins take one row per patient: keep one row of each")
    if problems:
        raise RequestError("under --epsilon no real patient is looked at:\n" + "\n".join(problems))
    needed = {question.treatment, *question.covariates, schema.patient_key}
    needed |= {name for outcome in question.outcomes for name in outcome.columns}
    return schema.subset(tuple(name for name in schema.names if name in needed))


def private_cohort(  # noqa: PLR0913 - a model, a question and how much is drawn
    model: AbstractFitted,
    question: Question,
    n: int,
    *,
    draws: int,
    level: float,
    seed: int,
    progress: Progress | None = None,
) -> PrivateCohort:
    """Draw n patients and, for each of them and each arm, outcomes.

    An arm of several values of the treatment takes them as the model says that patients like this get them.

    Parameters
    ----------
    model
        Has learnt `question.schema`, and can complete rows.
    level
        Of the interval of the model's own draws, for numbers.

    Raises
    ------
    RequestError
        If the model cannot complete rows.
    SamplingExhausted
        If the population that was asked for, or an arm of some patient, is all but impossible in the model.
    """
    report, density = progress or silent, knows_density(model)
    drawn = model.sample(n, where=question.where or None, seed=derived_seed(seed, "patients")).table
    values = to_values(drawn, question.schema)
    found = {o.name: np.full((n, len(question.arms), draws), np.nan) for o in question.outcomes}
    starts = range(0, n, _AT_ONCE)
    for number, start in enumerate(starts):
        rows = slice(start, min(n, start + _AT_ONCE))
        some = {name: column[rows] for name, column in values.items()}
        for arm in range(len(question.arms)):
            one = derived_seed(seed, "outcomes", str(number), str(arm))
            span = part(report, number / len(starts), (number + 1) / len(starts))
            for name, said in _in_arm(density, question, some, arm, draws=draws, seed=one, report=span):
                found[name][rows, arm] = said
    frame = from_values({name: values[name] for name in question.covariates}, question.covariate_schema)
    patients = Table(marked_if(frame, synthetic=True), question.covariate_schema)
    outcomes = tuple(_twins(question, o, found[o.name], level) for o in question.outcomes)
    return PrivateCohort(patients, covariates_of(frame, question.covariate_schema), outcomes)


def _in_arm(  # noqa: PLR0913 - a model, whom it is asked about, and how often
    density: AbstractDensity,
    question: Question,
    values: Mapping[str, Floats],
    arm: int,
    *,
    draws: int,
    seed: int,
    report: Progress,
) -> Iterator[tuple[str, Floats]]:
    """Each outcome of patients in an arm, n x draws."""
    schema, codes = question.schema, question.arms[arm].codes
    n = len(next(iter(values.values())))
    tables, chances = [], np.empty((n, len(codes)))
    for place, code in enumerate(codes):
        asked = _given(values, question, code)
        number = derived_seed(seed, str(code))
        done = density.complete(asked, draws=draws, seed=number, progress=report)
        tables.append(done.table)
        chances[:, place] = done.log_probability
    picked = _picked(chances, draws, numpy_generator(seed, "value of the treatment"))
    for outcome in question.outcomes:
        every = np.stack([values_of(outcome, table, schema).reshape(n, draws) for table in tables], axis=2)
        yield outcome.name, np.take_along_axis(every, picked[:, :, None], axis=2)[:, :, 0]


def _given(values: Mapping[str, Floats], question: Question, code: int) -> pd.DataFrame:
    """Patients with their covariates and a value of the treatment, and no outcome."""
    column = question.schema.column(question.treatment)
    assert not isinstance(column, IdentifierColumn)  # noqa: S101 - a treatment is learnt
    n = len(next(iter(values.values())))
    known = {name: values[name] for name in question.covariates}
    known[question.treatment] = np.repeat(grid(column).values(np.array([code])), n)
    unknown = {c.name: np.full(n, np.nan) for c in question.schema.learnt if c.name not in known}
    return from_values({**known, **unknown}, question.schema)


def _picked(logs: Floats, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each patient and draw the place of a value of the treatment, by its log probability."""
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    ends = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    places = (rng.random((len(logs), draws, 1)) > ends[:, None, :-1]).sum(axis=2)
    return np.asarray(places, np.int64)


def _twins(question: Question, outcome: Outcome, draws: Floats, level: float) -> PrivateTwins:
    known = ~np.isnan(draws)
    counts = known.sum(axis=2)
    sums = np.where(known, draws, 0.0).sum(axis=2)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    arms = tuple(arm.name for arm in question.arms)
    nobody = np.zeros(len(draws), np.bool_)
    table = table_of(_columns(outcome, draws, means, arms, level=level), nobody, len(arms))
    return PrivateTwins(outcome, means, draws, Table(marked_if(table.frame, synthetic=True), table.schema))


def _columns(
    outcome: Outcome, draws: Floats, means: Floats, arms: tuple[str, ...], *, level: float
) -> Iterator[Column]:
    n, count = means.shape
    yield numbered(n, count)
    yield CategoryColumn(name="arm", values=arms), np.tile(np.arange(count, dtype=np.float64), (n, 1))
    yield number_column("mean", means, outcome), means
    if not outcome.discrete:
        tail = (1 - level) / 2
        for name, share in (("model_low", tail), ("model_high", 1 - tail)):
            end = _quantile(draws, share)
            yield number_column(name, end, outcome), end
    width = len(str(draws.shape[2]))
    for number in range(draws.shape[2]):
        yield draw_column(outcome, f"draw_{number + 1:0{width}d}"), draws[:, :, number]


def _quantile(draws: Floats, share: float) -> Floats:
    """Over the draws; NaN where one is missing."""
    return np.asarray(np.quantile(draws, share, axis=2))
