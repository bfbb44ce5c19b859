"""What every private generator promises, and what happens when one breaks it."""

import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from ehrsynth import registry
from ehrsynth.dp.accounting import spent
from ehrsynth.dp.events import event_from
from ehrsynth.dp.ledger import Ledger
from ehrsynth.errors import DataError, RequestError, SchemaError
from ehrsynth.generators import mst, private
from ehrsynth.generators.base import AbstractGenerator, PrivacySpent
from ehrsynth.generators.graphical import measuring
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model
from ehrsynth.generators.trial import (
    against_canaries,
    against_neighbours,
    domain_is_public,
    small_schema,
    try_guarantee,
)
from ehrsynth.registry import known
from ehrsynth.schema import Schema
from ehrsynth.tables import table_from_frame
from ehrsynth.tables.values import from_values

NETWORK: dict[str, object] = {"steps": 3, "batch_size": 50, "width": 16}
SETTINGS: dict[str, dict[str, object]] = {
    "aim": {"rounds": 0.5, "steps": 60, "round_steps": 20},
    "autoregressive": {"epsilon": 1.0, "masks": 1, **NETWORK},
    "dp-ctgan": NETWORK,
    "dp-independent": {},
    "dp-tvae": NETWORK,
    "mst": {"steps": 60},
}
SCHEMA = Schema(
    name="clinic",
    citation="made for this test",
    rows={"value": 1_000},
    columns=tuple(
        {"source": "public", **column}
        for column in (
            {"name": "id", "kind": "identifier", "pattern": "P####", "roles": ("patient_key",)},
            {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120},
            {"name": "sex", "kind": "category", "values": ("F", "M")},
            {"name": "cost", "kind": "integer", "minimum": 0, "maximum": 10**6, "missing": True},
            {"name": "dead", "kind": "boolean", "roles": ("outcome",)},
        )
    ),
)


def patients(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = np.clip(rng.normal(60, 15, n).round(), 0, 120)
    values = {
        "age": age,
        "sex": rng.integers(0, 2, n).astype(float),
        "cost": np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2, 4_000, n).round()),
        "dead": (rng.random(n) < 1 / (1 + np.exp(-(age - 70) / 6))).astype(float),
    }
    return from_values(values, SCHEMA)


def made(name: str, **more: object) -> AbstractGenerator:
    return recipe(name, SETTINGS[name] | more)


PRIVATE = pytest.mark.parametrize("name", sorted(SETTINGS))


def test_every_registered_private_generator_is_tried_here() -> None:
    found = {name for name in known("generator") if "epsilon" in recipe_fields(name)}
    assert found == set(SETTINGS)
    assert {name for name in found if recipe(name).asked is not None} == registry.PRIVATE


def recipe_fields(name: str) -> set[str]:
    return set(type(recipe(name)).model_fields)


@PRIVATE
def test_the_target_is_kept_and_the_account_replays(name: str) -> None:
    model = made(name).fit(patients(), SCHEMA, seed=None)
    found = model.privacy
    assert found is not None
    assert 0.9 < found.epsilon <= 1.0
    assert found.delta == pytest.approx(1e-4)
    assert found.void == ""
    events = [event_from(event) for event in found.events]
    accountant = "zCDP" if found.accountant == "zCDP" else "PRV and PLD"
    assert spent(events, found.delta, accountant).epsilon == pytest.approx(found.epsilon)
    assert found.by["RDP"] >= min(found.by[k] for k in found.by if k != "RDP") - 1e-9


@PRIVATE
def test_a_known_seed_voids_the_guarantee_and_that_is_kept(name: str, tmp_path) -> None:
    model = made(name).fit(patients(), SCHEMA, seed=1)
    assert model.privacy is not None
    assert "seed" in model.privacy.void
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").privacy == model.privacy


@PRIVATE
def test_fresh_noise_differs_each_time(name: str) -> None:
    one, other = (made(name).fit(patients(), SCHEMA, seed=None) for _ in range(2))
    assert not one.sample(200, seed=1).table.equals(other.sample(200, seed=1).table)


READERS = {
    "apply",
    "at",
    "describe",
    "drop_duplicates",
    "duplicated",
    "eq",
    "groupby",
    "head",
    "iat",
    "iloc",
    "isin",
    "isna",
    "isnull",
    "items",
    "iterrows",
    "itertuples",
    "loc",
    "map",
    "mean",
    "memory_usage",
    "merge",
    "notna",
    "nunique",
    "pipe",
    "query",
    "sample",
    "sort_values",
    "sum",
    "tail",
    "to_csv",
    "to_dict",
    "to_numpy",
    "to_records",
    "value_counts",
    "values",
    "where",
}


class Guarded(pd.DataFrame):
    """A table that may be looked into only by `Ledger.open`, or to see that no patient is there twice."""

    looks: ClassVar[list[str]] = []

    @property
    def _constructor(self) -> type:
        return Guarded

    def __getattribute__(self, name: str) -> Any:
        if name in READERS:
            check_paid(name)
        return super().__getattribute__(name)

    def __getitem__(self, key: Any) -> Any:
        check_paid(str(key))
        return super().__getitem__(key)


