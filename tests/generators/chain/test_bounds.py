"""Values that a rule bounds by an earlier one are drawn again alone: nobody becomes rarer for them."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from ehrsynth import generator
from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encode
from ehrsynth.errors import ConditionError, SamplingExhausted
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.chain.bounds import bounds_of, draw_bounded
from ehrsynth.generators.chain.classifier import Classifier
from ehrsynth.generators.chain.completion import complete_codes
from ehrsynth.generators.chain.features import Feature
from ehrsynth.generators.chain.link import Link
from ehrsynth.generators.chain.particles import Chain, log_density
from ehrsynth.generators.chain.states import States
from ehrsynth.progress import silent
from ehrsynth.schema import BooleanColumn, DateColumn, Implication, Inequality, IntegerColumn, Schema
from ward import WARD
from ward import patients as patients_of_the_ward

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


def _ward_model() -> AbstractFitted:
    return Autoregressive(rounds=20, trees=2).fit(patients_of_the_ward(500), WARD, seed=1)


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


def test_what_a_rule_forbids_is_refused_with_the_rules_named(model: AbstractFitted) -> None:
    with pytest.raises(SamplingExhausted, match="see whether a rule forbids such patients"):
        model.sample(10, where="admission > death", seed=5)


def test_what_one_rule_forbids_is_refused_before_anything_is_drawn(model: AbstractFitted) -> None:
    with pytest.raises(ConditionError, match=r"constraint 2 \(implication of 'death', 'died'\)"):
        model.sample(10, where="died == true and missing(death)", seed=5)


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


def _chain(order: tuple[int, int]) -> Chain:
    """Two numbers, each uniform on its own; the higher one is missing with a chance of 0.3."""
    nothing = Feature(np.array([_SIZE // 2]), listed=False)
    shares = (np.array([1.0]), np.array([1 - _ABSENT, _ABSENT]))
    links = [
        Link(
            States(np.array([0, -1])[: len(s)], np.array([_SIZE - 1, -1])[: len(s)], s),
            np.arange(len(s)),
            None,
            Classifier(s),
            (None,) * len(s),
        )
        for s in shares
    ]
    return Chain(_rule(strict=False), order, (nothing, nothing), tuple(links[place] for place in order))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_densities_of_all_rows_that_keep_the_rule_add_up_to_one(order: tuple[int, int]) -> None:
    chain = _chain(order)
    rows = np.array([(low, high) for low in range(_SIZE) for high in range(-1, _SIZE) if not 0 <= high < low])
    density = np.exp(chain.log_prob(rows))
    assert density.sum() == pytest.approx(1)
    drawn = chain.draw(200_000, np.random.default_rng(1))
    drawn = drawn[(drawn[:, 1] < 0) | (drawn[:, 0] <= drawn[:, 1])]  # a few never keep it
    at = {tuple(row): number for number, row in enumerate(rows)}
    share = np.bincount([at[tuple(row)] for row in drawn], minlength=len(rows)) / len(drawn)
    assert np.abs(share - density).max() < 0.003


def test_what_is_completed_below_a_known_number_is_as_in_free_rows() -> None:
    """Whoever has a high low number has few values above it, each of them the likelier."""
    chain, high = _chain((0, 1)), 6
    lows = np.arange(high + 1)
    chance = (1 - _ABSENT) / _SIZE / (_SIZE - lows)
    found = complete_codes(
        chain, np.array([[-1, high]]), 4_000, rng=np.random.default_rng(1), progress=silent
    )
    share = np.bincount(found.codes[:, 0], minlength=_SIZE)[: high + 1] / 4_000
    root = np.sqrt(found.effective_sample_size[0])
    assert np.abs(share - chance / chance.sum()).max() < 1.5 / root
    assert (share * lows).sum() == pytest.approx((chance * lows).sum() / chance.sum(), abs=3 * 2 / root)
    assert np.exp(found.log_probability[0]) == pytest.approx(chance.sum(), rel=0.03)


@pytest.mark.parametrize("name", ["sbp", "death"])
def test_densities_of_all_values_that_keep_the_rule_add_up_to_one(model: AbstractFitted, name: str) -> None:
    """Of fitted links: a date counted from another one, and a number."""
    fitted, table = (model, None) if name == "death" else (_ward_model(), patients_of_the_ward(30))
    assert isinstance(fitted, FittedAutoregressive)
    table = model.sample(30, seed=9).table if table is None else table
    chain, codes = fitted.chain, encode(table, fitted.schema)
    bounds = bounds_of(fitted.schema, chain.order)
    (step,) = (number for number, own in enumerate(bounds) if own)
    place, seen = chain.order[step], chain.matrix(codes)[:, :step]
    every = np.arange(-1, fitted.schema.learnt[place].size)
    for row in range(30):
        rows, own = codes[[row]].repeat(len(every), 0), every
        broken = np.logical_or.reduce([bound.broken(own, rows) for bound in bounds[step]])
        features = seen[[row]].repeat(len(every), 0)
        density = log_density(chain, step, features, rows, own=own, bounds=bounds[step])
        assert np.exp(density[~broken]).sum() == pytest.approx(1)


def test_the_lower_number_may_come_last() -> None:
    rows = np.tile([-1, _LOW], (2_000, 1))
    bounds = bounds_of(_rule(strict=False), [1, 0])
    codes, _, _ = draw_bounded(_uniform(np.random.default_rng(3)), bounds[1], rows, allowed=None, size=_SIZE)
    assert codes.max() == _LOW
