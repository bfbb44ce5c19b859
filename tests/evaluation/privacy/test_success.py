"""When a risk counts as measured."""

from ehrsynth.evaluation.privacy.success import Successes, worst


def test_enough_attacks_measure_and_the_largest_excess_is_reported() -> None:
    risk = worst(
        "r",
        [Successes("calm", 300, 1000, 300, 1000, 0.1), Successes("leaky", 500, 1000, 300, 1000, 0.1)],
        if_none="",
    )
    assert risk.details["variant"] == "leaky"
    assert (risk.attack, risk.control, risk.baseline) == (0.5, 0.3, 0.1)
    assert 0 < risk.low < risk.value < risk.high < 1
    assert len(risk.details["variants"]) == 2


def test_few_attacks_measure_only_a_leak() -> None:
    calm, leak = Successes("x", 3, 20, 3, 20, None), Successes("x", 20, 20, 3, 20, None)
    assert worst("r", [calm], if_none="").value is None
    assert "100 attacks" in worst("r", [calm], if_none="").reason
    assert worst("r", [leak], if_none="").value > 0.8


def test_a_control_that_nearly_always_succeeds_measures_nothing() -> None:
    risk = worst("r", [Successes("x", 199, 200, 199, 200, None)], if_none="")
    assert risk.value is None
    assert "control succeeds too often" in risk.reason
    assert worst("r", [Successes("x", 200, 200, 200, 200, None)], if_none="").value is None


def test_no_attack_is_said_and_reach_scales() -> None:
    assert worst("r", [], if_none="four columns are needed").reason.endswith("four columns are needed")
    assert worst("r", [Successes("x", 0, 0, 0, 0, None)], if_none="").value is None
    half = worst("r", [Successes("x", 500, 1000, 0, 1000, None, reach=0.5)], if_none="")
    assert half.value == 1