def check_paid(what: str) -> None:
    Guarded.looks.append(what)
    if not paid():
        raise AssertionError(f"{what!r} of the patients was looked at without a paid event")


def paid() -> bool:
    allowed = {Ledger.open.__code__, private._check_unit.__code__}
    return any(frame.f_code in allowed for frame in frames())


def frames() -> Iterator[Any]:
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


@PRIVATE
def test_nothing_looks_at_patients_without_paying(name: str) -> None:
    Guarded.looks.clear()
    model = made(name).fit(Guarded(patients()), SCHEMA, seed=1)
    assert Guarded.looks  # and each was paid for
    model.sample(5, seed=1)


@pytest.mark.parametrize(
    "look",
    [
        lambda table: table["sex"],
        lambda table: table.to_numpy(),
        lambda table: table.iloc[0],
        lambda table: table.isna(),
        lambda table: list(table.items()),
    ],
)
def test_a_planted_look_that_was_not_paid_for_is_seen(
    look: Callable[[pd.DataFrame], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = made("dp-independent")
    learn = type(recipe)._fit_private

    def peeping(self: Any, till: Any, *rest: Any) -> Any:
        look(table)
        return learn(self, till, *rest)

    monkeypatch.setattr(type(recipe), "_fit_private", peeping)
    table = Guarded(patients())
    with pytest.raises(AssertionError, match="without a paid event"):
        recipe.fit(table, SCHEMA, seed=1)


@PRIVATE
def test_after_the_fit_the_patients_are_not_needed(name: str) -> None:
    table = patients()
    model = made(name).fit(table, SCHEMA, seed=1)
    before = model.sample(50, seed=2).table
    table.drop(table.index, inplace=True)  # noqa: PD002 - the very table that was learnt
    assert model.sample(50, seed=2).table.equals(before)


@PRIVATE
def test_bounds_and_categories_do_not_depend_on_patients(name: str) -> None:
    assert domain_is_public(made(name), SCHEMA.subset(("age", "sex", "cost", "dead"))).holds


@PRIVATE
def test_guessed_items_are_refused_all_at_once(name: str) -> None:
    columns = [c.model_copy(update={"item_sources": {"missing": "data"}}) for c in SCHEMA.columns]
    with pytest.raises(SchemaError) as error:
        made(name).fit(patients(), SCHEMA.changed(columns=tuple(columns)), seed=1)
    assert set(error.value.problems) == {f"{c.name}: missing" for c in SCHEMA.columns}


@PRIVATE
def test_without_public_rows_or_with_a_large_delta_nothing_is_learnt(name: str) -> None:
    with pytest.raises(RequestError, match="--public-rows"):
        made(name).fit(patients(), SCHEMA.changed(rows=None), seed=1)
    with pytest.raises(RequestError, match="too large for 1,000 patients"):
        made(name, delta=1e-3).fit(patients(), SCHEMA, seed=1)


@PRIVATE
@pytest.mark.parametrize("ends", [KeyboardInterrupt, RequestError])
def test_a_fit_that_breaks_off_has_spent_what_it_was_allowed(name: str, ends, monkeypatch) -> None:
    """It breaks off as it adds up, when all of its events were paid for."""

    def broken(_ledger: Ledger[Any]) -> None:
        raise ends

    monkeypatch.setattr(Ledger, "close", broken)
    entered: list[PrivacySpent] = []
    with pytest.raises(ends), private.paying(entered.append):
        made(name, epsilon=2.0).fit(patients(60), SCHEMA, seed=None)
    (spent_then,) = entered
    assert (spent_then.epsilon, spent_then.void) == (2.0, "")
    assert (
        spent(list(map(event_from, spent_then.events)), spent_then.delta, accountant_of(spent_then)).epsilon
        > 0
    )


def accountant_of(found: PrivacySpent) -> Any:
    return "PRV and PLD" if any(event["kind"] == "sampled gaussian" for event in found.events) else "zCDP"


def test_what_is_refused_before_anybody_is_looked_at_costs_nothing() -> None:
    entered: list[PrivacySpent] = []
    with pytest.raises(RequestError, match="too large"), private.paying(entered.append):
        made("dp-independent", delta=1e-3).fit(patients(), SCHEMA, seed=None)
    with private.paying(entered.append):
        made("dp-independent").fit(patients(), SCHEMA, seed=None)
    assert not entered


def repeated() -> pd.DataFrame:
    table = patients(40)
    table["id"] = pd.array([f"P{k // 2:04}" for k in range(40)], dtype=table["id"].dtype)
    return table


@PRIVATE
def test_a_patient_of_several_rows_is_refused_unless_declared(name: str) -> None:
    with pytest.raises(DataError, match="20 patients have more than 1"):
        made(name).fit(repeated(), SCHEMA, seed=1)


@PRIVATE
def test_rows_without_a_patient_are_refused(name: str) -> None:
    nobody = patients(40)
    nobody.loc[3:5, "id"] = pd.NA
    with pytest.raises(DataError, match=r"3 row\(s\) have no patient key"):
        made(name).fit(nobody, SCHEMA, seed=1)


def test_a_declared_bound_is_read_and_paid_for() -> None:
    schema = SCHEMA.changed(rows_per_patient=2)
    assert len(table_from_frame(repeated(), schema)) == 40
    with pytest.raises(DataError, match="at most 2 rows"):
        table_from_frame(repeated().assign(id="P0001"), schema)
    one, two = (
        made("mst").fit(repeated(), s, seed=1) for s in (SCHEMA.changed(columns=SCHEMA.columns[1:]), schema)
    )
    assert two.privacy is not None
    assert two.privacy.rows_per_patient == 2
    noises = [max(e["multiplier"] for e in m.privacy.events if "multiplier" in e) for m in (one, two)]
    assert noises[1] == pytest.approx(2 * noises[0], rel=1e-3)
    with pytest.raises(RequestError, match="one row per patient"):
        recipe("independent").fit(repeated(), schema, seed=1)


def test_epsilon_makes_the_flagship_learn_by_its_network() -> None:
    assert recipe("autoregressive").asked is None
    assert recipe("autoregressive", {"epsilon": 2}).asked == (2.0, None)
    with pytest.raises(RequestError, match="only the network learns privately"):
        recipe("autoregressive", {"epsilon": 2, "learner": "boosted"})
    with pytest.raises(RequestError, match="delta means nothing"):
        recipe("autoregressive", {"delta": 1e-6})


def test_what_was_spent_survives_storage() -> None:
    one = PrivacySpent(
        1.0, 1e-6, "zCDP", {"zCDP": 1.0}, ({"kind": "gaussian", "multiplier": 2.0, "count": 1},), 2
    )
    assert PrivacySpent.from_json(one.as_json()) == one


# ---- planted bugs that training alone does not show; the others: tests/dp/test_soundness.py ----


def test_bounds_from_the_data_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measuring.noisy_counts

    def narrowed(ledger, places, states, **noise):
        rows = ledger._read()
        for place, one in zip(places, states, strict=True):
            one.high[-1] = max(one.low[-1], rows[:, place].max())
        return whole(ledger, places, states, **noise)

    monkeypatch.setattr(measuring, "noisy_counts", narrowed)
    assert not domain_is_public(made("mst"), SCHEMA.subset(("age", "cost"))).holds


def test_an_unpaid_release_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mst.measure_tree

    def unpaid(ledger, *rest, **stream):
        ledger._read()  # looks at everybody once more, for nothing
        return whole(ledger, *rest, **stream)

    monkeypatch.setattr(mst, "measure_tree", unpaid)
    with pytest.raises(AssertionError, match="without a paid event"):
        made("mst").fit(Guarded(patients()), SCHEMA, seed=1)


def test_counts_without_noise_are_caught_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "discrete_gaussian", lambda _stream, _variance, n: np.zeros(n, np.int64))
    found = against_neighbours(made("dp-independent"), small_schema(SCHEMA), runs=40, seed=1)
    assert found.broken
    assert "BROKEN" in found.sentence


# ---- audits from outside ----


@pytest.mark.parametrize("name", ["dp-independent", "mst"])
def test_neighbouring_tables_do_not_break_the_claim(name: str) -> None:
    """200 runs on each side at epsilon 1, the whole fit and sample; a script tries the other generators."""
    recipe_ = made(name, steps=30) if name == "mst" else made(name)
    found = against_neighbours(recipe_, small_schema(SCHEMA), runs=200, seed=1, audits=12)
    assert not found.broken, found.sentence
    assert found.detectable < 2
    assert "not broken at this resolution" in found.sentence


def test_canaries_in_one_fit_do_not_break_the_claim() -> None:
    found = against_canaries(made("mst"), SCHEMA, patients(1_000), canaries=300, seed=1)
    assert not found.broken
    assert found.runs == 60


class Copying:
    """Claims epsilon 1 and gives back what it was given."""

    name, asked = "copying", (1.0, None)

    def fit(self, table: pd.DataFrame, *_: object, **__: object) -> "Copying":
        self.table = table
        return self

    def sample(self, *_: object, **__: object) -> "Copying":
        return self


def test_canaries_catch_copies() -> None:
    """Epsilon is claimed, and canaries come out as they went in: the claim falls."""

    found = against_canaries(Copying(), SCHEMA, patients(1_000), canaries=300, seed=1)
    assert found.broken
    assert found.bound > 1.5


def test_a_trial_says_what_it_found() -> None:
    found = try_guarantee(made("dp-independent"), SCHEMA, patients(), runs=12, canaries=40, seed=1)
    assert not found.broken
    assert len(found.verdicts) == 2
    assert len(found.findings) == 5
    with pytest.raises(RequestError, match="nothing to audit"):
        try_guarantee(recipe("independent"), SCHEMA)
