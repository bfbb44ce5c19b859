"""Twins of synthetic patients as a table that an outsider would attack, and one attack more.

The table has a row for each synthetic patient and arm: covariates, arm, and one draw of every outcome. A
patient outside support is among them, with every outcome missing: the covariates leave all the same, and
those of outliers are the likeliest to be somebody's. Beside it stand the real patients in the same columns,
each in the own arm. The evaluation's attacks run on these.

What the table of draws does not show is in the means: a model that remembers its patients' outcomes would say
them again for a synthetic patient nearby. `outcome_memory` looks for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.schema import BooleanColumn, CategoryColumn, IdentifierColumn, Schema
from ehrsynth.statistics import Estimate, auroc_interval
from ehrsynth.tables.origin import mark_synthetic
from ehrsynth.tables.values import from_values
from ehrsynth.twins.cohort import Cohort, Twins
from ehrsynth.twins.outcomes import Outcome
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.question import Question

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Real patients and twins in the same columns."""

    schema: Schema
    members: pd.DataFrame
    others: pd.DataFrame
    twins: pd.DataFrame


def pairs(cohort: Cohort, members: Patients, others: Patients, question: Question) -> Pairs:
    """The tables that attacks run on: every patient of the cohort is in them, as every one leaves.

    Parameters
    ----------
    members, others
        The patients learnt from, and patients whom nothing saw.
    """
    gone = cohort.withheld[:, None]
    drawn = [(t.outcome.model.outcome, np.where(gone, np.nan, t.draws[:, :, 0])) for t in cohort.outcomes]
    return paired(cohort.rows, drawn, members=members, others=others, question=question)


def paired(
    rows: Matrix,
    drawn: Sequence[tuple[Outcome, Floats]],
    *,
    members: Patients,
    others: Patients,
    question: Question,
) -> Pairs:
    """The same for twins that are no `Cohort`: their covariates, and one draw of each outcome, n x arms."""
    outcomes = [outcome for outcome, _ in drawn]
    schema, arm, names = _schema(question, outcomes)
    arms = len(question.arms)
    twins = {name: np.repeat(values, arms) for name, values in _covariates(rows).items()}
    twins[arm] = np.tile(np.arange(arms, dtype=np.float64), len(rows))
    for name, (_, draw) in zip(names, drawn, strict=True):
        twins[name] = draw.ravel()
    return Pairs(
        schema,
        _real(members, schema, arm, dict(zip(names, outcomes, strict=True))),
        _real(others, schema, arm, dict(zip(names, outcomes, strict=True))),
        mark_synthetic(from_values(twins, schema)),
    )


def _schema(question: Question, outcomes: list[Outcome]) -> tuple[Schema, str, list[str]]:
    covariates, columns, names = question.covariate_schema, [], []
    taken = set(covariates.names)

    def free(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    arm = free(question.treatment)
    columns.append(
        CategoryColumn(name=arm, values=tuple(a.name for a in question.arms), roles=("treatment",))
    )
    for outcome in outcomes:
        name = free(outcome.name)
        names.append(name)
        if outcome.event:
            columns.append(BooleanColumn(name=name, missing=True, roles=("outcome",)))  # type: ignore[arg-type]
        else:
            found = question.schema.column(outcome.columns[0])
            assert not isinstance(found, IdentifierColumn)  # noqa: S101 - an outcome is learnt
            columns.append(found.model_copy(update={"name": name, "missing": True}))  # type: ignore[arg-type]
    citation = question.schema.citation
    schema = covariates.changed(columns=(*covariates.columns, *columns), left_out=(), citation=citation)
    return schema, arm, names


def _covariates(rows: Matrix) -> dict[str, Floats]:
    return dict(zip(rows.names, rows.values.T, strict=True))


def _real(patients: Patients, schema: Schema, arm: str, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    values = _covariates(patients.covariates)
    values[arm] = patients.arm.astype(np.float64)
    for name, outcome in outcomes.items():
        target = patients.targets[outcome.name]
        known = target.weights > 0
        seen = np.where(known, target.values, 0.0)
        # Pseudo-observations are no outcomes: what lies nearer to 1 counts as the event.
        values[name] = np.where(known, np.clip(np.rint(seen), 0, 1) if outcome.event else seen, np.nan)
    return from_values(values, schema)


def outcome_memory(cohort: Cohort, twins: Twins, members: Patients, others: Patients) -> Estimate:
    """The AUROC of telling patients learnt from by how near the nearest twin's mean is to the outcome.

    0.5 is harmless, 1 is worst; patients whom nothing saw are the control. With DeLong's 95 % interval. Only
    twins whose means are given count: there must be one.
    """
    kept = np.flatnonzero(~cohort.withheld)
    rows, means = cohort.rows.rows(kept), twins.prediction.means[kept]
    return memory(rows, means, twins.outcome.name, members=members, others=others)


def memory(rows: Matrix, means: Floats, outcome: str, *, members: Patients, others: Patients) -> Estimate:
    """The same for twins that are no `Cohort`: their covariates, and their mean outcomes, n x arms."""
    flags = Flags(rows)
    near = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(flags(rows))
    scores, labels = [], []
    for label, patients in ((1, members), (0, others)):
        target = patients.targets[outcome]
        known = np.flatnonzero(target.weights > 0)
        place = near.kneighbors(flags(patients.covariates.rows(known)), return_distance=False)[:, 0]
        said = means[place, patients.arm[known]]
        scores.append(-np.abs(target.values[known] - said))
        labels.append(np.full(len(known), label))
    return auroc_interval(np.concatenate(labels), np.concatenate(scores))
