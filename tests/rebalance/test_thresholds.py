"""A threshold for each group: only when it was asked for by name, and with a warning."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.rebalance.base import AbstractDecider
from ehrsynth.rebalance.treating import treat
from minority import NUMBERS, numbers, plan_of_numbers

TRAIN, TEST = numbers(1_500, 700, strength=1.0, seed=1), numbers(4_000, 4_000, strength=1.0, seed=2)
# Group b runs higher: one threshold for all has another specificity there.
SHIFTED = [
    t.assign(x0=np.where(t["group"] == "b", np.clip(t["x0"] + 1.5, -9, 9), t["x0"])) for t in (TRAIN, TEST)
]
PLAN = plan_of_numbers(SHIFTED[0])


def test_it_is_refused_unless_asked_for_by_name() -> None:
    with pytest.raises(RequestError, match="--allow-group-thresholds"):
        treat("group_thresholds", TRAIN, PLAN, NUMBERS, seed=1)


def test_specificities_become_equal_risks_stay_and_the_warning_is_there() -> None:
    plan = replace(PLAN, group_thresholds=True)
    found = treat("group_thresholds", SHIFTED[0], plan, NUMBERS, seed=1)
    predictor, test = found.predictor, SHIFTED[1]
    assert isinstance(predictor, AbstractDecider)
    free, group = ~test["event"].to_numpy(bool), test["group"].to_numpy()
    apart = {
        what: [float((~called)[free & (group == g)].mean()) for g in "ab"]
        for what, called in (
            ("single", predictor.risks(test) > found.notes["threshold_for_all"]),
            ("by group", predictor.decisions(test)),
        )
    }
    assert abs(apart["single"][0] - apart["single"][1]) > 0.1
    assert apart["by group"] == pytest.approx([0.8, 0.8], abs=0.05)
    assert "unlawful" in found.warnings[0]
    none = treat("none", SHIFTED[0], plan, NUMBERS, seed=1)
    assert none.warnings == ()
