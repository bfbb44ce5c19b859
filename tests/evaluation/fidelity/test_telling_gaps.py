"""What gaps tell about an outcome: known where they are drawn by it, nothing where they are scattered."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.fidelity.missingness import missingness
from ehrsynth.schema import BooleanColumn, CategoryColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values

SCHEMA = Schema(
    name="gaps",
    columns=(
        NumberColumn(name="lab", minimum=-9, maximum=9, decimals=1, missing=True),
        NumberColumn(name="other", minimum=-9, maximum=9, decimals=1, missing=True),
        CategoryColumn(name="sex", values=("F", "M"), roles=("protected",)),
        BooleanColumn(name="died", roles=("outcome",)),
    ),
)


def patients(n: int, seed: int, *, dead: float, alive: float = 0.1) -> pd.DataFrame:
    """`lab` is missing for these shares of the dead and of the living; its value tells nothing."""
    rng = np.random.default_rng(seed)
    died = np.arange(n) % 2 == 0
    values = {
        "lab": np.where(rng.random(n) < np.where(died, dead, alive), np.nan, rng.normal(size=n)),
        "other": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "sex": rng.integers(0, 2, n) * 1.0,
        "died": died * 1.0,
    }
    return from_values(values, SCHEMA)


def test_gaps_that_follow_the_outcome_tell_as_much_as_they_were_made_to() -> None:
    train, holdout = (patients(1500, seed, dead=0.7) for seed in (1, 2))
    score = missingness(train, holdout, patients(1500, 3, dead=0.4, alive=0.4), SCHEMA, seed=0)
    (found,) = score.details["dependence"]["measured"]
    # One flag, missing for 7 of 10 dead and 1 of 10 living: the AUROC is (1 + 0.7 - 0.1) / 2.
    assert found["outcome"] == "died"
    assert found["real"]["low"] < 0.8 < found["real"]["high"]
    assert found["synthetic"]["low"] < 0.5 < found["synthetic"]["high"]
    assert found["difference"]["value"] == pytest.approx(found["synthetic"]["value"] - found["real"]["value"])
    assert found["difference"]["high"] < -0.2
    assert found["reference"]["low"] < 0 < found["reference"]["high"]
    # The shares of single columns are about right all the same: only the dependence is lost.
    assert score.value < 0.05


def test_no_outcome_is_told_by_gaps_that_do_not_follow_it() -> None:
    tables = [patients(200, seed, dead=0.3, alive=0.3) for seed in range(20)]
    found = [
        missingness(t, t, t, SCHEMA, seed=0).details["dependence"]["measured"][0]["real"]["value"]
        for t in tables
    ]
    # The mean of 20 AUROCs of 50 against 50 patients, each with a standard error of at most 0.058.
    assert np.mean(found) == pytest.approx(0.5, abs=4 * 0.058 / np.sqrt(20))


def test_the_interval_of_the_difference_holds_what_it_should_where_gaps_tell_nothing() -> None:
    held = 0
    for k in range(40):
        tables = [patients(400, 1000 + 3 * k + i, dead=0.4, alive=0.4) for i in range(3)]
        (found,) = missingness(*tables, SCHEMA, seed=k).details["dependence"]["measured"]
        held += found["difference"]["low"] <= 0 <= found["difference"]["high"]
    # Of 95 % intervals fewer than 34 of 40 hold 0 about once in two hundred times.
    assert held >= 34


def test_what_cannot_be_asked_is_named() -> None:
    whole = patients(60, 1, dead=0.0, alive=0.0).assign(other=1.0)
    assert missingness(whole, whole, whole, SCHEMA, seed=0).details["dependence"] == {
        "measured": [],
        "left_out": {"died": "no other value is missing in any table"},
    }
    alive = patients(60, 1, dead=0.5).assign(died=pd.array([False] * 60, dtype="boolean"))
    left_out = missingness(alive, alive, alive, SCHEMA, seed=0).details["dependence"]["left_out"]
    assert "patients of a class" in left_out["died"]


def test_a_group_whose_gaps_are_lost_is_shown() -> None:
    train, holdout, made = (patients(600, seed, dead=0.5, alive=0.5) for seed in (1, 2, 3))
    made.loc[made["sex"] == "F", "lab"] = 0.0
    groups = {
        g["group"]: g for g in missingness(train, holdout, made, SCHEMA, seed=0).details["groups"]["measured"]
    }
    # Single shares are off by 0.5 of two columns' mean, pairs by 0.5 x 0.2: (0.25 + 0.1) / 2.
    assert groups["sex: F"]["value"] == pytest.approx(0.175, abs=0.04)
    assert groups["sex: M"]["value"] < 0.06
    assert groups["sex: F"]["reference"] < 0.06
