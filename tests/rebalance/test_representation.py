"""BR-Net on a table: what is not to be shown, and what is said of it."""

import numpy as np
import pytest

from ehrsynth.rebalance.brnet import BrNetSettings
from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.representation import Brnet, dependence
from minority import NUMBERS, numbers, plan_of_numbers, ready


def test_the_group_is_hidden_and_how_much_is_told() -> None:
    """Group b runs two units higher in two columns."""
    tables = [numbers(400, 400, seed=s) for s in (1, 2)]
    shifted = [
        t.assign(**{c: np.where(t["group"] == "b", np.clip(t[c] + 2, -9, 9), t[c]) for c in ("x2", "x3")})
        for t in tables
    ]
    plan = plan_of_numbers(shifted[0])
    method = Brnet()
    resting = BrNetSettings(**method.network.model_dump() | {"adversary_rate": 0.0})
    hidden, plain = (
        one(shifted[0], plan, NUMBERS, seed=1).predictor
        for one in (method, method.model_copy(update={"network": resting}))
    )
    told = dependence(method, hidden, plain, shifted[1], seed=1)
    before, after = (
        told[what]["group"]["squared_distance_correlation"]["mean"] for what in ("plain", "brnet")
    )
    assert before > 0.1
    assert after < 0.4 * before
    assert told["plain"]["group"]["probe_auroc"]["value"] > 0.9
    assert 0.5 <= told["brnet"]["group"]["probe_auroc"]["value"] <= 1


def test_columns_can_be_named_numbers_categories_and_gaps_included() -> None:
    rows = rows_of(ready().table, ready().plan, ready().schema)
    found = Brnet(bias=("age", "ward", "sbp", "sex")).variables(rows, ready().plan, ready().schema)
    assert [found[n].categorical for n in ("age", "ward", "sbp", "sex")] == [False, True, False, True]
    assert all(np.isfinite(one.values).all() for one in found.values())
    assert found["ward"].columns().shape[1] == 4  # three wards and missing
    assert found["age"].columns().std() == pytest.approx(1)
