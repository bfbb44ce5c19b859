"""The decision follows from its checks, and from nothing else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.report.decision import Check, Decision, compare


def check(value=0.05, limit=0.09, comparison="at most"):
    return compare(
        "risk", value, limit, comparison, explanation="what was found", source="ours", citation="us"
    )


@pytest.mark.parametrize(
    ("value", "limit", "comparison", "passed"),
    [
        (0.09, 0.09, "at most", True),
        (0.0900001, 0.09, "at most", False),
        (1000, 1000, "at least", True),
        (999, 1000, "at least", False),
        (None, 0.09, "at most", False),
        (0.05, None, "at most", False),
        (math.nan, 0.09, "at most", False),
        (math.nan, 0.09, "at least", False),
    ],
)
def test_a_check_passes_only_within_its_limit(value, limit, comparison, passed):
    assert check(value, limit, comparison).passed is passed


def test_a_check_that_was_not_computed_cannot_be_made_to_pass():
    with pytest.raises(ValueError, match="was not computed"):
        Check("risk", None, 0.09, "at most", True, "", "ours", "")


def test_no_check_is_a_no():
    decision = Decision.from_checks([])
    assert decision.verdict == "blocked"
    assert decision.reasons


@given(st.lists(st.floats(0, 0.2) | st.none(), min_size=1, max_size=6))
def test_released_only_when_every_check_passes(values):
    decision = Decision.from_checks([check(v) for v in values])
    assert decision.released == all(v is not None and v <= 0.09 for v in values)
    assert len(decision.reasons) == sum(v is None or v > 0.09 for v in values)


@pytest.mark.parametrize(("verdict", "values"), [("released", [0.2]), ("released", []), ("blocked", [0.01])])
def test_a_verdict_that_its_checks_do_not_carry_is_refused(verdict, values):
    with pytest.raises(ValueError, match="does not follow"):
        Decision(verdict, ("because",), tuple(check(v) for v in values))


@given(st.floats(0, 0.2))
def test_what_is_shared_is_rounded_and_never_understated(value):
    shown = check(value).shareable
    assert shown.passed == check(value).passed
    assert shown.value >= value - 1e-9
    assert shown.value <= value + 0.01 + 1e-9
    if not shown.passed:
        assert abs(100 * shown.value - round(100 * shown.value)) < 1e-9


def test_a_chance_that_is_shared_is_rounded_and_a_count_is_not():
    said = {"explanation": "", "source": "ours", "citation": "x"}
    assert compare("chance", 0.4615, 0.01, "at least", **said).shareable.value == 0.46
    assert compare("chance", 0.0139, 0.012, "at least", **said).shareable.value == 0.012
    assert compare("chance", 0.0049, 0.01, "at least", **said).shareable.value == 0
    assert compare("rows", 1234, 500, "at least", **said).shareable.value == 1234


def test_json_has_the_verdict_first_and_every_check():
    plain = Decision.from_checks([check(), check(0.2)]).as_json()
    assert next(iter(plain)) == "verdict"
    assert [c["passed"] for c in plain["checks"]] == [True, False]
    assert plain["sentence"] == "Blocked: 1 of 2 checks says no."
