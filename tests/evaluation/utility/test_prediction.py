"""Which outcomes are predicted, and how influences of some patients count among all."""

import numpy as np
import pytest

from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility.prediction import embedded, outcomes, risk_measures
from ehrsynth.schema import BooleanColumn, CategoryColumn, IntegerColumn, LearntColumn, NumberColumn, Schema
from ehrsynth.statistics import interval_of_influence

OUTCOME = ("outcome",)


def named(*columns: LearntColumn) -> list[str]:
    return [c.name for c in outcomes(Schema(name="s", columns=columns))]


def test_classes_come_before_numbers_in_the_order_of_the_schema() -> None:
    stay = NumberColumn(name="stay", minimum=0, maximum=400, decimals=1, roles=OUTCOME)
    score = IntegerColumn(name="score", minimum=0, maximum=6, roles=OUTCOME)
    died = BooleanColumn(name="died", roles=OUTCOME)
    many = CategoryColumn(name="many", values=tuple(f"v{i}" for i in range(50)), roles=OUTCOME)
    age = IntegerColumn(name="age", minimum=18, maximum=100)
    assert named(stay, score, many, age, died) == ["score", "died"]
    assert named(many, stay, age) == ["stay"]
    assert named(age, many) == []


def test_there_are_no_more_than_the_protocol_says() -> None:
    flags = [BooleanColumn(name=f"b{i}", roles=OUTCOME) for i in range(9)]
    assert named(*flags) == [f"b{i}" for i in range(protocol().outcomes)]


def test_an_influence_among_all_patients_gives_the_interval_among_those_it_is_known_for() -> None:
    psi = np.random.default_rng(0).normal(size=70)
    whole = embedded(psi, np.arange(20, 90), 200)
    bounds = (-np.inf, np.inf)
    assert not whole[:20].any()
    assert interval_of_influence(0.7, whole, bounds=bounds) == pytest.approx(
        interval_of_influence(0.7, psi, bounds=bounds)
    )


def test_the_mean_over_disjoint_patients_has_the_variance_of_independent_scores() -> None:
    psi = np.random.default_rng(0).normal(size=100)
    halves = embedded(psi[:50], np.arange(50), 100), embedded(psi[50:], np.arange(50, 100), 100)
    bounds = (-np.inf, np.inf)
    _, low, high = interval_of_influence(0.0, np.mean(halves, axis=0), bounds=bounds)
    widths = [np.subtract(*interval_of_influence(0.0, half, bounds=bounds)[:0:-1]) for half in halves]
    assert high - low == pytest.approx(np.hypot(*widths) / 2)


def test_risks_are_measured_as_scikit_learn_does_and_calibration_is_found() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    logit = rng.normal(size=20_000).round(2)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-logit))
    risk = 1 / (1 + np.exp(-logit))
    found = risk_measures(truth, risk)
    assert found["auprc"] == pytest.approx(metrics.average_precision_score(truth, risk), abs=1e-9)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(truth, risk), abs=1e-9)
    assert found["calibration_slope"] == pytest.approx(1, abs=0.05)
    extreme = risk_measures(truth, 1 / (1 + np.exp(-2 * logit)))
    assert extreme["calibration_slope"] == pytest.approx(0.5, abs=0.03)
    assert risk_measures(truth, np.full(20_000, 0.3))["calibration_slope"] is None
