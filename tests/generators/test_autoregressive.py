"""The chain as a generator: storage without patients, odd tables, densities, edges."""

import json
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from ehrsynth.encoding import encode
from ehrsynth.errors import RequestError
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.cart import Cart
from ehrsynth.generators.chain.classifier import Boosting
from ehrsynth.generators.chain.growing import Bagging
from ehrsynth.generators.chain.learning import learn_chain
from ehrsynth.generators.chain.link import Learner
from ehrsynth.generators.chain.packing import pack_chain, stack, unstack
from ehrsynth.generators.density import AbstractDensity
from ehrsynth.generators.storage import load_model
from ehrsynth.progress import silent
from ehrsynth.schema import Schema
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.values import from_values, to_values
from ward import WARD, patients

QUICK = Autoregressive(trees=3, rounds=40)


def fit(table: pd.DataFrame, schema: Schema = WARD, recipe: Any = QUICK) -> FittedAutoregressive:
    return cast("FittedAutoregressive", recipe.fit(table, schema, seed=1))


@pytest.fixture(scope="module")
def model() -> FittedAutoregressive:
    return fit(patients())


def public(*columns: dict[str, object], **more: Any) -> Schema:
    return Schema(citation="made for this test", name="odd", columns=columns, **more)


def test_dependence_and_missingness_are_kept(model: FittedAutoregressive) -> None:
    real, made = patients(6_000, seed=9), model.sample(6_000, seed=2).table
    for table in (real, made):
        table["unmeasured"] = table["sbp"].isna()
    for by in ("sex", "drug", "dead"):
        for of in ("unmeasured", "dead", "age", "dbp"):
            a, b = (t.astype({of: float}).groupby(by, observed=True)[of].mean() for t in (real, made))
            assert b.to_numpy() == pytest.approx(a.to_numpy(), abs=0.25 * real[of].astype(float).std())
    gap = real.loc[real["dead"], "age"].mean() - real.loc[~real["dead"], "age"].mean()
    made_gap = made.loc[made["dead"], "age"].mean() - made.loc[~made["dead"], "age"].mean()
    assert made_gap == pytest.approx(gap, rel=0.2)


@pytest.mark.parametrize("recipe", [QUICK, Autoregressive(learner="bagged", trees=3), Cart()], ids=repr)
def test_a_saved_model_is_the_same_model(recipe: Any, tmp_path: Path) -> None:
    model = fit(patients(400), recipe=recipe)
    model.save(tmp_path / "model")
    loaded = cast("FittedAutoregressive", load_model(tmp_path / "model"))
    for where in (None, "dead and age > 70"):
        a, b = (m.sample(200, where=where, seed=3) for m in (model, loaded))
        pd.testing.assert_frame_equal(a.table, b.table)
        assert (a.probability, a.effective_sample_size) == (b.probability, b.effective_sample_size)
    table = patients(50, seed=4)
    assert np.array_equal(model.log_prob(table), loaded.log_prob(table))


def test_many_conditioned_rows_of_two_seeds_descend_from_other_rows(model: FittedAutoregressive) -> None:
    def founders(seed: int) -> set[tuple[float, ...]]:
        table = model.sample(6_000, where="dead", seed=seed).table[["age", "sbp", "dbp"]].dropna()
        return set(map(tuple, table.astype(float).to_numpy()))

    one, other = founders(1), founders(2)
    assert len(one & other) < 0.2 * len(one)  # by chance one in ten; of one pool, one in two


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(workers: int, model: FittedAutoregressive) -> None:
    learner = Learner("boosted", Bagging(3, 10), Boosting(rounds=40))
    chain = learn_chain(patients(), WARD, learner, seed=1, progress=silent, workers=workers)
    ours, theirs = (pack_chain(c) for c in (chain, model.chain))
    assert ours[0] == theirs[0]
    assert ours[1].keys() == theirs[1].keys()
    assert all(np.array_equal(array, theirs[1][name]) for name, array in ours[1].items())


def test_no_planted_value_is_in_the_folder_or_the_tree_text(tmp_path: Path) -> None:
    schema = public(
        {"name": "cost", "kind": "integer", "minimum": 0, "maximum": 10**9},
        {"name": "mass", "kind": "number", "minimum": 0, "maximum": 10**6, "decimals": 3},
        {
            "name": "seen",
            "kind": "datetime",
            "minimum": "2020-01-01",
            "maximum": "2020-12-31",
        },
        {"name": "dead", "kind": "boolean"},
    )
    rng = np.random.default_rng(0)
    n, planted = 600, np.array([7_654_321, 87_654_321, 987_654_321])
    moments = 1_580_000_000 + np.array([1_234_567, 2_345_678, 3_456_789])
    values = {
        "cost": np.append(rng.integers(0, 5_000, n - 3), planted).astype(float),
        "mass": np.append(rng.normal(70, 9, n - 3).round(3), [111_111.111, 222_222.222, 333_333.333]),
        "seen": np.append(1_580_000_000 + rng.integers(0, 80_000, n - 3), moments).astype(float),
        "dead": np.append(rng.integers(0, 2, n - 3), [1, 1, 1]).astype(float),
    }
    table = from_values(values, schema)
    model = fit(table, schema, Autoregressive(rounds=60))
    model.save(tmp_path / "model")
    found = b"".join(file.read_bytes() for file in (tmp_path / "model").iterdir())
    texts = [link.classifier.trees.text() for link in model.chain.links if link.classifier.trees is not None]
    codes = encode(table, schema)
    for place in range(3):
        for code, value in zip(codes[-3:, place], list(values.values())[place][-3:], strict=True):
            for number in (code, value):
                for kind in (np.int64, np.uint32, np.float64, np.float32):
                    assert kind(number).tobytes() not in found
                assert not any(str(number) in text for text in [*texts, found.decode("latin-1")])
    assert texts


