"""One release that passed and one that did not, of made-up numbers whose place on the page is known."""

from dataclasses import replace
from itertools import combinations

import pytest

from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.evaluation.summaries import ColumnSummary
from ehrsynth.report.decision import Decision, compare
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.schema import BooleanColumn, CategoryColumn, IntegerColumn, NumberColumn, Schema

TRAIN, HOLDOUT = 10_007, 9_993
WARDS = tuple(f"ward {n} & more" for n in range(20))


@pytest.fixture
def schema():
    return Schema(
        name="ward",
        title="A made-up ward",
        columns=(
            IntegerColumn(name="age", minimum=18, maximum=90, unit="years", description="Age at admission"),
            NumberColumn(name="sbp", minimum=60.0, maximum=240.0, decimals=1, missing=True, unit="mmHg"),
            CategoryColumn(name="sex", values=("F", "M"), labels={"F": "female", "M": "male"}),
            CategoryColumn(name="ward", values=WARDS),
            BooleanColumn(name="died"),
        ),
        citation="Nobody 2026",
    )


def summary(name, kind, labels, real, real_missing=0):
    """A column of which `real` and `real_missing` are counts; the synthetic shares are round numbers."""
    made = tuple(1 / len(labels) for _ in labels)
    shares = tuple(count / TRAIN for count in real)
    assert sum(real) + real_missing == TRAIN
    return ColumnSummary(name, kind, labels, (), shares, made, real_missing / TRAIN, 0.0, TRAIN, TRAIN)


def columns():
    ages = tuple(f"{low} to {low + 9}" for low in range(20, 90, 10))
    return (
        summary("age", "integer", ages, (7, 500, 1500, 2000, 3000, 2000, 1000)),
        summary("sbp", "number", ("60.0 to 119.9", "120.0 to 240.0"), (6000, 4003), 4),
        summary("sex", "category", ("F", "M"), (5000, 5007)),
        summary("ward", "category", WARDS, (*(500,) * 19, 507)),
        summary("died", "boolean", ("false", "true"), (10_004, 3)),
    )


def scores(schema):
    names = [column.name for column in schema.learnt]
    pairs = [
        {"first": a, "second": b, "measure": "contingency", "score": 0.9, "real": 0.31, "synthetic": 0.27}
        for a, b in combinations(names, 2)
    ]
    shapes = [{"column": n, "measure": "total variation", "score": 0.93, "reference": 0.99} for n in names]
    found = (
        Score("classifier_two_sample", 0.683, 0.671, 0.695, 0.501, "half"),
        Score("column_shapes", 0.962, 0.958, 0.966, 0.991, "higher", {"columns": shapes}),
        Score("constraint_violations", 0.0, 0.0, 0.001, 0.0, "lower"),
        Score("copied_rows", 0.000312, 0.0001, 0.0007, 0.000298, "lower"),
        Score("missingness", 0.004, 0.003, 0.006, 0.002, "lower"),
        Score("pair_trends", 0.931, 0.925, 0.937, 0.979, "higher", {"pairs": pairs}),
        Score("train_synthetic_test_real", 0.781, 0.764, 0.798, 0.802, "higher"),
    )
    return {score.name: score for score in found}


def risks():
    found = (
        Risk("singling_out", 0.021, 0.004, 0.038, 0.0513, 0.0311, 0.0207, 1543, 1502),
        Risk("linkability", 0.003, 0.0, 0.012, 0.0113, 0.0081, 0.0101, 1543, 1502),
        Risk("inference", 0.051, 0.02, 0.071, 0.4127, 0.3809, 0.3011, 1543, 1502),
    )
    return {risk.name: risk for risk in found}


def decision(evaluation, limit):
    return Decision.from_checks(
        [
            *(
                compare(
                    name,
                    risk.high,
                    limit,
                    "at most",
                    explanation=f"What {name} found.",
                    source="ours",
                    citation="0.09 was set for identity disclosure; here it is our choice.",
                )
                for name, risk in evaluation.risks.items()
            ),
            compare(
                "Copied rows above the holdout's",
                0.0,
                0.0,
                "at most",
                explanation="No more than by chance.",
                source="ours",
                citation="Coincidence is no copy.",
            ),
            compare(
                "Patients held out",
                HOLDOUT,
                500,
                "at least",
                explanation="Enough were held out.",
                source="regulator",
                citation="A regulator's rule.",
            ),
        ]
    )


@pytest.fixture
def release(schema):
    """Decision, provenance, evaluation and schema of a release that passed: what `render` takes."""
    evaluation = Evaluation(
        scores=scores(schema),
        risks=risks(),
        columns=columns(),
        rows={"train": TRAIN, "holdout": HOLDOUT, "synthetic": TRAIN},
        protocol_hash="b" * 64,
    )
    provenance = Provenance(
        data="ward",
        title="A made-up ward",
        citation="Nobody 2026",
        attribution="",
        generator="independent",
        recipe={"bins": 30},
        schema_hash=schema.hash(),
        protocol_hash="b" * 64,
        policy="The default policy",
        policy_hash="c" * 64,
        versions={"ehrsynth": "0.1.0"},
        date="2026-01-02T03:04:05+00:00",
        rows=Rows(TRAIN + HOLDOUT, TRAIN, HOLDOUT, TRAIN),
        seed=918_273_645,
        command="ehrsynth release hidden.csv",
        attempt=3,
    )
    return decision(evaluation, 0.09), provenance, evaluation, schema


@pytest.fixture
def blocked(release):
    """The same release under a stricter limit."""
    _, provenance, evaluation, schema = release
    return decision(evaluation, 0.03), replace(provenance), evaluation, schema
