"""One suite over every registered generator: what `ehrsynth.generators.base` promises."""

import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import (
    ConditionError,
    EhrSynthError,
    MissingPackage,
    ModelError,
    NotEnoughData,
    RequestError,
    SamplingExhausted,
)
from ehrsynth.generators.autoregressive import FittedAutoregressive
from ehrsynth.generators.base import AbstractFitted, Parts, Sample
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model, save_model
from ehrsynth.registry import known, resolve
from ehrsynth.schema import Schema
from ehrsynth.tables import is_synthetic, mark_synthetic
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.values import from_values, to_values

PRIVATE_NETWORK: dict[str, object] = {"epsilon": 5.0, "steps": 20, "batch_size": 60, "width": 32}
# A generator that is not here runs with its defaults: fine where they are fast.
QUICK: dict[str, dict[str, object]] = {
    "auto": {"candidates": ("copula", "independent"), "splits": 2},
    "autoregressive": {"trees": 3, "rounds": 40},
    "ctgan": {
        "epochs": 60,
        "batch_size": 50,
        "embedding_dim": 16,
        "generator_dim": (64,),
        "discriminator_dim": (64,),
        "generator_lr": 2e-3,
        "discriminator_lr": 2e-3,
    },
    "diffusion": {"epochs": 150, "batch_size": 64, "width": 32, "depth": 1, "steps": 12, "repeats": 2},
    # Much epsilon: what is promised here is promised whatever the noise.
    "aim": {"epsilon": 100.0, "rounds": 0.5, "steps": 200, "round_steps": 30},
    "dp-ctgan": PRIVATE_NETWORK,
    "dp-independent": {"epsilon": 100.0},
    "dp-tvae": PRIVATE_NETWORK,
    "mst": {"epsilon": 100.0, "steps": 200},
    "sharded": {"generator": "autoregressive", "settings": {"trees": 3, "rounds": 40}, "shards": 2},
    "tvae": {
        "epochs": 60,
        "batch_size": 30,
        "embedding_dim": 16,
        "compress_dims": (32, 32),
        "decompress_dims": (32, 32),
    },
}
# The same generator in another form: name in this suite, registered name, settings.
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "independent with counts": ("independent", {"counts": True}),
    "autoregressive neural": (
        "autoregressive",
        {"learner": "neural", "epochs": 30, "width": 32, "depth": 1, "batch_size": 64, "learning_rate": 5e-3},
    ),
    "autoregressive private": ("autoregressive", PRIVATE_NETWORK | {"masks": 2}),
}
# The fewest patients of a fit, where it is more than two: a value needs eleven in its shard.
FEWEST = {"sharded": 60}
ROWS = 300
RARE_NUMBER = 7_654_321
PUBLIC = {"citation": "made for this test", "name": "ward", "rows": {"value": ROWS}}


def public(*items: dict[str, object]) -> tuple[dict[str, object], ...]:
    """Columns or rules with a public source: private generators take no other."""
    return tuple({"source": "public", **item} for item in items)


