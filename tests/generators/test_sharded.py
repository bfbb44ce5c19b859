"""Shards: a mixture that draws, conditions, scores and completes, and forgets in one part exactly."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from ehrsynth.encoding import encode
from ehrsynth.errors import NotEnoughData, RequestError, SamplingExhausted
from ehrsynth.generators.autoregressive import FittedAutoregressive
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.density import knows_density
from ehrsynth.generators.mixing import worth_of_first
from ehrsynth.generators.recipes import recipe, sharded
from ehrsynth.generators.sharded import FittedSharded, Sharded
from ehrsynth.generators.storage import load_model, save_model
from ward import WARD, patients

QUICK = {"trees": 3, "rounds": 30}
TABLE = patients(900)


def learnt(table: pd.DataFrame = TABLE, seed: int = 1, **fields: object) -> FittedSharded:
    made = Sharded(**{"settings": QUICK, "shards": 3} | fields)  # type: ignore[arg-type]
    return cast("FittedSharded", made.fit(table, WARD, seed=seed))


@pytest.fixture(scope="module")
def model() -> FittedSharded:
    return learnt()


def saved(model: AbstractFitted, folder: Path) -> dict[str, bytes]:
    save_model(model, folder)
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def split(table: pd.DataFrame, gone: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    out = np.isin(np.arange(len(table)), gone)
    return table[out].reset_index(drop=True), table[~out].reset_index(drop=True)


@pytest.mark.parametrize("gone", [[17], [3, 4, 5, 600], list(range(40))])
def test_forgetting_gives_the_bytes_of_a_fit_that_never_saw_them(
    model: FittedSharded, gone: list[int], tmp_path: Path
) -> None:
    rows, remaining = split(TABLE, gone)
    mended = model.forget(rows, remaining, seed=1)
    assert saved(mended, tmp_path / "a") == saved(learnt(remaining), tmp_path / "b")
    assert saved(mended, tmp_path / "c") != saved(model, tmp_path / "d")


def test_forgetting_learns_the_patients_shard_again_and_no_other(model: FittedSharded) -> None:
    rows, remaining = split(TABLE, [17])
    mended = model.forget(rows, remaining, seed=99)
    place = int(model.shard_of(rows)[0])
    for k, (old, new) in enumerate(zip(model.shards, mended.shards, strict=True)):
        assert (old is new) == (k != place)
    assert sum(mended.patients) == len(remaining)
    assert mended.patients[place] == model.patients[place] - 1


def test_a_shard_knows_nothing_of_the_others_patients(model: FittedSharded, tmp_path: Path) -> None:
    """Other values of all patients outside a shard: the shard is the same, bytes and all."""
    mine = model.shard_of(TABLE) == 0
    other = TABLE.copy()
    strange = patients(900, seed=77)
    for name in (n for n in WARD.names if n != "id"):
        other.loc[~mine, name] = strange.loc[~mine, name]
    again = learnt(other)
    one, two = model.shards[0].parts(), again.shards[0].parts()
    assert one.values == two.values
    assert all(np.array_equal(one.arrays[n], two.arrays[n]) for n in one.arrays)
    assert model.shards[1].parts().values != again.shards[1].parts().values or not all(
        np.array_equal(a, again.shards[1].parts().arrays[n])
        for n, a in model.shards[1].parts().arrays.items()
    )


def test_the_shard_follows_the_patient_and_a_secret(model: FittedSharded) -> None:
    shard = model.shard_of(TABLE)
    order = np.random.default_rng(0).permutation(len(TABLE))
    shuffled = TABLE.iloc[order].reset_index(drop=True)
    assert (model.shard_of(shuffled) == shard[order]).all()
    assert np.bincount(shard).min() > 230
    assert (learnt(seed=2).shard_of(TABLE) != shard).mean() > 0.5
    assert model.key.hex() not in repr(model)


def test_other_patients_than_those_learnt_are_refused(model: FittedSharded) -> None:
    rows, remaining = split(TABLE, [17])
    with pytest.raises(RequestError, match="not those who were learnt"):
        model.forget(rows, remaining.head(800), seed=1)


def test_too_few_patients_for_the_shards() -> None:
    with pytest.raises(NotEnoughData, match="too few for 40 shards"):
        learnt(TABLE.head(60), shards=40)


def test_the_mixture_is_the_weighted_sum_of_its_parts(model: FittedSharded) -> None:
    table = patients(50, seed=5)
    parts = np.stack([np.exp(knows_density(s).log_prob(table)) for s in model.shards])
    assert np.allclose(np.exp(model.log_prob(table)), model.weights @ parts)


def independent(*shares: float) -> FittedSharded:
    """Shards of the independent generator, each with another share of women and another age."""
    shards = []
    for share in shares:
        table = patients(2_000, seed=int(share * 100))
        female = np.arange(2_000) < share * 2_000
        table["sex"] = pd.Categorical(np.where(female, "F", "M"), categories=["F", "M"])
        age = 40 + int(share * 30)
        table["age"] = pd.array(np.full(2_000, age), dtype=table["age"].dtype)
        shards.append(recipe("independent").fit(table, WARD, seed=1))
    made = Sharded(generator="independent", shards=len(shards))
    return FittedSharded(WARD, made, tuple(shards), tuple([2_000] * len(shards)), b"key")


def test_a_condition_weighs_the_shards_by_their_probability_of_it() -> None:
    """Women are 10, 20 and 70 in 100: of the women 7 in 10 come from the last shard, whose age is 61."""
    model = independent(0.1, 0.2, 0.7)
    found = model.sample(20_000, where='sex == "F"', seed=3)
    assert found.probability == pytest.approx(1 / 3, abs=0.03)
    shares = found.table["age"].value_counts(normalize=True)
    for age, share in ((43, 0.1), (46, 0.2), (61, 0.7)):
        assert shares[age] == pytest.approx(share, abs=0.035)
    assert (found.table["sex"] == "F").all()


def test_a_condition_that_one_shard_never_meets_comes_from_the_others() -> None:
    model = independent(0.0, 0.5)
    found = model.sample(500, where='sex == "F"', seed=3)
    assert (found.table["age"] == 55).all()
    assert found.probability == pytest.approx(0.25, abs=0.03)
    with pytest.raises(SamplingExhausted, match="none of the 2 shards"):
        model.sample(5, where="age == 99", seed=1)


def test_free_draws_follow_the_weights() -> None:
    model = independent(0.1, 0.7)
    heavier = FittedSharded(WARD, model.recipe, model.shards, (500, 1_500), b"key")
    ages = heavier.sample(8_000, seed=4).table["age"].value_counts(normalize=True)
    assert ages[61] == pytest.approx(0.75, abs=0.02)


def test_evidence_weighs_the_shards_in_completion() -> None:
    """Two groups of patients: where all are dead and old, and where all live and are young."""
    table = patients(1_200, seed=4)
    shards = []
    for dead in (True, False):
        own = table[table["dead"] == dead].reset_index(drop=True)
        shards.append(recipe("autoregressive", QUICK).fit(own, WARD, seed=1))
    model = FittedSharded(WARD, Sharded(settings=QUICK, shards=2), tuple(shards), (600, 600), b"key")
    partial = patients(2, seed=9)
    for name in WARD.names:
        if name not in {"id", "age"}:
            partial[name] = pd.array([None] * 2, dtype=partial[name].dtype)
    partial["age"] = pd.array([95, 40], dtype="Int64")
    found = model.complete(partial, draws=60, seed=1)
    died = found.table["dead"].astype(float).groupby(found.patient).mean()
    assert died[0] > died[1] + 0.4
    assert (found.table["id"].to_numpy() == partial["id"].to_numpy()[found.patient]).all()
    assert (found.effective_sample_size > 0).all()


def test_the_probability_of_evidence_is_that_of_the_draws(model: FittedSharded) -> None:
    """Of one cell the share of the chain's draws that have it, all else present as in completions."""
    single = cast("FittedAutoregressive", model.shards[0])
    free = single.chain.draw(20_000, np.random.default_rng(0))
    place, sbp, dbp = ([c.name for c in WARD.learnt].index(n) for n in ("dead", "sbp", "dbp"))
    free = free[(free[:, sbp] >= 0) & (free[:, dbp] >= 0)]
    rows = patients(2, seed=9)
    for name in WARD.names:
        if name not in {"id", "dead"}:
            rows[name] = pd.array([None] * 2, dtype=rows[name].dtype)
    rows["dead"] = pd.array([True, False], dtype="boolean")
    found = single.complete(rows, draws=400, seed=2)
    expected = [float((free[:, place] == dead).mean()) for dead in (1, 0)]
    assert np.exp(found.log_probability) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("settings", [QUICK, {"learner": "neural", "epochs": 2, "width": 16, "depth": 1}])