def test_the_folder_holds_numbers_only(model: FittedAutoregressive, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    values = json.loads((tmp_path / "model" / "model.json").read_bytes())["values"]
    assert set(values) == {"order", "cards", "trees", "forest", "echo", "missing", "elapsed"}


def test_stacking_keeps_lengths_and_types() -> None:
    first, second = {"x": np.array([1, 2]), "y": np.ones(1)}, {"x": np.empty(0, np.int64), "y": np.ones(2)}
    pieces = [first, second]
    again = unstack("a", stack("a", pieces), 2)
    assert [p["x"].tolist() for p in again] == [[1, 2], []]
    assert [len(p["y"]) for p in again] == [1, 2]
    assert stack("a", []) == {}


@pytest.mark.parametrize("n", [2, 20, 150])
def test_few_patients(n: int) -> None:
    model = fit(patients(n), recipe=Autoregressive())
    table = model.sample(300, seed=1).table
    assert satisfied(to_values(table, WARD), WARD).all()
    assert len(model.sample(20, where='sex == "M"', seed=1).table) == 20


def test_of_few_patients_no_number_is_a_state_of_its_own() -> None:
    model = fit(patients(20), recipe=Autoregressive())
    for name, link in zip(model.chain.names, model.chain.links, strict=True):
        if name in {"age", "sbp", "dbp", "day of death"}:
            states = link.states
            assert (states.width[~states.is_missing] > 1).all()


def test_columns_without_anything_to_learn() -> None:
    schema = public(
        {"name": "constant", "kind": "integer", "minimum": 0, "maximum": 99},
        {"name": "one", "kind": "category", "values": ("only",)},
        {"name": "empty", "kind": "number", "minimum": 0, "maximum": 9, "decimals": 1, "missing": True},
        {"name": "code", "kind": "category", "values": ("a", "b", "c"), "missing": True},
    )
    rng = np.random.default_rng(0)
    values = {
        "constant": np.full(120, 7.0),
        "one": np.zeros(120),
        "empty": np.full(120, np.nan),
        "code": np.where(rng.random(120) < 0.3, np.nan, rng.integers(0, 2, 120)),
    }
    model = fit(from_values(values, schema), schema)
    table = model.sample(200, seed=1).table
    assert (table["constant"] == 7).all()
    assert (table["one"] == "only").all()
    assert table["empty"].isna().all()
    assert set(table["code"].dropna()) == {"a", "b"}  # what nobody has is not drawn
    assert np.isfinite(model.log_prob(table)).all()


def test_a_category_of_5000_values() -> None:
    rng = np.random.default_rng(0)
    n, words = 3_000, tuple(f"{letter}{number:03}" for letter in "ABCDE" for number in range(1_000))
    schema = public(
        {"name": "code", "kind": "code", "values": words, "system": "other"},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 99},
        {"name": "dead", "kind": "boolean", "roles": ("outcome",)},
    )
    code = np.minimum(rng.geometric(0.002, n) - 1, 4_999)
    values = {
        "code": code.astype(float),
        "age": np.clip(rng.normal(40 + 30 * (code < 300), 9, n).round(), 0, 99),
        "dead": (rng.random(n) < np.where(code < 300, 0.6, 0.1)).astype(float),
    }
    start = time.perf_counter()
    model = fit(from_values(values, schema), schema, Autoregressive())
    made = to_values(model.sample(n, seed=1).table, schema)
    assert time.perf_counter() - start < 120
    assert set(np.unique(made["code"])) <= set(np.unique(code).tolist())
    assert made["dead"][made["code"] < 300].mean() == pytest.approx(0.6, abs=0.1)
    assert made["dead"][made["code"] >= 300].mean() == pytest.approx(0.1, abs=0.08)
    assert made["age"][made["code"] < 300].mean() - made["age"][made["code"] >= 300].mean() > 22


