"""Whom a model or its rows give away."""

import numpy as np
import pytest

from ehrsynth.rebalance.exposure import loss_exposure, row_exposure
from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.treating import treat
from minority import NUMBERS, numbers, plan_of_numbers

TABLE = numbers(10, 400, seed=1)
PLAN = plan_of_numbers(numbers(100, 100))
ROWS = rows_of(TABLE, PLAN, NUMBERS).matrix


def test_a_model_that_knows_its_patients_by_heart_is_found_out() -> None:
    rng = np.random.default_rng(0)
    event = rng.random(200) < 0.5
    by_heart, honest = np.where(event, 0.99, 0.01), rng.random(200)
    assert loss_exposure((event, by_heart), (event, honest)) > 0.95
    assert loss_exposure((event, honest), (event, honest)) == pytest.approx(0.5)
    assert np.isnan(loss_exposure((event[:0], honest[:0]), (event, honest)))


def test_copies_are_found_and_fresh_patients_are_not() -> None:
    members, unseen, fresh = (ROWS.rows(np.arange(a, a + 100)) for a in (10, 110, 210))
    assert row_exposure(members, unseen, members, seed=1) > 0.95
    assert row_exposure(members, unseen, fresh, seed=1) == pytest.approx(0.5, abs=0.12)
    assert np.isnan(row_exposure(members, unseen, fresh.rows(np.arange(0)), seed=1))


def test_smote_gives_its_patients_away_more_than_a_generator() -> None:
    from ehrsynth.rebalance.plan import of_matrix

    table = numbers(500, 200, seed=4)
    train, test = (
        table.iloc[np.r_[0:500, 500:600]].reset_index(drop=True),
        table.iloc[600:].reset_index(drop=True),
    )
    plan = plan_of_numbers(train)
    members, unseen = (rows_of(t, plan, NUMBERS).matrix for t in (train.iloc[500:], test))
    found = {}
    for name in ("smote", "independent"):
        made = rows_of(treat(name, train, plan, NUMBERS, seed=1).made, plan, NUMBERS)
        mine = of_matrix(made.matrix, plan, NUMBERS).group == 1
        found[name] = row_exposure(members, unseen, made.matrix.rows(mine), seed=1)
    assert found["smote"] > 0.75
    assert found["independent"] < 0.65
