"""The gate says how often it errs, as measured, or that nobody measured it."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import ValidationError

from ehrsynth.evaluation.protocol import protocol
from ehrsynth.release import attack_code as code
from ehrsynth.release import error_rates
from ehrsynth.release.attack_code import attack_code
from ehrsynth.release.error_rates import ErrorRates, measured_error_rates

RATES = {
    "date": "2026-11-24",
    "version": "0.2.0",
    "level": 0.01,
    "protocol": "a",
    "policy": "b",
    "measured": [
        {"what": "a fresh real sample", "leaks": False, "runs": 200, "found": 2, "yes": 180},
        {"what": "10 % of the rows copied", "leaks": True, "runs": 200, "found": 199, "yes": 0},
    ],
}


def test_leaks_come_first_and_false_alarms_are_called_mistakes() -> None:
    said = ErrorRates.model_validate(RATES).sentence
    assert said == (
        "In trials this test flagged 199 of 200 tables with 10 % of the rows copied; "
        "2 of 200 tables of a fresh real sample by mistake. "
        "All checks of the attacks said yes to 180 of 200 tables of a fresh real sample."
    )


def test_what_was_not_measured_is_said(monkeypatch) -> None:
    monkeypatch.setattr(error_rates, "error_rates", lambda: None)
    assert "not measured yet" in measured_error_rates("")


def test_rates_of_another_protocol_policy_or_attack_are_called_so(monkeypatch) -> None:
    older = RATES | {"protocol": protocol().hash}
    own = older | {"attacks": attack_code()}
    for rates, policy, said in (
        (RATES, "b", "with another protocol than the present one."),
        (older, "b", "That was with earlier attacks."),
        (own | {"attacks": "01234567"}, "b", "That was with earlier attacks."),
        (own, "c", "with the limits of the default policy."),
        (own, "b", "tables of a fresh real sample."),
    ):
        monkeypatch.setattr(error_rates, "error_rates", lambda rates=rates: ErrorRates.model_validate(rates))
        text = measured_error_rates(policy)
        assert text.startswith("In trials")
        assert text.endswith(said)


def test_the_attacks_are_known_by_their_code_and_not_by_what_is_said_of_it(monkeypatch) -> None:
    def hashed(*sources: str) -> str:
        with TemporaryDirectory() as folder, monkeypatch.context() as patch:
            for number, source in enumerate(sources):
                (Path(folder) / f"{number}.py").write_text(source)
            patch.setattr(code, "files", lambda _: Path(folder))
            return attack_code.__wrapped__()

    plain, other = "def f(x):\n    return x\n", "def f(x):\n    return -x\n"
    said = 'def f(x):\n    """Words."""  # more\n    return x\n'
    # A docstring leaves its place behind: so it was when what is published was measured.
    assert hashed(said) == hashed(said.replace("Words", "Other words")) != hashed(other)
    assert hashed(plain, other) != hashed(other, plain)
    assert hashed() == ""
    assert re.fullmatch("[0-9a-f]{8}", attack_code())


@pytest.mark.parametrize("change", [{"level": 0.0}, {"measured": []}, {"surprise": 1}])
def test_a_wrong_file_is_refused(change) -> None:
    with pytest.raises(ValidationError):
        ErrorRates.model_validate(RATES | change)


def test_what_ships_was_measured_at_the_level_of_the_default_policy() -> None:
    from ehrsynth.release.policy import load_policy

    known = error_rates.error_rates()
    if known is None:
        pytest.skip("no error rates were measured yet: scripts/benchmark/gate.py --publish")
    assert known.level == load_policy().family_wise_level.value
    assert known.protocol == protocol().hash
    assert known.policy == load_policy().limits_hash()
