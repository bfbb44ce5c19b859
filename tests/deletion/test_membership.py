"""What an attacker sees: forgotten patients stand out of an overfitted model before, and not after."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.privacy.nearest_record import nearest_record
from ehrsynth.generators.forgetting import able_to_forget
from ehrsynth.generators.recipes import recipe
from ehrsynth.statistics import Estimate
from ward import WARD, patients

EVERYONE = patients(4_000, seed=3)
OVERFITTED = {"leaf": 1}  # one patient in a leaf: the model repeats whom it learnt


def part(start: int, stop: int) -> pd.DataFrame:
    return EVERYONE.iloc[start:stop].reset_index(drop=True)


GONE, STAY, NEVER, OTHERS, REFERENCE = (
    part(0, 300),
    part(300, 1_000),
    part(1_000, 2_000),
    part(2_000, 2_300),
    part(2_300, 4_000),
)


def attacked(model, targets) -> Estimate:
    """The AUROC of the attack, targets against patients whom no model ever saw; 0.5 is chance."""
    synthetic = model.sample(4_000, seed=5).table
    return Estimate(**nearest_record(targets, NEVER, REFERENCE, synthetic, WARD, seed=1).details["auroc"])


@pytest.mark.parametrize(
    ("name", "settings"),
    [("cart", OVERFITTED), ("sharded", {"generator": "cart", "settings": OVERFITTED, "shards": 4})],
)
def test_forgotten_patients_are_found_before_and_not_after(name, settings):
    chosen = recipe(name, settings)
    before = chosen.fit(pd.concat([STAY, GONE], ignore_index=True), WARD, seed=1)
    able = able_to_forget(before)
    after = able.forget(GONE, STAY, seed=2) if able else chosen.fit(STAY, WARD, seed=2)
    found, left = attacked(before, GONE), attacked(after, GONE)
    never = attacked(after, OTHERS)
    assert found.low > 0.7, "an overfitted model gives its patients away"
    assert never.low < 0.5 < never.high
    assert never.low <= left.value <= never.high
    assert attacked(after, STAY).low > 0.7, "the attack still works on those who stayed"


def test_approximate_forgetting_would_be_found_out():
    """The control of this test: a model that only pretends to forget is caught."""
    both = pd.concat([STAY, GONE], ignore_index=True)
    pretends = recipe("cart", OVERFITTED).fit(both, WARD, seed=2)
    never = attacked(pretends, OTHERS)
    assert attacked(pretends, GONE).low > never.high


def test_a_refit_has_the_distribution_of_a_fit_that_never_saw_them():
    """Fresh seeds: forty models by forgetting and forty by fitting anew, one number of each, by ranks."""
    from scipy.stats import mannwhitneyu

    chosen = recipe("sharded", {"generator": "cart", "settings": {"leaf": 5}, "shards": 2})
    stay, gone = STAY.head(200), STAY.iloc[200:230].reset_index(drop=True)
    both = pd.concat([stay, gone], ignore_index=True)

    def number(model):
        table = model.sample(300, seed=7).table
        return float(table["age"].astype(float).mean() + 10 * table["dead"].astype(float).mean())

    forgot = [number(chosen.fit(both, WARD, seed=s).forget(gone, stay, seed=500 + s)) for s in range(40)]
    never = [number(chosen.fit(stay, WARD, seed=1_000 + s)) for s in range(40)]
    assert np.std(forgot) > 0
    assert mannwhitneyu(forgot, never).pvalue > 0.005