def test_the_probability_of_a_whole_row_is_its_density(settings: dict[str, object]) -> None:
    single = cast("FittedAutoregressive", recipe("autoregressive", settings).fit(TABLE, WARD, seed=1))
    rows = TABLE[TABLE["sbp"].notna() & TABLE["dead"]].head(8).reset_index(drop=True)
    found, density = single.complete(rows, draws=1, seed=1), single.log_prob(rows)
    inside = np.isfinite(density)  # an extreme value counts as the nearest in completion
    assert inside.sum() >= 5
    assert found.log_probability[inside] == pytest.approx(density[inside], abs=1e-5)


def test_completions_and_edges_of_a_mixture(model: FittedSharded) -> None:
    partial = patients(6, seed=5)
    partial["age"] = pd.array([None] * 6, dtype="Int64")
    found = model.complete(partial, draws=4, seed=1)
    before, after = encode(partial, WARD)[found.patient], encode(found.table, WARD)
    assert (after == before)[before >= 0].all()
    edge, plain = model.edge(20, seed=1), model.sample(400, seed=1)
    assert np.median(model.log_prob(edge.table)) < np.quantile(model.log_prob(plain.table), 0.1)


def test_a_generator_without_density_says_so() -> None:
    model = independent(0.3, 0.5)
    with pytest.raises(RequestError, match="does not know the density"):
        model.log_prob(patients(3))