def test_300_columns() -> None:
    rng = np.random.default_rng(0)
    n, kinds = 120, ({"kind": "boolean"}, {"kind": "integer", "minimum": 0, "maximum": 500, "missing": True})
    schema = public(*({"name": f"c{p}", **kinds[p % 2]} for p in range(300)))
    hidden = rng.normal(0, 1, n)
    values = {
        f"c{p}": (hidden + rng.normal(0, 1, n) > 0).astype(float)
        if p % 2 == 0
        else np.clip(np.round(250 + 60 * hidden + rng.normal(0, 60, n)), 0, 500)
        for p in range(300)
    }
    model = fit(from_values(values, schema), schema, Autoregressive(trees=1, rounds=2))
    assert sum(array.nbytes for array in model.parts().arrays.values()) < 100e6
    made = to_values(model.sample(200, seed=1).table, schema)
    assert np.corrcoef(made["c1"], made["c299"])[0, 1] > 0.15  # 0.5 in truth


def test_log_prob_prefers_patients_to_scrambled_ones(model: FittedAutoregressive) -> None:
    real = patients(500, seed=8)
    scrambled = real.copy()
    for name in ("sex", "age", "dbp"):
        scrambled[name] = scrambled[name].sample(frac=1, random_state=len(name)).array
    found = model.log_prob(real)
    assert found.shape == (500,)
    assert (found <= 1e-9).all()
    assert np.median(found) > np.median(model.log_prob(scrambled)) + 0.4
    assert isinstance(model, AbstractDensity)


def test_log_prob_is_that_of_the_draws() -> None:
    schema = public(
        {"name": "a", "kind": "boolean"}, {"name": "b", "kind": "category", "values": ("x", "y", "z")}
    )
    rng = np.random.default_rng(0)
    a = rng.random(500) < 0.4
    b = np.where(a, rng.integers(0, 3, 500), 0)
    model = fit(from_values({"a": a.astype(float), "b": b.astype(float)}, schema), schema)
    cells = pd.MultiIndex.from_product([[False, True], ["x", "y", "z"]], names=["a", "b"]).to_frame(
        index=False
    )
    table = cells.astype({"a": "boolean", "b": pd.CategoricalDtype(["x", "y", "z"])})
    chance = np.exp(model.log_prob(table))
    assert chance.sum() == pytest.approx(1)
    drawn = model.sample(20_000, seed=3).table.value_counts(normalize=True)
    for (is_a, word), expected in zip(cells.itertuples(index=False), chance, strict=True):
        assert drawn.get((is_a, word), 0.0) == pytest.approx(expected, abs=0.02)


def test_edge_patients_are_valid_and_rarer_than_others(model: FittedAutoregressive) -> None:
    plain, edge = model.sample(2_000, seed=5), model.edge(100, seed=5)
    assert len(edge.table) == 100
    assert satisfied(to_values(edge.table, WARD), WARD).all()
    assert np.median(model.log_prob(edge.table)) < np.quantile(model.log_prob(plain.table), 0.05)
    assert edge.probability == pytest.approx(0.05)
    assert edge.acceptance == pytest.approx(0.05 * model.sample(2_000, seed=5).acceptance, rel=0.02)
    inside = model.edge(10, where="dead", seed=5)
    density, common = model.log_prob(inside.table), model.sample(4_000, where="dead", seed=6).table
    rare = (model.log_prob(common) <= density.max()).mean()
    assert inside.probability == pytest.approx(rare, abs=0.005)  # of the dead, not of all
    assert inside.table["dead"].all()
    pd.testing.assert_frame_equal(inside.table, model.edge(10, where="dead", seed=5).table)
    with pytest.raises(RequestError, match="at least 1"):
        model.edge(0, seed=1)


def test_cart_is_one_tree_a_column() -> None:
    model = fit(patients(600), recipe=Cart())
    for link in model.chain.links:
        assert link.classifier.card is None
        assert link.classifier.trees is None
        assert all(forest is None or len(forest.roots) == 1 for forest in link.forests)
    made = model.sample(3_000, seed=1).table
    assert made.loc[made["dead"], "age"].mean() > made.loc[~made["dead"], "age"].mean() + 3


def test_effects_stay_whole_where_patients_are_few() -> None:
    """A regression on synthetic patients finds most of the slope that it finds on 300 real ones."""
    names = [f"x{k}" for k in range(3)]
    number = {"kind": "number", "minimum": -8, "maximum": 8, "decimals": 3}
    columns = (*({"name": n} | number for n in names), {"name": "y", "roles": ("outcome",)} | number)
    line = Schema(citation="made for this test", name="line", columns=columns)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(300, 3))
        y = x @ [0.5, -0.3, 0.0] + rng.normal(size=300)
        real = from_values({n: x[:, k].round(3) for k, n in enumerate(names)} | {"y": y.round(3)}, line)
        made = Autoregressive().fit(real, line, seed=seed).sample(3_000, seed=seed).table
        found.append([_slopes(table) for table in (real, made)])
    real, made = np.mean(found, axis=0)
    assert made[0] / real[0] > 0.75
    assert made[1] / real[1] > 0.7
    assert abs(made[2] - real[2]) < 0.08


def _slopes(table: pd.DataFrame) -> np.ndarray:
    values = table.astype(float).to_numpy()
    design = np.column_stack([np.ones(len(values)), values[:, :-1]])
    return np.linalg.lstsq(design, values[:, -1], rcond=None)[0][1:]
