"""Values that a rule bounds by an earlier one are drawn again alone: nobody becomes rarer for them."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from ehrsynth import generator
from ehrsynth.conditions import CodeSet
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.chain.bounds import bounds_of, draw_bounded
from ehrsynth.schema import BooleanColumn, DateColumn, Implication, Inequality, IntegerColumn, Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_SIZE, _LOW, _ABSENT = 10, 4, 0.3
_DAYS = pd.date_range("1960-01-01", "2009-12-31")
_DEAD = 0.3


def _ward() -> Schema:
    dates = {"minimum": "1960-01-01", "maximum": "2019-12-31"}
    return Schema(
        name="ward",
        columns=(
            DateColumn(name="admission", **dates),
            BooleanColumn(name="died", roles=("outcome",)),
            DateColumn(name="death", missing=True, roles=("outcome",), **dates),
        ),
        constraints=(
            Inequality(low="admission", high="death"),
            Implication(**{"if": "died == true", "then": "not missing(death)"}),
            Implication(**{"if": "died == false", "then": "missing(death)"}),
        ),
    )


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    admission = pd.Series(_DAYS[rng.integers(len(_DAYS), size=1_500)])
    died = rng.random(1_500) < _DEAD
    death = (admission + pd.to_timedelta(rng.integers(1, 200, 1_500), unit="D")).where(died)
    table = pd.DataFrame({"admission": admission, "died": died, "death": death})
    return table.astype({"admission": "datetime64[s]", "died": "boolean", "death": "datetime64[s]"})


@pytest.fixture(scope="module")
def model(patients: pd.DataFrame) -> AbstractFitted:
    return generator("autoregressive").fit(patients, _ward(), seed=1)


def test_no_patient_is_rarer_for_a_rule_between_dates(patients: pd.DataFrame, model: AbstractFitted) -> None:
    drawn = model.sample(10_000, seed=2)
    assert drawn.table["died"].mean() == pytest.approx(patients["died"].mean(), abs=0.02)
    assert drawn.acceptance > 0.98


@pytest.mark.parametrize(
    "where",
    ["not missing(death)", 'death < "1968-01-01"', 'death >= "1990-01-01" and admission < "1995-01-01"'],
)
def test_a_condition_has_the_share_of_the_free_rows(model: AbstractFitted, where: str) -> None:
    free = model.sample(20_000, seed=3).table
    inside = {
        "not missing(death)": free["death"].notna(),
        'death < "1968-01-01"': free["death"] < "1968",
        'death >= "1990-01-01" and admission < "1995-01-01"': (free["death"] >= "1990")
        & (free["admission"] < "1995"),
    }[where]
    found = model.sample(1_000, where=where, seed=4)
    assert found.probability == pytest.approx(inside.mean(), rel=0.15)


@pytest.mark.parametrize("where", ["died == true and missing(death)", "admission > death"])
def test_what_a_rule_forbids_is_refused_with_the_rules_named(model: AbstractFitted, where: str) -> None:
    with pytest.raises(SamplingExhausted, match="see whether a rule forbids such patients"):
        model.sample(10, where=where, seed=5)


def _rule(*, strict: bool) -> Schema:
    numbers = {"minimum": 0, "maximum": _SIZE - 1}
    return Schema(
        name="numbers",
        columns=(IntegerColumn(name="low", **numbers), IntegerColumn(name="high", missing=True, **numbers)),
        constraints=(Inequality(low="low", high="high", strict=strict),),
    )


def _uniform(rng: np.random.Generator):
    """A link that is missing with a chance of 0.3, and else uniform."""

    def draw(at: Codes, allowed: CodeSet | None) -> tuple[Codes, Floats]:
        inside = allowed or CodeSet(((0, _SIZE - 1),), missing=True)
        chances = np.append(np.full(_SIZE, (1 - _ABSENT) / _SIZE), _ABSENT)
        codes = np.append(np.arange(_SIZE), -1)
        chances = chances * inside.contains(codes)
        return rng.choice(codes, len(at), p=chances / chances.sum()), np.full(len(at), chances.sum())

    return draw


@pytest.mark.parametrize("strict", [False, True])
def test_the_missing_stay_as_many_and_the_present_are_cut(*, strict: bool) -> None:
    schema, rows = _rule(strict=strict), np.tile([_LOW, -1], (20_000, 1))
    bounds = bounds_of(schema, [0, 1])
    assert not bounds[0]
    codes, mass, draws = draw_bounded(
        _uniform(np.random.default_rng(1)), bounds[1], rows, allowed=None, size=_SIZE
    )
    assert (codes == -1).mean() == pytest.approx(_ABSENT, abs=0.015)
    assert set(codes[codes >= 0]) == set(range(_LOW + strict, _SIZE))
    assert mass == pytest.approx(1.0)
    assert draws > len(rows)


@pytest.mark.parametrize("low", [0, 3, 6])
def test_weights_are_the_share_of_the_set_under_the_cut_conditional(low: int) -> None:
    rows, asked = np.tile([_LOW, -1], (40_000, 1)), CodeSet(((low, _SIZE - 1),), missing=False)
    bounds = bounds_of(_rule(strict=False), [0, 1])[1]
    codes, mass, _ = draw_bounded(_uniform(np.random.default_rng(2)), bounds, rows, allowed=asked, size=_SIZE)
    kept = _SIZE - max(low, _LOW)
    assert mass.mean() == pytest.approx((1 - _ABSENT) * kept / (_SIZE - _LOW), rel=0.03)
    assert (codes[mass > 0] >= _LOW).all()


def test_the_lower_number_may_come_last() -> None:
    rows = np.tile([-1, _LOW], (2_000, 1))
    bounds = bounds_of(_rule(strict=False), [1, 0])
    codes, _, _ = draw_bounded(_uniform(np.random.default_rng(3)), bounds[1], rows, allowed=None, size=_SIZE)
    assert codes.max() == _LOW
