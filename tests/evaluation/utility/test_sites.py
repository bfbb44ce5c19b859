"""A site left out is predicted by the patients of the other sites, and by them alone."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.utility.train_synthetic_test_real import train_synthetic_test_real
from ehrsynth.schema import BooleanColumn, CategoryColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values

SITES = ("north", "south", "odd", "tiny")
SCHEMA = Schema(
    name="sites",
    columns=(
        CategoryColumn(name="site", values=SITES, roles=("site",)),
        NumberColumn(name="lab", minimum=-9, maximum=9, decimals=2),
        BooleanColumn(name="died", roles=("outcome",)),
    ),
)


def patients(n: int, seed: int, *, odd: float = -3.0) -> pd.DataFrame:
    """A high value is bad, but at the site "odd" it is good; "tiny" has few patients."""
    rng = np.random.default_rng(seed)
    site = rng.choice(4, n, p=[0.25, 0.2, 0.54, 0.01])
    lab = rng.normal(size=n).round(2)
    risk = np.where(site == 2, odd, 3.0) * lab
    died = rng.random(n) < 1 / (1 + np.exp(-risk))
    return from_values({"site": site * 1.0, "lab": lab, "died": died * 1.0}, SCHEMA)


def test_the_odd_site_is_predicted_wrongly_by_all_others() -> None:
    tables = [patients(900, seed) for seed in (1, 2, 3)]
    found = train_synthetic_test_real(*tables, SCHEMA, seed=0).details["sites"]
    assert (found["column"], found["learner"], found["too_small"]) == ("site", "logistic_regression", 1)
    sites = {one["site"]: one for one in found["measured"]}
    assert next(iter(sites)) == "odd"  # the largest first
    assert set(sites) == {"north", "south", "odd"}
    # The lab alone has an AUROC of about 0.9; the others teach the odd site the opposite, though it has more
    # patients than they: one of its own among the teachers would turn this round.
    assert sites["odd"]["high"] < 0.2
    assert sites["odd"]["reference"] < 0.2
    assert all(one["low"] <= one["value"] <= one["high"] for one in sites.values())
    mean = found["mean"]
    for key in ("value", "reference"):
        assert mean[key] == pytest.approx(np.mean([one[key] for one in sites.values()]))
    widths = [one["high"] - one["low"] for one in sites.values()]
    assert mean["high"] - mean["low"] == pytest.approx(np.sqrt(np.sum(np.square(widths))) / 3)


def test_synthetic_patients_that_forgot_what_the_lab_means_are_worse_than_real_ones() -> None:
    train, holdout = (patients(900, seed, odd=3.0) for seed in (1, 2))
    made = patients(900, 3, odd=3.0)
    shuffled = made.assign(died=made["died"].sample(frac=1, random_state=0).array)
    good = train_synthetic_test_real(train, holdout, made, SCHEMA, seed=0).details["sites"]["mean"]
    bad = train_synthetic_test_real(train, holdout, shuffled, SCHEMA, seed=0).details["sites"]["mean"]
    assert good["reference"] == bad["reference"] > 0.85
    assert good["difference"]["value"] == pytest.approx(0, abs=0.01)
    assert bad["value"] < good["value"]
    turned = made.assign(died=~made["died"])
    worst = train_synthetic_test_real(train, holdout, turned, SCHEMA, seed=0).details["sites"]["mean"]
    assert worst["difference"]["high"] < -0.6


def test_without_a_site_nothing_is_said() -> None:
    plain = SCHEMA.changed(
        columns=tuple(c.model_copy(update={"roles": ()}) if c.name == "site" else c for c in SCHEMA.columns)
    )
    table = patients(200, 1)
    assert train_synthetic_test_real(table, table, table, plain, seed=0).details["sites"] is None
