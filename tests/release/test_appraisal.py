"""Anybody's table: a no names bands that would pass, and a schema with these bands then gets the yes."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth import registry
from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.release.appraisal import BANDED, appraise, write_appraisal
from ehrsynth.release.policy import load_policy
from ehrsynth.report.words import LEAK
from ehrsynth.schema import NumberColumn, Schema
from ehrsynth.schema.constraints import Implication
from ehrsynth.tables import is_synthetic, read_table
from ehrsynth.tables.bands import with_bands

SCHEMA = Schema(
    name="lab",
    columns=(
        NumberColumn(name="sodium", minimum=0, maximum=200, decimals=3),
        NumberColumn(name="weight", minimum=0, maximum=200, decimals=0),
    ),
    constraints=(Implication(if_="sodium > 199", then="weight >= 0"),),
)


def lab(rows, seed):
    rng = np.random.default_rng(seed)
    sodium, weight = (
        rng.normal(100, 15, rows).clip(0, 200).round(3),
        rng.normal(70, 10, rows).round().clip(0, 200),
    )
    return pd.DataFrame({"sodium": sodium, "weight": weight})


def known_sodium(members, non_members, reference, synthetic, schema, *, seed, progress=None):
    """Whose sodium stands in the synthetic table?"""
    known = row_hashes(stacked(synthetic, schema)[:, :1])
    sides = [
        np.isin(row_hashes(stacked(t, schema)[:, :1]), known).astype(float) for t in (members, non_members)
    ]
    told = (Evidence("known_sodium", "", True, *sides),)
    return Risk("known_sodium", 0.0, 0.0, 0.0, 0.0, 0.0, None, 1, 1, {}, "", told)


@pytest.fixture
def policy(monkeypatch):
    table = {"known_sodium": f"{__name__}:known_sodium"}
    monkeypatch.setattr(registry, "ATTACKS", table)
    monkeypatch.setitem(registry._TABLES, "attack", table)
    metrics = {n: registry.METRICS[n] for n in ("copied_rows", "constraint_violations")}
    monkeypatch.setattr(registry, "METRICS", metrics)
    monkeypatch.setitem(registry._TABLES, "metric", metrics)
    registry.known.cache_clear()
    usual = load_policy()
    lax = usual.membership.model_copy(update={"value": 0.9})
    few = usual.minimum_holdout.model_copy(update={"value": 100})
    yield usual.model_copy(
        update={"attacks": ("known_sodium",), "membership": lax, "membership_surest": lax}
        | {"minimum_holdout": few}
    )
    registry.known.cache_clear()


@pytest.fixture
def vendors():
    """Sodium of the patients, beside weights that are nobody's."""
    train, fresh = lab(900, 1), lab(900, 5)
    return train, lab(900, 2), train.assign(weight=fresh["weight"])


def test_a_no_names_bands_and_the_schema_with_them_gets_the_yes(policy, vendors, tmp_path) -> None:
    silent = appraise(*vendors, SCHEMA, seed=1, policy=policy)
    assert not silent.decision.released
    assert "What would pass" not in " ".join(silent.decision.reasons)
    found = appraise(*vendors, SCHEMA, seed=1, policy=policy, remedy_seconds=60)
    assert not found.decision.released
    said = " ".join(found.decision.reasons)
    assert "What would pass, as measured on the same patients: sodium in bands of 5" in said
    assert "To ask for it: write in the schema `band: 5` under sodium." in said
    assert found.in_bands == ()

    banded = with_bands(SCHEMA, {"sodium": 5})
    again = appraise(*vendors, banded, seed=1, policy=policy, attempts=2)
    assert again.decision.released, again.decision.reasons
    assert again.provenance.actions == (BANDED,)
    assert again.provenance.schema_hash == banded.hash()
    write_appraisal(again, banded, tmp_path / "out")
    made = read_table(tmp_path / "out" / "synthetic.csv", banded)
    assert is_synthetic(made)
    assert set(np.mod(made["sodium"], 5)) == {2.5}
    assert made["weight"].tolist() == vendors[2]["weight"].tolist()
    write_appraisal(found, SCHEMA, tmp_path / "plain")
    assert {f.name for f in (tmp_path / "plain").iterdir()} == {"report.html", "report.json"}


def test_synthetic_rows_that_were_not_read_are_no_yes_of_the_attacks(policy, vendors) -> None:
    train, holdout, _ = vendors
    fresh = lab(900, 6)
    assert appraise(train, holdout, fresh, SCHEMA, seed=1, policy=policy).decision.released
    found = appraise(train, holdout, fresh, SCHEMA, seed=1, policy=policy, unread=100, remedy_seconds=60)
    assert {check.name for check in found.decision.failed} == {LEAK, "Known sodium"}
    assert not any(check.computed for check in found.decision.failed)
    assert all("100 synthetic rows were not read" in reason for reason in found.decision.reasons)
    # A leak that is seen in a part is one.
    leaking = appraise(*vendors, SCHEMA, seed=1, policy=policy, unread=100).decision
    assert next(check for check in leaking.failed if check.name == LEAK).computed


def test_a_part_of_a_table_is_not_written_as_if_it_were_all(policy, vendors, tmp_path) -> None:
    banded = with_bands(SCHEMA, {"sodium": 5})
    given = {"train": 900, "holdout": 900, "synthetic": 90_000}
    found = appraise(*vendors, banded, seed=1, policy=policy, given=given)
    write_appraisal(found, banded, tmp_path / "out")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {"report.html", "report.json"}
