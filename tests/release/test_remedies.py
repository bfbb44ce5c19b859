"""The way to a yes is measured, the smallest change first, and stops at the first that passes."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth import registry
from ehrsynth.encoding import encode
from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.generators.cart import Cart
from ehrsynth.release.policy import load_policy
from ehrsynth.release.remedies import (
    Moved,
    Remedy,
    _banding,
    _changes,
    _round_width,
    _smoother,
    attacked,
    remedies,
    with_remedies,
)
from ehrsynth.report.decision import Decision, compare
from ehrsynth.schema import IdentifierColumn, NumberColumn, Schema

SCHEMA = Schema(
    name="lab",
    columns=(
        IdentifierColumn(name="id", pattern="P#####"),
        NumberColumn(name="sodium", minimum=0, maximum=200, decimals=3),
        NumberColumn(name="weight", minimum=0, maximum=200, decimals=0),
    ),
)


def lab(rows, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": pd.array([f"P{n:05d}" for n in range(rows)], dtype="string"),
            "sodium": rng.normal(100, 15, rows).clip(0, 200).round(3),
            "weight": rng.normal(70, 1, rows).clip(0, 200).round(),
        }
    )


def met_again(members, non_members, reference, synthetic, schema, *, seed, progress=None):
    """Whose sodium stands in the synthetic table?"""
    known = row_hashes(stacked(synthetic, schema)[:, :1])
    found = [
        np.isin(row_hashes(stacked(t, schema)[:, :1]), known).astype(float) for t in (members, non_members)
    ]
    return Risk(
        "met_again", 0.0, 0.0, 0.0, 0.0, 0.0, None, 1, 1, {}, "", (Evidence("met_again", "", True, *found),)
    )


@pytest.fixture
def only_met_again(monkeypatch):
    monkeypatch.setattr(registry, "ATTACKS", {"met_again": f"{__name__}:met_again"})
    monkeypatch.setitem(registry._TABLES, "attack", {"met_again": f"{__name__}:met_again"})
    registry.known.cache_clear()
    policy = load_policy().model_copy(update={"attacks": ("met_again",)})
    lax = policy.membership.model_copy(update={"value": 0.9})
    yield policy.model_copy(update={"membership": lax, "membership_surest": lax})
    registry.known.cache_clear()


def test_coarser_bands_are_measured_to_mend_a_copied_number(only_met_again) -> None:
    train, holdout = lab(900, 1), lab(900, 2)
    said = {"explanation": "", "source": "ours", "citation": "x"}
    no = Decision.from_checks([compare("Met again", 0.97, 0.9, "at most", **said)])
    settings = {"policy": only_met_again, "seed": 1, "decision": no}
    tried = remedies(train, holdout, SCHEMA, Cart(leaf=1), seconds=60, **settings)
    assert tried[0].change == "sodium in bands of 5"
    assert not any(remedy.passes for remedy in tried[:-1])
    # Both the patients and what is drawn are in bands: the attack is not fooled by a mere change of format.
    assert tried[0].passes
    (moved,) = tried[0].moved
    assert (moved.name, moved.before, moved.limit) == ("Met again", 0.97, 0.9)
    assert moved.after < 0.3
    assert remedies(train, holdout, SCHEMA, Cart(), seconds=0, **settings) == ()


def test_what_others_know_comes_first_where_it_names_patients() -> None:
    columns = tuple(
        column.model_copy(update={"roles": ("quasi_identifier",)}) if column.name == "weight" else column
        for column in SCHEMA.columns
    )
    schema = SCHEMA.changed(columns=columns)
    table = lab(900, 1)
    table["weight"] = np.random.default_rng(0).normal(100, 15, 900).round()
    for identity, first in ((True, "weight"), (False, "sodium")):
        changes = list(_changes(table, schema, Cart(), identity=identity))
        assert changes[0].words.startswith(first)


def test_bands_stay_within_the_schema_and_keep_what_is_missing() -> None:
    table = lab(300, 1)
    banded = _banding({"sodium": 5.0}, SCHEMA)(table)
    assert banded["sodium"].nunique() < 30
    assert np.abs(banded["sodium"] - table["sodium"]).max() <= 2.5
    pd.testing.assert_series_equal(banded["weight"], table["weight"], check_dtype=False)
    encode(banded, SCHEMA)


def test_widths_are_round_and_leaves_grow() -> None:
    assert [_round_width(w) for w in (0.3, 1.0, 3.2, 7.0)] == [0.5, 1.0, 5.0, 10.0]
    smoother = _smoother(Cart(leaf=5))
    assert smoother is not None
    assert smoother.leaf == 20


def test_a_remedy_in_words() -> None:
    moved = (Moved("Linkability", 0.126, 0.054, 0.09), Moved("Inference", None, 0.02, 0.09))
    remedy = Remedy("AGE in bands of 5", moved, ())
    assert remedy.passes
    assert remedy.sentence == (
        "AGE in bands of 5: Linkability 0.126 to 0.054 (limit 0.09); "
        "Inference not measurable to 0.020 (limit 0.09)"
    )


def decided(value):
    said = {"explanation": "Said.", "source": "ours", "citation": "x"}
    return Decision.from_checks(
        [
            compare("Patients held out", 600, 500, "at least", **said),
            compare("Linkability", value, 0.09, "at most", **said),
        ]
    )


def test_a_no_names_what_would_pass_and_stays_a_no() -> None:
    tried = (
        Remedy("a in bands of 5", (Moved("Linkability", 0.2, 0.1, 0.09),), ("Linkability",)),
        Remedy("a, b in bands", (Moved("Linkability", 0.2, 0.05, 0.09),), ()),
    )
    said = with_remedies(decided(0.2), tried)
    assert not said.released
    assert "What would pass" in said.reasons[0]
    assert "a, b in bands: Linkability 0.200 to 0.050 (limit 0.09)" in said.reasons[0]
    failed = with_remedies(decided(0.2), tried[:1]).reasons[0]
    assert "Tried without a yes: a in bands of 5." in failed
    assert "1 of its checks still say no" in failed
    assert with_remedies(decided(0.01), tried) == decided(0.01)
    assert with_remedies(decided(0.2), ()) == decided(0.2)


def test_only_a_no_of_an_attack_is_looked_into() -> None:
    policy = load_policy()
    assert attacked(decided(0.2), policy)
    assert not attacked(decided(0.01), policy)
