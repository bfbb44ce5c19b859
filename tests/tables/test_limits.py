"""Which columns a report names because their results beyond a limit count as missing."""

import pytest

from ehrsynth.schema import CategoryColumn, NumberColumn, Schema
from ehrsynth.tables.limits import limits_as_missing


def lab(name: str, *codes: str) -> NumberColumn:
    return NumberColumn(name=name, minimum=0, maximum=500, decimals=1, missing=True, missing_codes=codes)


@pytest.mark.parametrize("code", ["<0.5", "< 5", ">100", ">=100", "≤0.3", "≥ 40"])
def test_a_number_with_such_a_code_is_named(code: str) -> None:
    schema = Schema(name="labs", columns=(lab("crp", "haemolysed", code), lab("sodium", "not done")))
    (said,) = limits_as_missing(schema)
    assert said.startswith("crp: results beyond a limit of detection count as missing")
    assert code not in said


@pytest.mark.parametrize("code", ["not done", "-99", "<detected>", "5"])
def test_other_codes_say_nothing(code: str) -> None:
    assert limits_as_missing(Schema(name="labs", columns=(lab("crp", code),))) == ()


def test_a_list_of_answers_has_no_limit() -> None:
    dose = CategoryColumn(name="dose", values=("low", "high"), missing=True, missing_codes=("<5",))
    assert limits_as_missing(Schema(name="doses", columns=(dose, lab("crp")))) == ()
