"""Who is learnt from and who is tested on."""

import numpy as np
import pytest

from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.splits import Split, draws, repeated_splits, sites_left_out
from minority import NUMBERS, numbers, plan_of_numbers

TABLE = numbers(200, 24, seed=1)
ROWS = rows_of(TABLE, plan_of_numbers(TABLE), NUMBERS)


def test_each_group_and_outcome_has_its_share_on_both_sides() -> None:
    found = repeated_splits(ROWS, count=40, test_share=1 / 3, seed=2)
    assert found.test_over_train == pytest.approx(0.5)
    stratum = 2 * ROWS.group + ROWS.event
    tested = np.zeros(len(ROWS))
    for split in found.each:
        assert not set(split.train) & set(split.test)
        assert sorted([*split.train, *split.test]) == list(range(len(ROWS)))
        for one in np.unique(stratum):
            share = (stratum[split.test] == one).sum() / (stratum == one).sum()
            assert share == pytest.approx(1 / 3, abs=1 / (stratum == one).sum())
        tested[split.test] += 1
    for one in np.unique(stratum):
        assert tested[stratum == one].mean() / 40 == pytest.approx(1 / 3, abs=0.03)


def test_splits_are_drawn_by_the_seed() -> None:
    first, again, other = (repeated_splits(ROWS, count=2, test_share=0.3, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.each[0].test, again.each[0].test)
    assert not np.array_equal(first.each[0].test, other.each[0].test)
    assert not np.array_equal(first.each[0].test, first.each[1].test)


def test_the_largest_sites_are_left_out_and_a_missing_site_takes_no_part() -> None:
    site = np.array([0] * 5 + [1] * 30 + [2] * 20 + [-1] * 10)
    found = sites_left_out(site, most=2, minimum=10)
    assert list(found) == [1, 2]
    assert np.array_equal(found[1].test, np.arange(5, 35))
    assert np.array_equal(found[1].train, np.r_[np.arange(5), np.arange(35, 55)])


def test_draws_from_a_large_pool_hardly_widen() -> None:
    each = [Split(np.arange(100), np.arange(100, 200)) for _ in range(3)]
    assert draws(each, pool=10_000).test_over_train == pytest.approx(100 / 9_900)
