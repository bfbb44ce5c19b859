"""A discharge is learnt as so many days after the admission, and met in conditions as the day that it is."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth import generator
from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encode
from ehrsynth.generators.autoregressive import FittedAutoregressive
from ehrsynth.generators.chain.elapsed import Elapsed, find_elapsed
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.storage import load_model
from ehrsynth.schema import Inequality, Schema
from ehrsynth.tables.grids import Grid
from ehrsynth.tables.values import from_values

_DAYS = {"kind": "date", "minimum": "2015-01-01", "maximum": "2020-12-31"}
_FIRST = 16_436  # 2015-01-01
_LONG = 15
STAY = Schema(
    name="stay",
    citation="made for this test",
    columns=(
        {"name": "born", **_DAYS | {"minimum": "1920-01-01", "maximum": "2000-01-01"}},
        {"name": "admission", "missing": True, **_DAYS},
        {"name": "sick", "kind": "boolean"},
        {"name": "discharge", "missing": True, **_DAYS},
        {"name": "died", "kind": "boolean", "roles": ("outcome",)},
        {"name": "age", "kind": "number", "minimum": 0, "maximum": 99, "decimals": 1},
        {"name": "age_at_death", "kind": "number", "minimum": 0, "maximum": 120, "decimals": 1},
    ),
    constraints=(
        Inequality(low="admission", high="discharge"),
        Inequality(low="age", high="age_at_death"),
    ),
)
PLACE = {column.name: place for place, column in enumerate(STAY.learnt)}


def stays(n: int = 3_000, seed: int = 0) -> pd.DataFrame:
    """The sick stay about 20 days, the others about 4; half of those who stay longer than 15 days die."""
    rng = np.random.default_rng(seed)
    sick, admission = rng.random(n) < 0.3, _FIRST + rng.integers(0, 2_000, n).astype(float)
    days = np.round(np.where(sick, rng.gamma(4, 5, n), rng.gamma(2, 2, n)))
    died = rng.random(n) < np.where(days > _LONG, 0.5, 0.05)
    age = np.round(rng.uniform(20, 90, n), 1)
    values = {
        "born": -18_000 + rng.integers(0, 20_000, n).astype(float),
        "admission": np.where(rng.random(n) < 0.03, np.nan, admission),
        "sick": sick.astype(float),
        "discharge": np.where(rng.random(n) < 0.05, np.nan, admission + days),
        "died": died.astype(float),
        "age": age,
        "age_at_death": np.round(age + rng.uniform(0, 4, n), 1),
    }
    return from_values(values, STAY)


@pytest.fixture(scope="module", params=["autoregressive", "cart"])
def model(request: Any) -> FittedAutoregressive:
    return cast("FittedAutoregressive", generator(request.param).fit(stays(), STAY, seed=1))


def days(table: pd.DataFrame) -> "pd.Series[float]":
    return (table["discharge"] - table["admission"]).dt.days.dropna()


def test_what_is_counted_is_what_the_time_says_more_of() -> None:
    order = [
        PLACE[name] for name in ("born", "sick", "admission", "discharge", "age", "age_at_death", "died")
    ]
    found = find_elapsed(STAY, encode(stays(), STAY), order)
    # A birth says nothing of an admission's day, and nothing orders an age and a date.
    assert {order[step]: column.origin for step, column in found.items()} == {
        PLACE["discharge"]: PLACE["admission"],
        PLACE["age_at_death"]: PLACE["age"],
    }
    assert find_elapsed(STAY, encode(stays(45), STAY), order) == {}


def test_numbers_without_a_rule_and_dates_without_a_closeness_stay_what_they_are() -> None:
    order = [PLACE[name] for name in ("age", "age_at_death", "admission", "discharge")]
    unruled = STAY.model_copy(update={"constraints": ()})
    found = find_elapsed(unruled, encode(stays(), STAY), order)
    assert [order[step] for step in found] == [PLACE["discharge"]]
    table = stays()
    table["discharge"] = table["discharge"].sample(frac=1, random_state=1).to_numpy()
    assert PLACE["discharge"] not in {
        order[step] for step in find_elapsed(unruled, encode(table, STAY), order)
    }


@given(data=st.data())
def test_codes_come_back(data: st.DataObject) -> None:
    own, earlier = (Grid(data.draw(st.integers(-50, 50)), 1, data.draw(st.integers(1, 40))) for _ in range(2))
    elapsed = Elapsed(0, own, earlier)
    codes = np.array(data.draw(st.lists(st.integers(-1, own.size - 1), min_size=5, max_size=5)))
    origins = np.array(data.draw(st.lists(st.integers(-1, earlier.size - 1), min_size=5, max_size=5)))
    counted = elapsed.counted(codes, origins)
    again, beyond = elapsed.dated(counted, origins)
    assert again.tolist() == codes.tolist()
    assert not beyond.any()
    assert ((counted >= -1) & (counted < elapsed.size)).all()
    present = codes >= 0
    assert ((counted >= elapsed.border) == (origins < 0))[present].all()
    assert (counted < 0).tolist() == (~present).tolist()


def test_stays_are_as_long_as_real_ones_and_what_follows_from_them_follows(
    model: FittedAutoregressive,
) -> None:
    real, made = stays(), model.sample(10_000, seed=2).table
    for share in (0.1, 0.5, 0.9):
        assert days(made).quantile(share) == pytest.approx(days(real).quantile(share), abs=2)
    for table in (real, made):
        long = table[(table["discharge"] - table["admission"]).dt.days > _LONG]
        assert long["died"].astype(float).mean() == pytest.approx(0.5, abs=0.07)
    assert made["discharge"].isna().mean() == pytest.approx(0.05, abs=0.02)
    unknown = made.loc[made["admission"].isna(), "discharge"]
    assert unknown.notna().mean() > 0.8
    # Without an admission the day of discharge is anywhere in the years.
    assert unknown.dropna().dt.year.nunique() > 3


@pytest.mark.parametrize(
    "where",
    [
        'discharge < "2015-03-01"',
        'discharge >= "2017-03-01" and discharge <= "2017-03-31" and died == true',
        "missing(discharge)",
        'missing(discharge) or discharge > "2019-06-01"',
    ],
)
def test_a_condition_on_the_day_has_the_share_of_the_free_rows(
    model: FittedAutoregressive, where: str
) -> None:
    free = model.sample(150_000, seed=3).table
    day = free["discharge"]
    inside = {
        'discharge < "2015-03-01"': day < "2015-03-01",
        "missing(discharge)": day.isna(),
        'missing(discharge) or discharge > "2019-06-01"': day.isna() | (day > "2019-06-01"),
    }.get(where, (day >= "2017-03-01") & (day <= "2017-03-31") & free["died"])
    found = model.sample(400, where=where, seed=4)
    assert found.probability == pytest.approx(inside.mean(), rel=0.2)
    assert days(found.table).median() == pytest.approx(days(free[inside]).median(), abs=5, nan_ok=True)


def test_density_and_draws_agree(model: FittedAutoregressive) -> None:
    """The densities of all days sum to one, and are as often drawn; a set's weight is their sum."""
    step = next(s for s in model.chain.elapsed if model.chain.names[s] == "discharge")
    row = encode(stays(40, seed=9), STAY)
    row = row[(row[:, PLACE["admission"]] >= 0) & (row[:, PLACE["admission"]] < 1_000)][:1]
    features = model.chain.matrix(row)[:, :step]
    grid = np.arange(-1, STAY.learnt[PLACE["discharge"]].size)
    every = model.chain.link(step, np.repeat(row, len(grid), axis=0))
    density = np.exp(every.log_density(np.repeat(features, len(grid), axis=0), grid))
    assert density.sum() == pytest.approx(1, abs=1e-3)
    link, many = model.chain.link(step, np.repeat(row, 4_000, axis=0)), np.repeat(features, 4_000, axis=0)
    rng, first = np.random.default_rng(1), row[0, PLACE["admission"]]
    drawn, mass = link.draw(many, None, rng)
    assert mass == pytest.approx(1, abs=1e-3)
    soon = {"low": first, "high": first + 3}
    inside = density[soon["low"] + 1 : soon["high"] + 2].sum()
    assert ((drawn >= soon["low"]) & (drawn <= soon["high"])).mean() == pytest.approx(inside, abs=0.03)
    asked = CodeSet(((int(soon["low"]), int(soon["high"])),), missing=False)
    drawn, mass = link.draw(many, asked, rng)
    assert mass.mean() == pytest.approx(inside, abs=0.02)
    assert asked.contains(drawn[mass > 0]).all()


