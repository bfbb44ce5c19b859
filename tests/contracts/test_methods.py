"""One suite over every registered method of rebalancing, and over generators as methods."""

import random

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import MissingPackage, RequestError
from ehrsynth.rebalance.base import AbstractDecider, Treatment
from ehrsynth.rebalance.methods import every, installed, method, names, quick
from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.targets import stratum_counts, wanted
from ehrsynth.rebalance.treating import learnt_from, treat
from ehrsynth.registry import PRIVATE, known
from ehrsynth.tables import is_synthetic
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.values import to_values
from minority import HOSPITAL, hospital, ready

# Settings under which the slow ones run in a test.
QUICK = {
    "auto": 'auto candidates=["independent"]',
    "autoregressive": "autoregressive trees=2 rounds=20",
    "brnet": 'brnet network={"steps":30,"batch":64}',
    "ctgan": "ctgan epochs=2 batch_size=50 generator_dim=[16] discriminator_dim=[16] embedding_dim=8",
    "diffusion": "diffusion epochs=3 batch_size=64 width=16 depth=1 steps=8 repeats=1",
    "tvae": "tvae epochs=2 batch_size=30 embedding_dim=8 compress_dims=[16] decompress_dims=[16]",
}
# They take patients away, or add about as many as were asked for: the goal is not met exactly.
INEXACT = {"adasyn", "kmeans_smote", "repeated_enn", "smote_enn", "smote_tomek", "svm_smote", "tomek_links"}
THINS = {"random_undersampling"}
ALL = [name for name in names() if name != "generation"]


def plan():
    from dataclasses import replace

    return replace(ready().plan, group_thresholds=True)


@pytest.fixture(scope="module")
def treatments() -> dict[str, Treatment]:
    return {}


def treated(name: str, treatments: dict[str, Treatment]) -> Treatment:
    if not installed(name):
        pytest.skip(f"{name}: an optional package is not installed")
    if name not in treatments:
        treatments[name] = treat(QUICK.get(name, name), ready().table, plan(), ready().schema, seed=5)
    return treatments[name]


def test_every_registered_method_and_generator_is_in_the_suite() -> None:
    assert set(ALL) == {*known("method"), *known("generator")} - {"generation", *PRIVATE}
    assert {"autoregressive", "cart", "ctgan", "tvae", "diffusion"} <= set(ALL)


@pytest.mark.parametrize("text", ["mst", "autoregressive epsilon=1"])
def test_a_guarantee_is_not_claimed_for_a_table_of_real_patients(text) -> None:
    with pytest.raises(RequestError, match="would mean nothing"):
        method(text)


@pytest.mark.parametrize("name", ALL)
def test_it_does_one_of_three_things_and_says_what(name: str, treatments: dict[str, Treatment]) -> None:
    found = treated(name, treatments)
    given = [found.table is not None, found.weights is not None, found.predictor is not None]
    assert sum(given) == (0 if name == "none" else 1)
    assert found.method.split()[0] == name


@pytest.mark.parametrize("name", ALL)
def test_every_row_is_valid_and_marked(name: str, treatments: dict[str, Treatment]) -> None:
    table = treated(name, treatments).table
    if table is None:
        return
    assert satisfied(to_values(table, ready().schema), ready().schema).all()
    assert set(table["_origin"].unique()) <= {"real", "repeated", "synthetic"}
    assert table["id"].is_unique
    assert is_synthetic(table) == (table["_origin"] == "synthetic").any()


@pytest.mark.parametrize("name", ALL)
def test_real_rows_are_the_patients_as_they_were(name: str, treatments: dict[str, Treatment]) -> None:
    table = treated(name, treatments).table
    if table is None:
        return
    real = table[table["_origin"] == "real"].drop(columns="_origin").reset_index(drop=True)
    before = ready().table.set_index("id")
    assert set(real["id"]) <= set(before.index)
    pd.testing.assert_frame_equal(real.set_index("id"), before.loc[real["id"]], check_names=False)
    assert not set(table.loc[table["_origin"] != "real", "id"]) & set(before.index)


@pytest.mark.parametrize("name", ALL)
def test_the_goal_is_met(name: str, treatments: dict[str, Treatment]) -> None:
    found = treated(name, treatments)
    asked = wanted(ready().table, plan(), ready().schema, "down" if name in THINS else "up")
    if found.table is None or name in INEXACT:
        return
    rows = rows_of(found.table.drop(columns="_origin"), plan(), ready().schema)
    assert stratum_counts(rows, 2).tolist() == asked.tolist()


