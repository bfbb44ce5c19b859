"""Which inference several copies allow is said as it was measured, and never assumed."""

import pytest

from ehrsynth.report import coverage
from ehrsynth.report.coverage import Coverages, population_inference

MEASURED = {
    "date": "2026-01-01",
    "version": "1",
    "measured": [
        {"generator": "good", "copies": 5, "runs": 1000, "low": 0.941, "high": 0.962},
        {"generator": "bad", "copies": 5, "runs": 1000, "low": 0.71, "high": 0.962},
        {"generator": "wide", "copies": 5, "runs": 1000, "low": 0.95, "high": 0.99},
        {"generator": "hasty", "copies": 5, "runs": 200, "low": 0.945, "high": 0.955},
    ],
}


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(coverage, "coverages", lambda: Coverages.model_validate(MEASURED))


def test_only_93_to_97_percent_over_a_thousand_runs_is_valid(known) -> None:
    assert population_inference("good").startswith("Valid population inference")
    for name in ("bad", "wide", "hasty", "unknown"):
        assert population_inference(name).startswith("No valid population inference")
    assert "71.0 to 96.2 %" in population_inference("bad")


def test_nothing_measured_is_nothing_valid(monkeypatch) -> None:
    monkeypatch.setattr(coverage, "coverages", lambda: None)
    assert population_inference("good").startswith("No valid population inference")
