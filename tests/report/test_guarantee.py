"""What an epsilon means in words and in the cap on an attacker."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.report.guarantee import cap, meaning, strength
from ehrsynth.report.provenance import Guarantee

RATES = st.floats(0.0, 1.0)


@given(st.floats(0.01, 20), st.floats(0, 1e-3), RATES)
def test_the_cap_is_a_rate_and_never_below_guessing(epsilon, delta, alarms) -> None:
    assert min(1.0, alarms + delta) - 1e-9 <= cap(epsilon, delta, alarms) <= 1


@given(st.floats(0.1, 8), RATES)
def test_the_cap_holds_for_randomised_response(epsilon, alarms) -> None:
    """Of all mechanisms it gives an attacker most; mixed with guessing it reaches every point of the cap."""
    corner = 1 / (1 + math.exp(epsilon))
    best = alarms * math.exp(epsilon) if alarms <= corner else 1 - math.exp(-epsilon) * (1 - alarms)
    assert cap(epsilon, 0.0, alarms) == pytest.approx(best)


def test_known_caps() -> None:
    assert [round(cap(e, 0.0, 0.01), 3) for e in (1, 3)] == [0.027, 0.201]
    assert cap(10, 0.0, 0.001) > 0.999


@pytest.mark.parametrize(
    ("epsilon", "word"),
    [(0.5, "strong"), (1, "strong"), (2, "moderate"), (5, "weak"), (10, "weak"), (10.1, "no meaningful")],
)
def test_the_word_for_an_epsilon(epsilon, word) -> None:
    assert strength(epsilon).startswith(word)


def test_everything_that_a_reader_must_know_is_said() -> None:
    found = meaning(Guarantee(1.0, 2e-6, "zCDP", {"RDP": 1.1, "zCDP": 1.0}, composed=2.5))
    said = " ".join(f"{name} {text}" for name, text in found.facts)
    for part in ("1: strong", "2e-06", "one patient's", "differ by one patient", "RDP 1.1", "epsilon 2.5"):
        assert part in said
    outside = " ".join(found.outside)
    for part in ("every score", "gate said yes", "held out"):
        assert part in outside
    assert "type-I error" in found.cautions[0]
    assert dict(found.caps)["1.0%"] == "2.7 %"


def test_a_large_epsilon_is_said_to_bound_nothing() -> None:
    found = meaning(Guarantee(12.0, 2e-6, "zCDP"))
    assert "no meaningful worst-case bound" in found.cautions[-1]
    assert dict(found.caps)["1.0%"] == "no cap"


def test_all_rows_of_a_patient_are_hidden_where_there_are_several() -> None:
    said = dict(meaning(Guarantee(1.0, 2e-6, "zCDP", {}, 3)).facts)
    assert "at most 3" in said["Whose presence is hidden"]


def test_a_reader_learns_that_one_row_a_patient_was_not_checked() -> None:
    named, unnamed = (
        dict(meaning(Guarantee(1.0, 2e-6, "zCDP", names_patients=names)).facts)["Whose presence is hidden"]
        for names in (True, False)
    )
    assert "on trust" in unnamed
    assert "on trust" not in named
