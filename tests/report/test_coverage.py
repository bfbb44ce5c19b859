"""Which inference several copies allow is said as it was measured, and never assumed."""

import pytest

from ehrsynth.generators.recipes import recipe
from ehrsynth.report import coverage
from ehrsynth.report.coverage import Coverages, population_inference

MEASURED = {
    "date": "2026-01-01",
    "version": "1",
    "measured": [
        {"generator": "cart", "copies": 5, "runs": 1000, "low": 0.941, "high": 0.962},
        {"generator": "cart", "settings": {"leaf": 50}, "copies": 5, "runs": 1000, "low": 0.2, "high": 0.9},
        {"generator": "independent", "copies": 5, "runs": 1000, "low": 0.71, "high": 0.962},
        {"generator": "tvae", "copies": 5, "runs": 1000, "low": 0.95, "high": 0.99},
        {"generator": "autoregressive", "copies": 5, "runs": 200, "low": 0.945, "high": 0.955},
        {"generator": "gone", "copies": 5, "runs": 1000, "low": 0.945, "high": 0.955},
    ],
}


def said(name, **settings):
    return population_inference(name, recipe(name, settings).model_dump(mode="json"))


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(coverage, "coverages", lambda: Coverages.model_validate(MEASURED))


def test_only_93_to_97_percent_over_a_thousand_runs_is_valid(known) -> None:
    assert said("cart").startswith("Valid population inference")
    for name in ("independent", "tvae", "autoregressive", "copula"):
        assert said(name).startswith("No valid population inference")
    assert "71.0 to 96.2 %" in said("independent")


def test_other_settings_inherit_nothing(known) -> None:
    other = said("cart", leaf=200)
    assert other.startswith("No valid population inference: not shown for these settings.")
    assert "96.2" not in other
    assert "20.0 to 90.0 %" in said("cart", leaf=50)
    assert said("cart", leaf=5) == said("cart")  # the default, written out
    # A recipe that this version does not know, and a table without one.
    assert population_inference("gone", {}).startswith("No valid population inference")
    assert population_inference("", {}).startswith("No valid population inference")


def test_what_ships_is_of_recipes_that_this_version_has() -> None:
    shipped = coverage.coverages()
    assert shipped is not None
    for one in shipped.measured:
        assert one.holds_for(recipe(one.generator, one.settings).model_dump(mode="json"))


def test_nothing_measured_is_nothing_valid(monkeypatch) -> None:
    monkeypatch.setattr(coverage, "coverages", lambda: None)
    assert said("cart").startswith("No valid population inference")
