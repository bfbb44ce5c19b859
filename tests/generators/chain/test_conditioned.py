"""Conditions met inside the chain: every row, the right share, the right distribution, bounded work."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import ConditionError, SamplingExhausted
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.chain import particles
from ehrsynth.generators.chain.conditioned import (
    LEAST_PROBABILITY,
    Found,
    Pool,
    draw_within,
    search_within,
)
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
    "rare relation": "sbp > 2.3 * dbp",
    "early and a late relation": 'sex == "F" and `day of death` + age > 180',
    "relation of a formula": "`pulse pressure` > age + 30",
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
    last = model.chain.names[-1]
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

    pool = Pool(model.chain, draw)
    rng = np.random.default_rng(0)
    found = search_within(model.chain, pool, n, condition, rng=rng, progress=silent)
    assert len(found.codes) == n
    assert found.worth >= 500
    assert found.link_draws / n < 50
    assert (found.link_draws + sum(blocks) * links) / links / n < 50


def test_the_pool_is_drawn_once(model: FittedAutoregressive) -> None:
    calls = []

    def draw(rows: int, number: int) -> np.ndarray:
        calls.append(number)
        return np.full((rows, 2), number)

    pool = Pool(model.chain, draw)
    assert (pool.block(1) == 1).all()
    assert (pool.block(0) == 0).all()
    assert calls == [0, 1]


def test_the_effective_sample_size_counts_families() -> None:
    rows = np.zeros((6, 2), np.int64)
    assert Found(rows, np.array([1, 1, 1, 2, 2, 3]), 0.5, 1.0, 0).worth == pytest.approx(36 / 14)
    assert Found(rows, np.arange(6), 0.5, 1.0, 0).worth == pytest.approx(6)


@pytest.mark.parametrize("where", ["dead and sbp >= 150", "sbp > 2.3 * dbp", "dead and sbp - age >= 90"])
def test_the_estimate_is_unbiased_and_the_worth_is_honest(
    model: FittedAutoregressive, free: pd.DataFrame, where: str
) -> None:
    """Over seeds and pools: the mean estimate is the share of free rows; means vary as their worth says."""
    share = Condition.parse(where, WARD).mask(encode(free, WARD)).mean()
    estimates, means, worths, spreads = [], [], [], []
    for seed in range(24):

        def draw(rows: int, number: int, seed: int = seed) -> np.ndarray:
            return model.chain.draw(rows, np.random.default_rng([seed, number]))

        pool, condition = Pool(model.chain, draw), Condition.parse(where, WARD)
        drawn = draw_within(
            model.chain, pool, 300, condition, rng=np.random.default_rng(seed), progress=silent
        )
        age = drawn.codes[:, 1].astype(float)
        estimates.append(drawn.probability)
        means.append(age.mean())
        worths.append(drawn.effective_sample_size)
        spreads.append(age.std())
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates)) + np.sqrt(share / len(free))
    assert np.mean(estimates) == pytest.approx(share, abs=3.5 * error)
    promised = np.mean(spreads) / np.sqrt(np.mean(worths))
    # A standard deviation of 24 means is known to within a third.
    assert np.std(means, ddof=1) < 1.5 * promised


@pytest.mark.parametrize("where", ["sbp > 2.3 * dbp", "sbp - dbp > 100", "`pulse pressure` > age + 40"])
def test_a_relation_is_searched_as_long_as_a_box(model: FittedAutoregressive, where: str) -> None:
    """Of probability 0.002 to 0.009: one block alone holds a dozen such rows, which would be copied."""
    assert not Condition.parse(where, WARD).exact
    assert model.sample(200, where=where, seed=3).effective_sample_size >= 150
    assert model.sample(1_000, where=where, seed=3).effective_sample_size >= 250


def test_more_boxes_than_are_kept_are_searched_as_long(model: FittedAutoregressive) -> None:
    pairs = [(age, dbp) for age in range(60, 89) for dbp in range(70, 79)]
    where = " or ".join(f"age=={age} and dbp=={dbp} and sbp>={dbp + age + 25}" for age, dbp in pairs)
    condition = Condition.parse(where, WARD)
    assert not condition.exact
    sample = model.sample(200, where=where, seed=3)
    assert condition.mask(encode(sample.table, WARD)).all()
    assert sample.effective_sample_size >= 150


def test_a_relation_nobody_meets_says_how_many_were_looked_at(model: FittedAutoregressive) -> None:
    with pytest.raises(SamplingExhausted, match="none of 120,000 rows"):
        model.sample(5, where="sbp > dbp + 250 and age < 30", seed=1)


@pytest.mark.parametrize(
    "where",
    ["age > 110", "missing(age)", 'sex == "F" and sex == "M"', "not dead and not missing(`day of death`)"],
)
def test_what_the_schema_rules_out_is_an_error_at_once(model: FittedAutoregressive, where: str) -> None:
    with pytest.raises(ConditionError):
        model.sample(5, where=where, seed=1)


def test_below_the_floor_it_is_refused_with_its_estimate(model: FittedAutoregressive) -> None:
    with pytest.raises(
        SamplingExhausted, match=f"estimated probability of .* below the floor of {LEAST_PROBABILITY:.0e}"
    ):
        model.sample(5, where="age == 2 and sbp == 41 and dbp == 22", seed=1)


def test_equal_seeds_equal_rows_whatever_was_drawn_before(model: FittedAutoregressive) -> None:
    again = type(model)(model.schema, model.recipe, model.chain)
    again.sample(10, where="not drug and dead", seed=9)
    a, b = (m.sample(50, where="dead", seed=4).table for m in (model, again))
    pd.testing.assert_frame_equal(a, b)


def test_edge_rows_meet_a_late_condition_and_are_rare(model: FittedAutoregressive) -> None:
    edge = model.edge(30, where="dead and `day of death` < 20", seed=6)
    condition = Condition.parse("dead and `day of death` < 20", WARD)
    assert condition.mask(encode(edge.table, WARD)).all()
    plain = model.sample(300, where=condition.text, seed=7).table
    assert np.median(model.log_prob(edge.table)) < np.quantile(model.log_prob(plain), 0.1)


def test_the_number_of_threads_changes_nothing(
    model: FittedAutoregressive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.sample(6_000, seed=3).table
    monkeypatch.setattr(particles, "WORKERS", 1)
    pd.testing.assert_frame_equal(before, model.sample(6_000, seed=3).table)
