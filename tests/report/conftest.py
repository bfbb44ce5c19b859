"""One release that passed and one that did not, of made-up numbers whose place on the page is known."""

from dataclasses import replace
from itertools import combinations

import pytest

from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.privacy.bounds import ALL, Bound, LeftOut, Simultaneous
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.evaluation.summaries import ColumnSummary
from ehrsynth.evaluation.table_one import HIDDEN, Row
from ehrsynth.report.decision import Decision, compare
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.report.words import LEAK, title
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
        register="new register begun at secret-place",
    )
    return decision(evaluation, 0.09), provenance, evaluation, schema


@pytest.fixture
def blocked(release):
    """The same release under a stricter limit."""
    _, provenance, evaluation, schema = release
    return decision(evaluation, 0.03), replace(provenance), evaluation, schema


def details():
    """What the scores say besides their value, as their metrics give it."""
    grouped = {
        "measured": [
            {"group": "sex: F", "value": 0.6811, "low": 0.6, "high": 0.7, "reference": 0.5022},
            {"group": "sex: M", "value": 0.6833, "low": 0.6, "high": 0.7, "reference": 0.5044},
            {"group": "ward: ward 0 & more", "value": 0.6855, "low": 0.6, "high": 0.7, "reference": None},
        ],
        "left_out": [{"group": "ward: ward 7 & more", "reason": "fewer than 50 patients in a table"}],
    }
    judge = {"value": 0.683, "low": 0.671, "high": 0.695, "reference": 0.501}
    rule = {"constraint": 1, "kind": "implication", "description": "No infant is married.", "rows": 12}
    curve = {"name": "without event", "real": [0.99, 0.8123, 0.7], "synthetic": [0.98, 0.8, 0.69]}
    alone = {"name": "without event", "synthetic": [0.98, 0.8, 0.69]}
    against = {
        "standardised_difference": 1.717,
        "ratio_of_errors": 1.313,
        "overlap": 0.6363,
        "significance_agrees": True,
    }
    coefficient = {
        "term": "age",
        "real": {"estimate": 0.4242, "error": 0.1},
        "synthetic": {"estimate": 0.5858, "error": 0.1},
        "holdout": {"estimate": 0.4646, "error": 0.1},
        "synthetic_against_real": against,
        "holdout_against_real": against,
    }
    study = {
        "outcome": "died",
        "regression": "logistic",
        "coefficients": [coefficient],
        "left_out": {"sbp": "repeats other columns"},
        "complete_cases": {"train": 8765, "synthetic": 8764, "holdout": 8763},
        "rows": {"train": TRAIN, "synthetic": TRAIN, "holdout": HOLDOUT},
    }
    risks = {"auprc": 0.3131, "brier": 0.0909, "calibration_slope": 0.9797}
    outcome = {
        "learners": {"boosted_trees": judge},
        "risks": {"boosted_trees": {"synthetic": risks, "reference": risks}},
    }
    site = {"value": 0.7171, "low": 0.7, "high": 0.73, "reference": 0.7272, "difference": {"value": -0.0101}}
    measure = {"value": 0.8686, "low": 0.86, "high": 0.88, "reference": 0.9}
    means = {
        "standardised_difference": 1.7,
        "ratio_of_errors": 1.3,
        "overlap": 0.6,
        "significance_agrees": 0.9,
    }
    shares = {"column": "age", "real": 0.4141, "synthetic": 0.3939, "holdout": 0.4}
    return {
        "classifier_two_sample": {
            "learners": {"boosted_trees": judge},
            "telling_columns": [{"column": "sbp", "share": 0.3737}],
            "groups": grouped,
        },
        "constraint_violations": {"rows": TRAIN, "broken": 12, "rules": [rule]},
        "effect_estimates": {
            "studies": {"died (logistic)": study},
            "left_out": {"sbp (linear)": "no baseline column"},
            "mean": means,
            "mean_of_holdout": means,
        },
        "feature_importance": {"left_out": {}, "outcomes": {"died": {"columns": [shares]}}},
        "precision_recall": {"measures": {"coverage": measure, "authenticity": {**measure, "value": 0.5151}}},
        "survival_curves": {
            "time": "age",
            "event": "died",
            "method": "Kaplan-Meier",
            "curves": {"times": [0.0, 11.0, 31.0], "lines": [curve]},
            "curves_of_synthetic_alone": {"times": [0.0, 10.0, 30.0], "lines": [alone]},
            "arms": [{"arm": "ward: ward 1 & more", "value": 0.1919, "reference": 0.01}],
        },
        "train_synthetic_test_real": {
            "measure": "AUROC",
            "outcomes": {"died": outcome},
            "left_out": {},
            "sites": {
                "column": "ward",
                "measured": [{"site": "ward 3 & more", "patients": 521, **site}],
                "mean": site,
                "too_small": 6,
                "left_out": {},
            },
        },
    }


