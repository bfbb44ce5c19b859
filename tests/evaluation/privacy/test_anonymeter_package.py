"""anonymeter's searches with our counting agree with our own attacks where both are right."""

import sys

import pytest

from cohort import COHORT, cohort
from ehrsynth.errors import MissingPackage, RequestError
from ehrsynth.evaluation.privacy._anonymeter_package import second_opinion
from ehrsynth.registry import resolve
from ehrsynth.statistics import residual_risk, wilson_centre

MEMBERS, OTHERS = cohort(250, 1), cohort(250, 2)
CONTROL = OTHERS[:125].reset_index(drop=True), OTHERS[125:].reset_index(drop=True)


@pytest.mark.parametrize("attack", ["inference", "linkability", "singling_out"])
def test_both_see_a_copy_and_neither_sees_a_fresh_sample(attack: str) -> None:
    pytest.importorskip("anonymeter")
    for made, leaks in ((MEMBERS, True), (cohort(250, 3), False)):
        tables = (MEMBERS, *CONTROL, made)
        ours = resolve("attack", attack)(*tables, COHORT, seed=0)
        theirs = second_opinion(*tables, COHORT, attack=attack, seed=0)
        for risk in (ours, theirs):
            assert (risk.value is None or risk.low == 0) if not leaks else risk.low > 0
        if leaks and attack != "linkability":  # anonymeter breaks ties at random, and so loses links
            assert theirs.value == pytest.approx(ours.value, abs=0.1)
        if not leaks and ours.value is not None and theirs.value is not None:
            assert max(ours.low, theirs.low) <= min(ours.high, theirs.high)


@pytest.mark.parametrize("attack", ["inference", "linkability", "singling_out"])
def test_it_is_seeded(attack: str) -> None:
    pytest.importorskip("anonymeter")
    tables = (MEMBERS, *CONTROL, cohort(250, 3))
    first, second = (second_opinion(*tables, COHORT, attack=attack, seed=5) for _ in range(2))
    assert first == second


def test_without_the_package_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "anonymeter"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "anonymeter", None)
    with pytest.raises(MissingPackage, match=r"ehrsynth\[anonymeter\]"):
        second_opinion(MEMBERS, *CONTROL, MEMBERS, COHORT, attack="linkability", seed=0)


def test_an_unknown_attack_is_named() -> None:
    with pytest.raises(RequestError, match="linkability"):
        second_opinion(MEMBERS, *CONTROL, MEMBERS, COHORT, attack="linkabilty", seed=0)


@pytest.mark.parametrize(("attacks", "successes", "level"), [(500, 0, 0.95), (500, 37, 0.95), (80, 79, 0.9)])
def test_the_interval_of_a_rate_is_anonymeters_to_nine_digits(
    attacks: int, successes: int, level: float
) -> None:
    confidence = pytest.importorskip("anonymeter.stats.confidence")
    theirs = confidence.success_rate(attacks, successes, level)
    assert wilson_centre(successes, attacks, level=level) == pytest.approx(tuple(theirs), abs=1e-9)


def test_the_residual_risk_of_two_rates_is_anonymeters_to_nine_digits() -> None:
    """The value; the interval is ours, since theirs loses its level where the control nearly always wins."""
    confidence = pytest.importorskip("anonymeter.stats.confidence")
    for attack, control in ((60, 40), (199, 180), (10, 0)):
        rates = [confidence.SuccessRate(value=n / 200, error=0.01) for n in (attack, control)]
        theirs = confidence.residual_success(*rates)
        assert residual_risk(attack, 200, control, 200).value == pytest.approx(theirs.value, abs=1e-9)
