"""Which two columns have a time between them."""

import pytest

from ehrsynth.schema import Inequality, Schema
from ehrsynth.tables.times import time_lies_between

_DATES = {"minimum": "2010-01-01", "maximum": "2020-12-31"}
_NUMBER = {"kind": "integer", "minimum": 0, "maximum": 120}
WARD = Schema(
    name="ward",
    columns=(
        {"name": "admitted", "kind": "date", **_DATES},
        {"name": "scanned", "kind": "datetime", **_DATES},
        {"name": "age", **_NUMBER},
        {"name": "age at death", **_NUMBER},
        {"name": "beds", **_NUMBER},
        {"name": "sex", "kind": "boolean"},
    ),
    constraints=(Inequality(low="age", high="age at death"),),
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("admitted", "scanned", True),
        ("age", "age at death", True),
        ("age at death", "age", True),
        ("age", "beds", False),
        ("admitted", "age", False),
        ("sex", "age", False),
    ],
)
def test_moments_and_ruled_numbers_have_one(one: str, other: str, *, expected: bool) -> None:
    columns = {column.name: column for column in WARD.learnt}
    assert time_lies_between(WARD, columns[one], columns[other]) is expected
