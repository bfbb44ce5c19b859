"""Conditions met inside the chain: every row, the right share, the right distribution, bounded work."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import ConditionError, SamplingExhausted
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.chain.conditioned import LEAST_PROBABILITY, Pool, search_within
from ehrsynth.progress import silent
from ward import WARD, patients

N = 400
CONDITIONS = {
    "first column": 'sex == "F"',
    "first columns": 'sex == "F" and age >= 90',
    "late column": "dead",
    "early and late": 'sex == "F" and dead',
    "rare early and late": "age >= 92 and `day of death` < 20",
    "last column": "`day of death` == 1",
    "missing": "missing(sbp)",
    "range, set and missing": "60 <= age < 80 and not drug and not missing(sbp)",
    "either": "age < 45 or `day of death` >= 300",
    "formula": "`pulse pressure` >= 90",
    "formula and late": "`pulse pressure` < 40 and dead",
    "relation": "sbp > 2 * dbp",
}


@pytest.fixture(scope="module")
def model() -> FittedAutoregressive:
    recipe = Autoregressive(trees=3, rounds=40)
    return cast("FittedAutoregressive", recipe.fit(patients(), WARD, seed=1))


@pytest.fixture(scope="module")
def free(model: FittedAutoregressive) -> pd.DataFrame:
    return model.sample(60_000, seed=77).table


@pytest.mark.parametrize("where", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_rows_shares_and_distributions(model: FittedAutoregressive, free: pd.DataFrame, where: str) -> None:
    sample = model.sample(N, where=where, seed=3)
    condition = Condition.parse(where, WARD)
    assert condition.mask(encode(sample.table, WARD)).all()
    met = condition.mask(encode(free, WARD))
    share = met.mean()
    # The free rows err by binomial chance, the estimate by that of its effective sample size.
    error = np.sqrt(share / len(free)) + share / np.sqrt(sample.effective_sample_size)
    assert sample.probability == pytest.approx(share, abs=4 * error)
    assert 0 < sample.effective_sample_size <= N
    real = free[met]
    for name in ("age", "dbp", "day of death"):
        a, b = real[name].dropna().astype(float), sample.table[name].dropna().astype(float)
        if len(a) > 100 and len(b) > 50:
            spread = a.std() * np.sqrt(1 / len(a) + 1 / max(sample.effective_sample_size * len(b) / N, 1))
            assert b.mean() == pytest.approx(a.mean(), abs=5 * spread + 0.5), name


def last_value(model: FittedAutoregressive, free: pd.DataFrame) -> str:
    """A condition of probability near 0.001 on the last column of the chain."""
    last = model.chain.names()[-1]
    assert last == "day of death"
    share = free[last].value_counts(normalize=True) * free[last].notna().mean()
    days = share.sort_index()
    from_day = days.index[int((days[::-1].cumsum()[::-1] > 0.001).sum()) - 1]
    return f"`day of death` >= {from_day}"


def test_a_late_condition_needs_few_draws(model: FittedAutoregressive, free: pd.DataFrame) -> None:
    """One draw is one row asked of one link; the pool, drawn once a model, is counted in full."""
    where = last_value(model, free)
    condition = Condition.parse(where, WARD)
    assert 0.0003 < condition.mask(encode(free, WARD)).mean() < 0.003
    links, n = len(model.chain.links), 1_000
    blocks: list[int] = []

    def draw(rows: int, number: int) -> np.ndarray:
        blocks.append(rows)
        return encode(free.iloc[number * rows : (number + 1) * rows], WARD)

    pool = Pool(draw, links)
    rng = np.random.default_rng(0)
    search = search_within(model.chain, pool, n, condition, rng=rng, progress=silent)
    assert search.worth >= 500
    draws = search.link_draws + sum(blocks) * links
    assert draws / links / n < 50


def test_the_pool_is_drawn_once(model: FittedAutoregressive) -> None:
    calls = []

    def draw(rows: int, number: int) -> np.ndarray:
        calls.append(number)
        return np.full((rows, 2), number)

    pool = Pool(draw, 8)
    assert (pool.block(1) == 1).all()
    assert (pool.block(0) == 0).all()
    assert calls == [0, 1]
    assert Pool(draw, 300).rows < pool.rows


@pytest.mark.parametrize("where", ["age > 110", "missing(age)", 'sex == "F" and sex == "M"'])
def test_what_the_schema_rules_out_is_an_error_at_once(model: FittedAutoregressive, where: str) -> None:
    with pytest.raises(ConditionError):
        model.sample(5, where=where, seed=1)


@pytest.mark.parametrize(
    "where", ["not dead and not missing(`day of death`)", "age == 2 and sbp == 41 and dbp == 22"]
)
def test_below_the_floor_it_is_refused_with_its_estimate(model: FittedAutoregressive, where: str) -> None:
    with pytest.raises(
        SamplingExhausted, match=f"estimated probability of .* below the floor of {LEAST_PROBABILITY:.0e}"
    ):
        model.sample(5, where=where, seed=1)


def test_equal_seeds_equal_rows_whatever_was_drawn_before(model: FittedAutoregressive) -> None:
    again = type(model)(model.schema, model.recipe, model.chain)
    again.sample(10, where="not drug and dead", seed=9)
    a, b = (m.sample(50, where="dead", seed=4).table for m in (model, again))
    pd.testing.assert_frame_equal(a, b)
