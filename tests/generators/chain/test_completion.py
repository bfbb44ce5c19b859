"""Completing partial patients: what is known stays, what is unknown follows from it."""

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encode
from ehrsynth.errors import RequestError, SamplingExhausted
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.chain.completion import complete_codes
from ehrsynth.generators.chain.features import Feature
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.progress import silent
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table, write_table
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.origin import COMPLETED, origin_of
from ehrsynth.tables.values import to_values
from ward import WARD, patients

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> FittedAutoregressive:
    recipe = Autoregressive(trees=3, rounds=40)
    return cast("FittedAutoregressive", recipe.fit(patients(), WARD, seed=1))


def without(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    table = table.copy()
    for name in columns:
        table[name] = pd.array([None] * len(table), dtype=table[name].dtype)
    return table


def test_known_cells_stay_and_rows_are_valid(model: FittedAutoregressive) -> None:
    partial = without(patients(12, seed=5), "age", "drug")
    partial.loc[3:6, ["sbp", "pulse pressure"]] = pd.NA
    found = model.complete(partial, draws=7, seed=1)
    assert len(found.table) == 12 * 7
    assert found.patient.tolist() == np.repeat(np.arange(12), 7).tolist()
    assert satisfied(to_values(found.table, WARD), WARD).all()
    assert origin_of(found.table) == COMPLETED
    before, after = encode(partial, WARD)[found.patient], encode(found.table, WARD)
    assert (after == before)[before >= 0].all()
    assert found.table["age"].notna().all()
    assert found.table["id"].tolist() == partial["id"].to_numpy()[found.patient].tolist()
    assert ((found.effective_sample_size > 0) & (found.effective_sample_size <= 7)).all()


def test_unknown_values_become_present_unless_a_rule_forbids(model: FittedAutoregressive) -> None:
    partial = without(patients(40, seed=6), "sbp", "pulse pressure", "day of death")
    table = model.complete(partial, draws=2, seed=1).table
    assert table["sbp"].notna().all()
    assert (table["day of death"].notna() == table["dead"].astype(bool)).all()


def test_a_cell_that_follows_from_an_unknown_one_may_stay_missing(model: FittedAutoregressive) -> None:
    """Without its role the day of death comes before death: always present, it made everybody dead."""
    columns = [
        column.model_copy(update={"roles": ()}) if column.name == "day of death" else column
        for column in WARD.columns
    ]
    early = WARD.changed(columns=tuple(columns))
    other = cast("FittedAutoregressive", Autoregressive(trees=3, rounds=40).fit(patients(), early, seed=1))
    names = other.chain.names
    assert names.index("day of death") < names.index("dead")
    rows = without(patients(60, seed=7), "dead", "day of death")
    shares = [fitted.complete(rows, draws=20, seed=3).table["dead"].mean() for fitted in (model, other)]
    assert shares[1] == pytest.approx(shares[0], abs=0.06)
    rows["dead"] = pd.array([True] * 60, dtype="boolean")
    assert other.complete(rows, draws=2, seed=4).table["day of death"].notna().all()


def test_an_early_cell_follows_from_late_evidence(model: FittedAutoregressive) -> None:
    """Old patients die: the mean age of the dead among free samples is what completion must give."""
    free = model.sample(20_000, seed=8).table
    for dead in (True, False):
        rows = without(patients(1), *(c for c in WARD.names if c not in {"id", "dead"}))
        rows["dead"] = pd.array([dead], dtype="boolean")
        found = model.complete(rows, draws=400, seed=2)
        expected = free.loc[free["dead"] == dead, "age"].astype(float)
        made = found.table["age"].astype(float)
        error = expected.std() / np.sqrt(found.effective_sample_size[0])
        assert made.mean() == pytest.approx(expected.mean(), abs=4 * error)


def test_equal_seeds_and_whole_rows(model: FittedAutoregressive) -> None:
    partial = without(patients(5, seed=3), "age")
    a, b, c = (model.complete(partial, draws=3, seed=s).table for s in (1, 1, 2))
    pd.testing.assert_frame_equal(a, b)
    assert not a.equals(c)
    whole = patients(30, seed=3)
    whole = whole[whole["sbp"].notna()].head(5).reset_index(drop=True)
    pd.testing.assert_frame_equal(
        model.complete(whole, draws=1, seed=1).table, whole, check_dtype=True, check_flags=False
    )


def test_evidence_against_the_rules_is_refused_without_a_value(model: FittedAutoregressive) -> None:
    rows = without(patients(3, seed=3), "age")
    rows["dead"] = pd.array([False] * 3, dtype="boolean")
    rows["day of death"] = pd.array([211] * 3, dtype="Int64")
    with pytest.raises(SamplingExhausted, match="3 of 3 patients cannot be completed") as error:
        model.complete(rows, draws=1, seed=1)
    assert "211" not in str(error.value)
    assert "rows 1, 2, 3, counted from 1" in str(error.value)


def test_a_blank_identifier_stays_blank_and_replaces_nobodys() -> None:
    numbered = {"name": "hospital_no", "kind": "identifier", "pattern": "H###", "missing": True}
    schema = WARD.changed(columns=(*WARD.columns, numbered))
    table = patients(300).assign(hospital_no=pd.array([f"H{k:03}" for k in range(300)], dtype="string"))
    fitted = cast("FittedAutoregressive", Autoregressive(trees=3, rounds=5).fit(table, schema, seed=1))
    rows = without(table.head(6), "age")
    rows.loc[2, "hospital_no"] = pd.NA
    made = fitted.complete(rows, draws=2, seed=1).table
    wanted = rows["hospital_no"].iloc[np.repeat(np.arange(6), 2)]
    pd.testing.assert_series_equal(made["hospital_no"], wanted.reset_index(drop=True))
    nobody = fitted.complete(without(rows, "hospital_no"), draws=2, seed=1).table
    assert nobody["hospital_no"].notna().all()
    rows.loc[[1, 4], "id"] = pd.NA
    with pytest.raises(RequestError, match="2 of 6 patients have no 'id'"):
        fitted.complete(rows, draws=2, seed=1)


def test_a_blank_identifier_is_written_and_read(tmp_path: Path) -> None:
    numbered = {"name": "hospital_no", "kind": "identifier", "pattern": "H###", "missing": True}
    schema = WARD.changed(columns=(*WARD.columns, numbered))
    table = patients(5).assign(hospital_no=pd.array(["H001", None, "H003", "H004", "H005"], dtype="string"))
    write_table(table, schema, tmp_path / "x.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "x.csv", schema), table)


class _Age:
    """An age from 0 to 99, each as likely."""

    def draw(
        self, features: Floats, _allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        return rng.integers(0, 100, len(features)), np.ones(len(features))

    def log_density(self, _features: Floats, codes: Codes) -> Floats:
        return np.full(len(codes), -np.log(100))

    def nearest(self, codes: Codes) -> Codes:
        return codes


class _Sign:
    """A sign that is the likelier the older the patient."""

    def draw(
        self, _features: Floats, _allowed: CodeSet | None, _rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        raise AssertionError

    def log_density(self, features: Floats, codes: Codes) -> Floats:
        shown = expit((features[:, 0] - 50) / 6)
        return np.asarray(np.log(np.where(codes == 1, shown, 1 - shown)))

    def nearest(self, codes: Codes) -> Codes:
        return codes


def test_copies_of_one_particle_are_worth_one() -> None:
    """An age of which 25 later signs are known, one after the other: resampled, its particles become few."""
    signs, draws, seeds = 25, 50, 40
    schema = Schema(
        name="signs",
        columns=[
            {"name": "age", "kind": "integer", "minimum": 0, "maximum": 99},
            *({"name": f"sign {k}", "kind": "boolean"} for k in range(signs)),
        ],
    )
    nothing = Feature(np.empty(0, np.int64), listed=True)
    features = (Feature(np.arange(100), listed=False), *[nothing] * signs)
    chain = Chain(schema, tuple(range(signs + 1)), features, (_Age(), *[_Sign()] * signs))
    known = np.concatenate([[-1], np.arange(signs) % 2])[None].astype(np.int64)
    ages, shown = np.arange(100), int(known[0, 1:].sum())
    seen = chain.matrix(known * 0 + ages[:, None])[:, 0]
    chance = expit((seen - 50) / 6) ** shown * (1 - expit((seen - 50) / 6)) ** (signs - shown)
    mean = (chance * ages).sum() / chance.sum()
    variance = (chance * (ages - mean) ** 2).sum() / chance.sum()
    found = [
        complete_codes(chain, known, draws, rng=np.random.default_rng(seed), progress=silent)
        for seed in range(seeds)
    ]
    means = np.array([one.codes[:, 0].mean() for one in found])
    worth = np.array([one.effective_sample_size[0] for one in found])
    assert (worth < draws).all()
    assert worth.mean() > draws / 2  # by more particles: 100 are worth about 15
    assert means.mean() == pytest.approx(mean, abs=4 * means.std() / np.sqrt(seeds))
    assert 0.5 < means.var() * worth.mean() / variance < 1.7


def test_an_extreme_patient_is_completed_too(model: FittedAutoregressive) -> None:
    rows = without(patients(2, seed=3), "sex", "pulse pressure", "sbp")
    rows["age"] = pd.array([110, 1], dtype="Int64")
    assert not np.isfinite(model.log_prob(model.complete(rows, draws=1, seed=1).table)).all()


@pytest.mark.parametrize(("rows", "draws"), [(3, 0), (0, 3)])
def test_nothing_to_do_is_an_error(model: FittedAutoregressive, rows: int, draws: int) -> None:
    with pytest.raises(RequestError, match="at least 1"):
        model.complete(patients(5).head(rows), draws=draws, seed=1)


def test_progress_ends_at_one(model: FittedAutoregressive) -> None:
    seen: list[float] = []
    model.complete(without(patients(4), "age"), draws=1, seed=1, progress=lambda f, _: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1
