"""Fairlearn's reductions narrow the gap between groups that they are asked to."""

import numpy as np
import pytest

from ehrsynth.rebalance.treating import predictor_of
from minority import NUMBERS, numbers, plan_of_numbers

pytest.importorskip("fairlearn")


def biased(a: int, b: int, seed: int):
    """Group b has the event more often, and one column gives it away."""
    table = numbers(a, b, seed=seed)
    rng = np.random.default_rng(seed)
    mine = (table["group"] == "b").to_numpy()
    return table.assign(
        event=table["event"].to_numpy(bool) | (mine & (rng.random(len(table)) < 0.5)),
        x4=np.where(mine, 2.0, -2.0) + rng.normal(size=len(table)).round(6) / 4,
    ).astype({"event": "boolean"})


@pytest.mark.parametrize("text", ["exponentiated_gradient constraint=demographic_parity", "grid_search"])
def test_the_groups_are_called_about_as_often(text: str) -> None:
    train, test = biased(800, 400, 1), biased(2_000, 2_000, 2)
    plan = plan_of_numbers(train)
    mine = (test["group"] == "b").to_numpy()
    gaps = []
    for one in ("none", text):
        called = predictor_of(one, train, plan, NUMBERS, seed=1).risks(test) > 0.5
        gaps.append(abs(called[mine].mean() - called[~mine].mean()))
    assert gaps[0] > 0.3
    assert gaps[1] < gaps[0] / 2