SCHEMA = Schema(
    **PUBLIC,
    columns=public(
        {"name": "id", "kind": "identifier", "pattern": "P####", "roles": ("patient_key",)},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110},
        {"name": "sex", "kind": "category", "values": ("F", "M")},
        {"name": "sbp", "kind": "number", "minimum": 40, "maximum": 300, "decimals": 1, "missing": True},
        {"name": "dbp", "kind": "number", "minimum": 20, "maximum": 250, "decimals": 1, "missing": True},
        {
            "name": "pulse pressure",
            "kind": "number",
            "minimum": 0,
            "maximum": 280,
            "decimals": 1,
            "missing": True,
        },
        {"name": "stroke", "kind": "category", "values": ("LACS", "PACS", "POCS", "TACS"), "missing": True},
        {"name": "icd", "kind": "code", "values": ("I63", "I61", "I64"), "system": "ICD-10"},
        {"name": "smoker", "kind": "boolean", "missing": True},
        {"name": "admitted", "kind": "date", "minimum": "2020-01-01", "maximum": "2020-12-31"},
        {
            "name": "seen",
            "kind": "datetime",
            "minimum": "2020-01-01T00:00:00",
            "maximum": "2020-12-31T23:59:59",
        },
        {"name": "stay", "kind": "duration", "unit": "days", "minimum": 0, "maximum": 365},
        {"name": "dead", "kind": "boolean"},
        {"name": "cost", "kind": "integer", "minimum": 0, "maximum": 10**9},
        {"name": "day of death", "kind": "integer", "minimum": 0, "maximum": 365, "missing": True},
    ),
    constraints=public(
        {"kind": "inequality", "low": "dbp", "high": "sbp"},
        {"kind": "formula", "column": "pulse pressure", "equals": "sbp - dbp"},
        {"kind": "present_together", "columns": ("sbp", "dbp")},
        {"kind": "implication", "if": "not dead", "then": "missing(`day of death`)"},
        {"kind": "implication", "if": "dead", "then": "not missing(`day of death`)"},
    ),
)
CONDITIONS = {
    "value": 'sex == "F"',
    "range": "60 <= age < 80",
    "set": 'stroke in ("LACS", "PACS")',
    "missing": "missing(sbp)",
    "not missing": "not missing(stroke)",
    "several": 'sex == "M" and age >= 50 and not missing(sbp)',
    "either": 'sex == "F" or age > 70',
    "relation": "sbp - dbp > 30",
    "rare relation": "sbp > 2 * dbp and smoker",
    "formula": "`pulse pressure` > 75",
    "relation of a formula": "`pulse pressure` > age + 20",
    "second category": "smoker",
}