def test_no_state_holds_times_and_days_both() -> None:
    codes = np.concatenate([np.arange(40), 90 + np.arange(40), [-1] * 20])
    states = States.learn(codes, 150, listed=False, border=80)
    assert ((states.high < 80) | (states.low >= 80)).all()
    assert states.share.sum() == pytest.approx(1)
    assert states.share[states.low >= 80].sum() == pytest.approx(0.4)
    alone = States.learn(codes[40:80], 150, listed=False, border=80)
    assert (alone.low >= 80).all()


def test_what_is_counted_survives_the_disk(model: FittedAutoregressive, tmp_path) -> None:
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    pd.testing.assert_frame_equal(again.sample(50, seed=3).table, model.sample(50, seed=3).table)


@pytest.mark.parametrize("model", ["autoregressive"], indirect=True)
@pytest.mark.parametrize("unknown", ["admission", "discharge"])
def test_one_end_of_a_stay_follows_from_the_other(model: FittedAutoregressive, unknown: str) -> None:
    real = stays(400, seed=5)
    real = real[real["admission"].notna() & real["discharge"].notna()].reset_index(drop=True)
    partial = real.copy()
    partial[unknown] = pd.Series(pd.NaT, index=partial.index).astype("datetime64[s]")
    found = model.complete(partial, draws=5, seed=1).table
    assert days(found).min() >= 0
    for sick in (True, False):
        made, true = days(found[found["sick"] == sick]), days(real[real["sick"] == sick])
        assert made.median() == pytest.approx(true.median(), abs=4)
        assert made.quantile(0.95) == pytest.approx(true.quantile(0.95), rel=0.25)