def test_a_stored_mixture_forgets_as_well(model: FittedSharded, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model")
    loaded = cast("FittedSharded", load_model(tmp_path / "model"))
    rows, remaining = split(TABLE, [17])
    one, other = (m.forget(rows, remaining, seed=1) for m in (loaded, model))
    assert saved(one, tmp_path / "a") == saved(other, tmp_path / "b")


@pytest.mark.parametrize(
    "fields",
    [{"generator": "sharded"}, {"shards": 1}, {"generator": "nobody"}, {"settings": {"tree": 3}}],
)
def test_recipes_that_make_no_sense(fields: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        recipe("sharded", fields)


def test_shards_of_any_generator_by_name() -> None:
    assert sharded("cart", {"leaf": 7}, None) == ("cart", {"leaf": 7})
    name, settings = sharded("cart", {"leaf": 7}, 4)
    made = cast("Sharded", recipe(name, settings))
    assert (made.shards, made.inner.name, made.settings["leaf"]) == (4, "cart", 7)
    with pytest.raises(RequestError, match="twice"):
        sharded("sharded", {}, 4)


def test_boosted_shards_have_settings_of_their_own_unless_others_are_given() -> None:
    made = cast("Sharded", recipe("sharded"))
    assert made.settings["ridge"] < cast("Any", recipe("autoregressive")).ridge
    given = cast("Sharded", recipe("sharded", {"settings": {"ridge": 3.0}}))
    assert given.settings["ridge"] == 3.0
    bagged = cast("Sharded", recipe("sharded", {"settings": {"learner": "bagged"}}))
    assert bagged.settings["ridge"] == cast("Any", recipe("autoregressive")).ridge
    assert Sharded(**made.model_dump(mode="json")) == made


def test_some_of_the_rows_are_worth_what_their_founders_say() -> None:
    rng = np.random.default_rng(1)
    founders = np.repeat(np.arange(60), rng.multinomial(500, rng.dirichlet(np.ones(60))))
    worth = 500**2 / (np.unique(founders, return_counts=True)[1] ** 2).sum()
    assert worth_of_first(500, 500, worth) == pytest.approx(worth)
    assert (worth_of_first(1, 500, worth), worth_of_first(0, 1, 1.0)) == (1, 0)
    assert worth_of_first(40, 500, 500.0) == 40
    for count in (5, 40, 200):
        squares = [
            (np.unique(rng.permutation(founders)[:count], return_counts=True)[1] ** 2).sum()
            for _ in range(400)
        ]
        found = worth_of_first(count, 500, worth)
        assert found == pytest.approx(count**2 / np.mean(squares), rel=0.03)
        assert found < min(count, worth)
