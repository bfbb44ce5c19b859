"""Several copies: effects combined by hand, both inferences, and what cannot be estimated."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.utility import copies
from ehrsynth.evaluation.utility.copies import combined_effects
from ehrsynth.schema import NumberColumn, Schema
from ehrsynth.tables.values import from_values

SCHEMA = Schema(
    name="trial",
    columns=(
        NumberColumn(name="dose", minimum=-9, maximum=9, decimals=3, roles=("covariate",)),
        NumberColumn(name="age", minimum=-9, maximum=9, decimals=3, roles=("covariate",)),
        NumberColumn(name="y", minimum=-20, maximum=20, decimals=3, roles=("outcome",)),
    ),
)


def trial(rows: int, seed: int, slope: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    dose, age = rng.normal(size=(2, rows))
    return from_values({"dose": dose, "age": age, "y": slope * dose + rng.normal(size=rows)}, SCHEMA)


def of(found: dict, term: str) -> dict:
    (study,) = found["studies"].values()
    return next(one for one in study["coefficients"] if one["term"] == term)


def test_copies_are_averaged_and_the_population_is_less_sure_than_the_original() -> None:
    train, copies = trial(1_000, 1), [trial(1_000, seed) for seed in range(2, 7)]
    found = combined_effects(train, copies, SCHEMA, seed=0)
    alone = [of(combined_effects(train, [copy], SCHEMA, seed=0), "dose") for copy in copies]
    dose = of(found, "dose")
    assert dose["estimate"] == pytest.approx(np.mean([one["estimate"] for one in alone]))
    widths = {name: dose[name][1] - dose[name][0] for name in ("original", "population")}
    # Variances v / m and v (1 + 1 / m) of m = 5 copies as long as the original.
    assert widths["population"] / widths["original"] == pytest.approx(np.sqrt(6))
    assert dose["estimate"] == pytest.approx(0.5, abs=0.1)
    assert found["copies"] == 5


def test_a_generator_that_loses_the_effect_does_not_hold_the_originals_estimate() -> None:
    train = trial(1_000, 1)
    lost = combined_effects(train, [trial(1_000, s, slope=0.0) for s in range(2, 7)], SCHEMA, seed=0)
    assert of(lost, "dose")["held"] is False
    assert lost["share_held"] <= 0.5


def test_many_training_patients_are_all_counted_and_only_copies_are_cut(monkeypatch) -> None:
    """A perfect generator holds its own estimate in 95 of 100, however many patients it learnt from."""
    few = protocol().model_copy(update={"rows": 400})
    monkeypatch.setattr(copies, "protocol", lambda: few)
    held, widths = [], []
    for seed in range(60):
        train = trial(4_000, 1_000 + seed)
        rng = np.random.default_rng(seed)
        # Copies of a generator that knows the training patients' own distribution, and nothing else.
        made = [train.iloc[rng.integers(0, 4_000, 4_000)].reset_index(drop=True) for _ in range(5)]
        dose = of(combined_effects(train, made, SCHEMA, seed=seed), "dose")
        held.append(dose["held"])
        widths.append(dose["population"][1] - dose["population"][0])
    assert np.mean(held) > 0.85
    # Of 4,000 patients and five copies of 400 of them: v / 4,000 + v / 2,000.
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(1 / 4_000 + 1 / 2_000), rel=0.1)


def test_without_an_outcome_nothing_is_combined() -> None:
    schema = SCHEMA.subset(("dose", "age"))
    tables = [trial(100, seed)[["dose", "age"]] for seed in (1, 2)]
    found = combined_effects(tables[0], tables[1:], schema, seed=0)
    assert (found["studies"], found["share_held"]) == ({}, None)