def patients(n: int = ROWS, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    female = rng.random(n) < 0.45
    age = np.clip(rng.normal(72, 11, n) + 4 * female, 18, 105).round()
    dbp = np.clip(rng.normal(85, 9, n), 40, 130).round(1)
    sbp = np.clip(dbp + rng.normal(60, 10, n), dbp, 250).round(1)
    unmeasured = rng.random(n) < np.where(female, 0.35, 0.05)
    sbp, dbp = np.where(unmeasured, np.nan, sbp), np.where(unmeasured, np.nan, dbp)
    dead = rng.random(n) < 0.3
    days = rng.integers(18262, 18627, n).astype(float)
    values = {
        "age": age,
        "sex": np.where(female, 0.0, 1.0),
        "sbp": sbp,
        "dbp": dbp,
        "pulse pressure": (sbp - dbp).round(1),
        "stroke": np.where(
            rng.random(n) < 0.1, np.nan, rng.choice(4, n, p=[0.3, 0.4, 0.2, 0.1]).astype(float)
        ),
        "icd": rng.choice(3, n, p=[0.7, 0.2, 0.1]).astype(float),
        "smoker": np.where(rng.random(n) < 0.2, np.nan, (rng.random(n) < 0.3).astype(float)),
        "admitted": days,
        "seen": days * 86_400 + rng.integers(0, 86_400, n),
        "stay": rng.integers(0, 40, n).astype(float),
        "dead": dead.astype(float),
        "cost": np.where(rng.random(n) < 0.4, 0, rng.gamma(2, 2_000, n).round()),
        "day of death": np.where(dead, rng.integers(0, 180, n).astype(float), np.nan),
    }
    values["cost"][0] = RARE_NUMBER
    return from_values(values, SCHEMA)


@cache
def fitted(name: str, seed: int = 1) -> AbstractFitted:
    return quick(name).fit(patients(), SCHEMA, seed=seed)


def quick(name: str) -> Any:
    registered, settings = VARIANTS.get(name, (name, QUICK.get(name, {})))
    try:
        return recipe(registered, settings)
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.fixture(params=[*known("generator"), *VARIANTS])
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    try:
        fitted(name)
    except MissingPackage as error:
        pytest.skip(str(error))
    return name


def sampled(model: AbstractFitted, n: int, where: str | None = None, seed: int = 5) -> Sample | None:
    """The sample, or None where the generator says that it cannot."""
    try:
        return model.sample(n, where=where, seed=seed)
    except SamplingExhausted:
        return None


def same(a: Sample, b: Sample) -> bool:
    numbers = ("effective_sample_size", "acceptance", "probability")
    return a.table.equals(b.table) and all(getattr(a, x) == getattr(b, x) for x in numbers)


def global_state() -> bytes:
    import torch

    state = random.getstate(), np.random.get_state(), torch.random.get_rng_state().numpy().tobytes()  # noqa: NPY002
    return pickle.dumps(state)


@pytest.mark.parametrize("n", [1, 7, 1_000])
def test_gives_exactly_n_valid_marked_rows(name: str, n: int) -> None:
    sample = fitted(name).sample(n, seed=3)
    table = sample.table
    assert len(table) == n
    assert tuple(table.columns) == SCHEMA.names
    assert satisfied(to_values(table, SCHEMA), SCHEMA).all()
    assert encode(table, SCHEMA).shape == (n, len(SCHEMA.learnt))
    assert table["id"].is_unique
    assert is_synthetic(table)
    assert 0 < sample.effective_sample_size <= n
    assert 0 < sample.acceptance <= 1
    assert sample.probability == 1


def test_is_read_again_without_a_violation(name: str, tmp_path: Path) -> None:
    from ehrsynth.tables.reading import read_table
    from ehrsynth.tables.writing import write_table

    table = fitted(name).sample(50, seed=3).table
    write_table(table, SCHEMA, tmp_path / "out.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "out.csv", SCHEMA), table, check_flags=False)


def test_rules_hold_in_every_row(name: str) -> None:
    table = fitted(name).sample(500, seed=4).table
    both = table["sbp"].notna()
    assert (table["dbp"].notna() == both).all()
    assert (table["dbp"] <= table["sbp"])[both].all()
    assert np.allclose((table["sbp"] - table["dbp"])[both], table["pulse pressure"][both])
    assert (table["day of death"].notna() == table["dead"].astype(bool)).all()


def test_equal_seeds_equal_rows_other_seeds_others(name: str) -> None:
    model = fitted(name)
    assert same(model.sample(40, seed=1), model.sample(40, seed=1))
    assert not model.sample(40, seed=1).table.equals(model.sample(40, seed=2).table)


def test_equal_seeds_equal_models(name: str) -> None:
    again = quick(name).fit(patients(), SCHEMA, seed=1)
    assert same(again.sample(40, seed=1), fitted(name).sample(40, seed=1))


def test_global_random_state_is_untouched(name: str) -> None:
    before = global_state()
    model = quick(name).fit(patients(60), SCHEMA, seed=1)
    assert global_state() == before
    model.sample(5, seed=1)
    assert global_state() == before


def test_a_saved_model_samples_the_same(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.recipe == model.recipe
    for where in (None, 'sex == "F"'):
        assert same(loaded.sample(30, where=where, seed=6), model.sample(30, where=where, seed=6))


def test_saving_twice_writes_the_same_bytes(name: str, tmp_path: Path) -> None:
    save_model(fitted(name), tmp_path / "a")
    save_model(load_model(tmp_path / "a"), tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_the_folder_holds_no_patient(name: str, tmp_path: Path) -> None:
    if name == "independent with counts":
        pytest.skip("exact counts tell single patients' values, and the setting says so")
    save_model(fitted(name), tmp_path / "model")
    found = b"".join(f.read_bytes() for f in (tmp_path / "model").iterdir())
    kinds: list[Callable[[float], bytes]] = [np.int64(0).__class__, np.float64, np.float32]  # type: ignore[list-item]
    for kind in kinds:
        assert kind(RARE_NUMBER).tobytes() not in found  # type: ignore[attr-defined]
    assert str(RARE_NUMBER).encode() not in found
    assert not any(row.encode() in found for row in patients()["id"])


@pytest.mark.parametrize("where", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_a_condition_holds_in_every_row(name: str, where: str) -> None:
    sample = sampled(fitted(name), 60, where)
    if sample is None:
        assert not isinstance(fitted(name), FittedAutoregressive)
        return
    assert len(sample.table) == 60
    assert Condition.parse(where, SCHEMA).mask(encode(sample.table, SCHEMA)).all()
    assert satisfied(to_values(sample.table, SCHEMA), SCHEMA).all()
    assert 0 < sample.effective_sample_size <= 60
    assert 0 < sample.probability <= 1


def test_frequent_conditions_are_met(name: str) -> None:
    assert sampled(fitted(name), 60, CONDITIONS["value"]) is not None
    assert sampled(fitted(name), 60, CONDITIONS["second category"]) is not None


@pytest.mark.parametrize("where", ["age > 110", 'sex == "F" and sex == "M"', "missing(sex)"])
def test_an_impossible_condition_is_refused_at_once(name: str, where: str) -> None:
    with pytest.raises(ConditionError):
        fitted(name).sample(5, where=where, seed=1)


def test_a_condition_nobody_meets_ends_in_bounded_time(name: str) -> None:
    where = f"cost == {RARE_NUMBER + 1} and age == 110 and `day of death` == 365 and stay == 363"
    assert sampled(fitted(name), 5, where) is None


def test_missing_is_modelled(name: str) -> None:
    real, made = patients(), fitted(name).sample(1_500, seed=8).table
    for column in ("sbp", "stroke", "smoker"):
        assert made[column].isna().mean() == pytest.approx(real[column].isna().mean(), abs=0.2)
        assert made[column].isna().any()
    assert made["age"].notna().all()


@pytest.mark.parametrize("n", [0, -3])
def test_asking_for_no_rows_is_an_error(name: str, n: int) -> None:
    with pytest.raises(RequestError, match="at least 1"):
        fitted(name).sample(n, seed=1)


def test_a_synthetic_table_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="train-on-synthetic"):
        quick(name).fit(mark_synthetic(patients(20)), SCHEMA, seed=1)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_patients_are_refused(name: str, n: int) -> None:
    with pytest.raises(NotEnoughData, match="at least 2"):
        quick(name).fit(patients().iloc[:n], SCHEMA, seed=1)


ODD = Schema(
    **PUBLIC,
    columns=public(
        {"name": "the constant", "kind": "integer", "minimum": 0, "maximum": 10**6},
        {
            "name": 'all "missing"',
            "kind": "number",
            "minimum": 0,
            "maximum": 1,
            "decimals": 2,
            "missing": True,
        },
        {"name": "SELECT * FROM", "kind": "category", "values": ("only",)},
        {"name": "w0", "kind": "boolean"},
        {"name": "🩺 ward's", "kind": "number", "minimum": -5, "maximum": 5, "decimals": 3},
        {"name": "n3, 'x'; DROP TABLE", "kind": "category", "values": ("a b", "'", '"', "é", "NaN", "None")},
    ),
)


def odd(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    values = {
        "the constant": np.full(n, 42.0),
        'all "missing"': np.full(n, np.nan),
        "SELECT * FROM": np.zeros(n),
        "w0": rng.integers(0, 2, n).astype(float),
        "🩺 ward's": rng.normal(0, 1, n).round(3),
        "n3, 'x'; DROP TABLE": rng.integers(0, 6, n).astype(float),
    }
    return from_values(values, ODD)


@pytest.mark.parametrize("n", [2, 120])
def test_odd_tables_and_names(name: str, n: int, tmp_path: Path) -> None:
    n = max(n, FEWEST.get(name, 0))
    model = quick(name).fit(odd(n), ODD, seed=1)
    model.save(tmp_path / "model")
    sample = load_model(tmp_path / "model").sample(30, seed=2)
    assert satisfied(to_values(sample.table, ODD), ODD).all()
    assert (sample.table["SELECT * FROM"] == "only").all()
    if model.privacy is not None:
        return  # what all patients share is hidden as far as one of them could be alone
    assert sample.table['all "missing"'].isna().all()
    if n > 2:
        assert (sample.table["the constant"] == 42).all()


def test_nothing_but_constants(name: str, tmp_path: Path) -> None:
    schema = ODD.subset(("the constant", 'all "missing"', "SELECT * FROM"))
    table = odd(30)[list(schema.names)]
    model = quick(name).fit(table, schema, seed=1)
    model.save(tmp_path / "model")
    made = load_model(tmp_path / "model").sample(30, seed=2).table
    assert list(made.columns) == list(table.columns)
    if model.privacy is None:
        pd.testing.assert_frame_equal(made, table)


def test_progress_ends_at_one(name: str) -> None:
    seen: list[float] = []
    model = quick(name).fit(patients(60), SCHEMA, seed=1, progress=lambda f, _: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    model.sample(5, seed=1, progress=lambda f, _: seen.append(f))
    assert seen[-1] == pytest.approx(1)


def test_an_interrupt_passes_through_and_leaves_the_state(name: str) -> None:
    def stop(_fraction: float, _message: str) -> None:
        raise KeyboardInterrupt

    before = global_state()
    with pytest.raises(KeyboardInterrupt):
        quick(name).fit(patients(60), SCHEMA, seed=1, progress=stop)
    assert global_state() == before


@dataclass(frozen=True)
class Corruption:
    spoil: Callable[[np.ndarray, np.random.Generator], np.ndarray]


CORRUPTIONS = {
    "noise": Corruption(lambda a, rng: a + rng.normal(0, 1, a.shape)),
    "huge": Corruption(lambda a, rng: a * 1e30 * rng.choice([-1.0, 1.0], a.shape)),
    "not a number": Corruption(lambda a, rng: np.where(rng.random(a.shape) < 0.3, np.nan, a)),
    "infinite": Corruption(lambda a, rng: np.where(rng.random(a.shape) < 0.3, np.inf, a)),
    "zero": Corruption(lambda a, _: a * 0),
    "shuffled": Corruption(lambda a, rng: rng.permutation(a.ravel()).reshape(a.shape)),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
@pytest.mark.parametrize("which", ["weights", "any"])
def test_corrupt_weights_give_valid_rows_or_a_clear_error(
    name: str, corruption: Corruption, which: str
) -> None:
    model, rng = fitted(name), np.random.default_rng(9)
    parts = model.parts()
    chosen = [n for n in parts.arrays if which == "any" or n.startswith("network.")]
    if not chosen:
        pytest.skip("this generator has no network")
    for spoilt in [chosen] if which == "weights" else [[n] for n in chosen if not n.startswith("network.")]:
        arrays = dict(parts.arrays)
        for key in spoilt:
            with np.errstate(all="ignore"):
                spoiled = corruption.spoil(np.asarray(arrays[key], np.float64), rng)
                arrays[key] = spoiled.astype(arrays[key].dtype)
        try:
            made = (
                type(model).from_parts(SCHEMA, model.recipe, Parts(parts.values, arrays)).sample(20, seed=1)
            )
        except (ModelError, SamplingExhausted):
            continue
        assert len(made.table) == 20
        assert satisfied(to_values(made.table, SCHEMA), SCHEMA).all()


def test_unknown_settings_are_errors(name: str) -> None:
    with pytest.raises(RequestError, match="unknown setting"):
        recipe(quick(name).name, {"epoch_count": 3})


def test_recipe_is_a_frozen_value(name: str) -> None:
    assert quick(name) == quick(name)
    assert hash(quick(name)) == hash(quick(name))
    kind = resolve("generator", quick(name).name)
    assert kind.name == VARIANTS.get(name, (name,))[0]
    assert all(field.description for field in kind.model_fields.values())


def test_errors_are_of_our_own_tree(name: str) -> None:
    with pytest.raises(EhrSynthError):
        fitted(name).sample(3, where="age >", seed=1)