@pytest.mark.parametrize("name", ["adasyn", "kmeans_smote", "smote_tomek"])
def test_the_goal_is_nearly_met(name: str, treatments: dict[str, Treatment]) -> None:
    found = treated(name, treatments)
    asked = wanted(ready().table, plan(), ready().schema, "up").sum()
    assert len(found.table) == pytest.approx(asked, rel=0.15)


@pytest.mark.parametrize("name", ALL)
def test_weights_have_a_mean_of_one(name: str, treatments: dict[str, Treatment]) -> None:
    weights = treated(name, treatments).weights
    if weights is not None:
        assert weights.mean() == pytest.approx(1)
        assert (weights > 0).all()
        assert len(weights) == len(ready().table)


@pytest.mark.parametrize("name", ALL)
def test_what_was_learnt_predicts_patients_who_were_not_there(
    name: str, treatments: dict[str, Treatment]
) -> None:
    found = treated(name, treatments)
    new = hospital(60, women=0.5, seed=9)[list(ready().schema.names)]
    predictor = learnt_from(found, ready().table, plan(), ready().schema, seed=5)
    risks = predictor.risks(new)
    assert risks.shape == (60,)
    assert ((risks >= 0) & (risks <= 1)).all()
    assert np.ptp(risks) > 0.05
    if isinstance(predictor, AbstractDecider):
        assert predictor.decisions(new).dtype == bool


@pytest.mark.parametrize("name", ALL)
def test_the_outcome_of_whom_it_predicts_plays_no_part(name: str, treatments: dict[str, Treatment]) -> None:
    found = treated(name, treatments)
    predictor = learnt_from(found, ready().table, plan(), ready().schema, seed=5)
    turned = ready().table.assign(died=~ready().table["died"])
    assert np.array_equal(predictor.risks(ready().table), predictor.risks(turned))


# The neural generators' own contract has it, and they take long.
@pytest.mark.parametrize(
    "name", [name for name in ALL if name not in {"ctgan", "tvae", "diffusion", "copula"}]
)
def test_equal_seeds_give_equal_treatments_and_nothing_global_moves(
    name: str, treatments: dict[str, Treatment]
) -> None:
    import torch

    first = treated(name, treatments)
    before = ready().table.copy()
    state = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
    again = treat(QUICK.get(name, name), ready().table, plan(), ready().schema, seed=5)
    assert random.getstate() == state[0]
    assert repr(np.random.get_state()) == repr(state[1])  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), state[2])
    pd.testing.assert_frame_equal(ready().table, before)
    if first.table is not None:
        pd.testing.assert_frame_equal(again.table, first.table)
    risks = [
        learnt_from(t, ready().table, plan(), ready().schema, seed=5).risks(ready().table)
        for t in (first, again)
    ]
    assert np.array_equal(*risks)


@pytest.mark.parametrize("name", ALL)
def test_synthetic_patients_are_not_learnt_from_unasked(name: str, treatments: dict[str, Treatment]) -> None:
    made = treated(name, treatments).made
    if made is not None:
        assert is_synthetic(made)
        assert "_origin" not in made.columns


def test_a_name_or_setting_that_is_not_known_is_told() -> None:
    with pytest.raises(RequestError, match="Did you mean 'smote'"):
        method("smot")
    with pytest.raises(RequestError, match="setting of smoten 'band'"):
        method("smoten band=3")
    with pytest.raises(RequestError, match="setting of cart 'leef'"):
        method("cart leef=3")
    with pytest.raises(RequestError, match="bands of smoten"):
        method("smoten bands=1")


def test_a_text_and_its_method_are_the_same_thing() -> None:
    for text in ("smote", "recalibration of=smote", "cart leaf=7", "smoten bands=4"):
        assert method(text).text == text
        assert method(method(text).text) == method(text)


def test_the_quick_ones_start_with_none_and_have_no_threshold_unless_asked_for() -> None:
    assert quick()[0] == "none"
    assert "group_thresholds" not in quick()
    assert "group_thresholds" in quick(thresholds=True)
    assert "cart" in quick()
    assert not {"autoregressive", "brnet", "ctgan"} & set(quick())
    assert set(every(thresholds=True)) == set(ALL)
    assert every()[0] == "none"


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "imblearn", None)
    with pytest.raises(MissingPackage, match=r"ehrsynth\[rebalance\]"):
        treat("smote", ready().table, plan(), ready().schema, seed=1)


def test_the_schema_of_the_tests_is_not_easy() -> None:
    """Gaps, a formula and a rule: what a sampler would break."""
    assert HOSPITAL.constraints
    assert ready().table["sbp"].isna().any()
