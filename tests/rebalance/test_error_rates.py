"""What the verdict says of its own error rates."""

import pytest

from ehrsynth.rebalance import error_rates
from ehrsynth.rebalance.error_rates import Runs, VerdictErrorRates, measured_error_rates, verdict_error_rates
from ehrsynth.rebalance.methods import quick
from ehrsynth.rebalance.protocol import rebalance_protocol


def rates(protocol: str) -> VerdictErrorRates:
    return VerdictErrorRates(
        date="2026-11-26",
        version="0.1.0",
        protocol=protocol,
        methods=("none", "smote"),
        measured=(
            Runs(what="tables without an effect", effect=False, runs=200, named=3),
            Runs(what="tables with one", effect=True, runs=200, named=190),
        ),
    )


def test_both_errors_are_told_in_words() -> None:
    said = rates(rebalance_protocol().hash).sentence
    assert "named a gain where there is none in 3 of 200 tables without an effect" in said
    assert "missed one that is there in 10 of 200 tables with one" in said
    assert "other settings" not in said


def test_rates_of_another_protocol_are_told_as_such() -> None:
    assert "other settings" in rates("0" * 64).sentence


def test_without_rates_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_rates, "verdict_error_rates", lambda: None)
    assert measured_error_rates() == "How often this verdict errs was not measured yet."


def test_the_rates_that_ship_are_those_of_this_protocol_and_these_methods() -> None:
    shipped = verdict_error_rates()
    if shipped is None:
        assert "not measured yet" in measured_error_rates()
        pytest.skip("scripts/benchmark/rebalance/errors.py has not published any yet")
    assert shipped.protocol == rebalance_protocol().hash
    assert shipped.methods == quick()
    assert all(run.runs >= 200 for run in shipped.measured)
    quiet = [run for run in shipped.measured if not run.effect]
    assert quiet
    assert all(run.named <= 0.03 * run.runs for run in quiet)