def bounds():
    """Two attacks that the simultaneous bound covers, in two groups."""
    common = {"error": 0.0099, "spread": 0.0099, "p_value": 0.2, "detectable": 0.0707}
    common |= {"n_members": 4321, "n_non_members": 2109}
    return Simultaneous(
        level=0.01,
        attempts=3,
        permutations=3000,
        p_value=0.2525,
        bounds=(
            Bound("density_ratio", "kernels", ALL, "AUROC", 0.0111, 0.0411, graded=True, members=None,
                  non_members=None, **common),
            Bound("exact_match", "rows", ALL, "success", 0.0022, 0.0133, graded=False, members=0.0303,
                  non_members=0.0281, **common),
            Bound("exact_match", "values", ALL, "AUROC", 0.0101, 0.0777, graded=True, members=None,
                  non_members=None, judged=False, **common | {"detectable": 0.0999}),
            Bound("exact_match", "rows", "sex: F", "success", 0.0044, 0.0255, graded=False, members=0.0313,
                  non_members=0.0271, **common),
        ),
        left_out=(LeftOut("exact_match", "ward: ward 9 & more", "all", "fewer than 50 attacked"),),
    )  # fmt: skip


def combined():
    """Two copies with one study."""
    dose = {"term": "dose", "estimate": 0.5111, "original": [0.4222, 0.6], "population": [0.3333, 0.7]}
    lost = {"term": "lost", "estimate": None, "original": [None, None], "population": [None, None]}
    rows = [dose | {"real": 0.5777, "held": True}, lost | {"real": None, "held": None}]
    study = {"outcome": "died", "regression": "logistic", "coefficients": rows}
    return {"copies": 2, "studies": {"died": study}, "coefficients": 1, "share_held": 1.0}


def table_one():
    # The last two are shown here and hidden in the column's picture: they must not be shared.
    return (
        Row("age", "", "mean (SD)", "51.7 (12.1)", "52.2 (12.3)", 0.04),
        Row("sex", "F", "n (%)", "5000 (50.0)", "5111 (51.1)", 0.02),
        Row("sex", "M", "n (%)", "5007 (50.0)", "4896 (48.9)", 0.02),
        Row("ward", "ward 0 & more", "n (%)", HIDDEN, "500 (5.0)", None),
        Row("ward", "ward 5 & more", "n (%)", "500 (5.0)", "0 (0.0)", 0.2),
        Row("died", "false", "n (%)", "10004 (100.0)", "9003 (90.0)", 0.03),
        Row("died", "true", "n (%)", "3 (0.0)", "1004 (10.0)", 0.03),
    )


@pytest.fixture
def whole(release):
    """The same release with everything that a page can show."""
    given, provenance, evaluation, schema = release
    found = details()
    known = {
        name: replace(score, details=found.get(name, score.details))
        for name, score in evaluation.scores.items()
    }
    known["constraint_violations"] = replace(known["constraint_violations"], value=0.0012, reference=0.0003)
    for name in found.keys() - known.keys():
        known[name] = Score(name, 0.5, 0.4, 0.6, 0.45, "higher", found[name])
    ranked = {"auroc": {"value": 0.5151, "low": 0.5, "high": 0.53}, "tpr": [{"fpr": 0.1, "tpr": 0.1212}]}
    attacked = {
        **evaluation.risks,
        "density_ratio": Risk("density_ratio", 0.011, 0.0, 0.03, 0.1, 0.1, 0.1, 4321, 2109, ranked),
        "exact_match": Risk("exact_match", 0.002, 0.0, 0.012, 0.03, 0.03, None, 4321, 2109),
    }

    def upper(name, value, limit, comparison="at most"):
        return compare(
            name, value, limit, comparison, explanation=f"Said of {name}.", source="ours", citation="Ours."
        )

    checks = (
        *given.checks,
        upper(LEAK, 0.2525, 0.01, "at least"),
        upper(title("density_ratio"), 0.0411, 0.09),
        upper(title("exact_match"), 0.0257, 0.09),
    )
    evaluation = replace(evaluation, scores=known, risks=attacked, bound=bounds(), table_one=table_one())
    others = {"linkability": Risk("linkability", 0.0047, 0.0, 0.0133, 0.01, 0.01, None, 500, 500)}
    evaluation = replace(evaluation, combined=combined(), second_opinions=others)
    return Decision.from_checks(checks), provenance, evaluation, schema
