"""When a risk counts as measured, and which variant stands for it."""

import numpy as np

from ehrsynth.evaluation.privacy.success import Successes, excess, why_not, worst
from ehrsynth.evaluation.protocol import protocol


def test_enough_attacks_measure_and_the_surest_leak_is_reported() -> None:
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


def test_a_sure_small_leak_does_not_hide_a_larger_possible_one() -> None:
    sure = Successes("sure", 350, 5000, 300, 5000, None)
    possible = Successes("possible", 330, 1000, 300, 1000, None)
    assert excess(sure).low > 0 > excess(possible).low
    found = worst("r", [sure, possible], if_none="")
    assert found.details["variant"] == "possible"
    assert found.high == excess(possible).high > excess(sure).high


def test_the_largest_upper_end_is_reported() -> None:
    narrow = Successes("narrow", 505, 5000, 500, 5000, None)
    wide = Successes("wide", 60, 1000, 60, 1000, None)
    assert excess(narrow).value > excess(wide).value
    risk = worst("r", [narrow, wide], if_none="")
    assert (risk.details["variant"], risk.low) == ("wide", 0)
    assert risk.high == excess(wide).high


def test_a_variant_too_imprecise_for_the_limit_is_left_out_and_named_unless_it_found_a_leak() -> None:
    calm, vague = Successes("calm", 60, 1000, 60, 1000, None), Successes("vague", 982, 1000, 980, 1000, None)
    risk = worst("r", [calm, vague], if_none="")
    assert risk.details["variant"] == "calm"
    assert set(risk.details["left_out"]) == {"vague"}
    assert "interval" in risk.details["left_out"]["vague"]
    leak = Successes("vague", 1000, 1000, 980, 1000, None)
    assert excess(leak).high - excess(leak).low > protocol().attacks.widest

    assert worst("r", [calm, leak], if_none="").details["variant"] == "vague"


def test_what_is_too_wide_is_what_could_not_pass_without_a_leak() -> None:
    widest = protocol().attacks.widest
    for n in range(100, 4000, 100):
        even = Successes("even", 0.3 * n, n, 0.3 * n, n, None)
        # Without an excess the interval lies evenly about 0: what counts reaches at most half its width up.
        assert (why_not(even) == "") == (excess(even).high <= widest / 2 * 1.001)


def test_noise_is_seldom_a_leak_and_a_rare_secret_does_not_speak_for_the_others() -> None:
    rng = np.random.default_rng(0)
    risks = []
    for _ in range(400):
        attempts = [
            Successes(what, int(rng.binomial(n, rate)), n, int(rng.binomial(n, rate)), n, None)
            for what, n, rate in (("rare", 2000, 0.98), ("even", 2000, 0.4))
        ]
        risks.append(worst("r", attempts, if_none=""))
    assert all(risk.value is not None for risk in risks)
    # A lower end is above 0 one time in 40, that of a rare secret one in 20: its interval is a bit short.
    assert np.mean([risk.low > 0 for risk in risks]) < 0.1
    assert np.mean([risk.details["variant"] == "rare" for risk in risks]) < 0.07
    assert np.mean([risk.high > 0.09 for risk in risks]) < 0.15
