"""The way to a yes is measured, the smallest change first, and stops at the first that passes."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth import registry
from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.cart import Cart
from ehrsynth.release import remedies as module
from ehrsynth.release.gate import COPIED
from ehrsynth.release.policy import load_policy
from ehrsynth.release.remedies import (
    TOGETHER,
    Moved,
    Remedy,
    Terms,
    attacked,
    remedies,
    with_remedies,
)
from ehrsynth.release.remedy_changes import Change, _round_width, _smoother, changes
from ehrsynth.report.decision import Decision, compare
from ehrsynth.report.words import title
from ehrsynth.schema import DateColumn, IdentifierColumn, IntegerColumn, NumberColumn, Schema

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


SAID = {"explanation": "Said.", "source": "ours", "citation": "x"}
NO = Decision.from_checks([compare("Met again", 0.97, 0.9, "at most", **SAID)])


@pytest.fixture
def whatever_is_copied(only_met_again):
    copied = only_met_again.copied_rows_above_holdout.model_copy(update={"value": 1.0})
    return only_met_again.model_copy(update={"copied_rows_above_holdout": copied})


def test_coarser_bands_are_measured_to_mend_a_copied_number(whatever_is_copied) -> None:
    train, holdout = lab(900, 1), lab(900, 2)
    settings = {"policy": whatever_is_copied, "seed": 1, "decision": NO}
    tried = remedies(train, holdout, SCHEMA, Cart(leaf=1), seconds=60, **settings)
    assert tried[0].change == "sodium in bands of 5"
    assert not any(remedy.passes for remedy in tried[:-1])
    # Both the patients and what is drawn are in bands: the attack is not fooled by a mere change of format.
    assert tried[0].passes
    (moved,) = tried[0].moved
    assert (moved.name, moved.before, moved.limit) == ("Met again", 0.97, 0.9)
    assert moved.after < 0.3
    assert remedies(train, holdout, SCHEMA, Cart(), seconds=0, **settings) == ()
    # What it says to write is what was measured.
    assert tried[0].how == "write in the schema `band: 5` under sodium"
    assert "To ask for it: write in the schema `band: 5` under sodium" in tried[0].sentence


def test_a_change_must_also_keep_copied_rows_and_rules(only_met_again) -> None:
    """Bands of 5 mend the attack alone: leaves of one patient still copy whole rows of two columns."""
    settings = {"policy": only_met_again, "seed": 1, "decision": NO}
    tried = remedies(lab(900, 1), lab(900, 2), SCHEMA, Cart(leaf=1), seconds=60, **settings)
    assert tried[0].left == (COPIED,)


def test_a_no_by_all_attacks_as_one_gets_its_remedies_too() -> None:
    """It is made by the gate, though no policy asks for it by name."""
    policy, name = load_policy(), title("combined")
    assert TOGETHER == "combined"
    together = Decision.from_checks([compare(name, 0.3, 0.09, "at most", **SAID)])
    assert attacked(together, policy)
    way = Remedy("age in bands of 5", (Moved(name, 0.3, 0.05, 0.09),), ())
    (reason,) = with_remedies(together, [way], policy).reasons
    assert f"What would pass, as measured on the same patients: age in bands of 5: {name} 0.300" in reason


def test_a_change_is_measured_on_the_terms_of_the_release(whatever_is_copied, monkeypatch) -> None:
    asked = []

    def recorded(*tables, **options):
        asked.append((tables, options))
        return evaluate(*tables, **options)

    monkeypatch.setattr(module, "evaluate", recorded)
    before = lab(50, 7)
    terms = Terms(attempts=3, copies=2, rows=400, evaluated_rows=800, earlier=(before,))
    settings = {"policy": whatever_is_copied, "seed": 1, "decision": NO, "seconds": 60, "terms": terms}
    remedies(lab(900, 1), lab(900, 2), SCHEMA, Cart(leaf=1), **settings)
    (_, _, first, schema), options = asked[0]
    assert (options["attempts"], options["rows"]) == (4, 800)
    assert set(options["metrics"]) == {"copied_rows", "constraint_violations"}
    (second,) = options["copies"]
    (earlier,) = options["earlier"]
    assert len(first) == len(second) == 400
    assert not first.equals(second)
    for table in (first, second, earlier):
        assert set(np.mod(table["sodium"].dropna(), 5)) == {2.5}
    assert schema.column("sodium").band == 5


def test_of_given_tables_bands_alone_are_tried_and_nothing_is_fitted(whatever_is_copied) -> None:
    train, holdout = lab(900, 1), lab(900, 2)
    settings = {"policy": whatever_is_copied, "seed": 1, "decision": NO, "seconds": 60}
    tried = remedies(train, holdout, SCHEMA, (train.copy(),), **settings)
    assert [remedy.change for remedy in tried] == ["sodium in bands of 5"]
    assert tried[0].passes
    found = changes(train, SCHEMA, None, given=SCHEMA, identity=False)
    assert all(change.generator is None and change.bands for change in found)


def test_every_change_says_what_to_write() -> None:
    days = DateColumn(name="seen", minimum="1980-01-01", maximum="2024-12-31")
    years = IntegerColumn(name="seen", minimum=1980, maximum=2024, unit="year")
    schema = Schema(name="t", columns=(*SCHEMA.columns, years))
    given = Schema(name="t", columns=(*SCHEMA.columns, days))
    table = lab(900, 1).assign(seen=pd.array(np.random.default_rng(0).integers(1980, 2025, 900), "Int64"))
    found = changes(table, schema, Cart(leaf=5), given=given, identity=False)
    hows = {change.words: change.how for change in found}
    # A band of years is made from a band of days, since the schema that was given has a date.
    assert (
        "`band: 5` under sodium, `band: 1827` under seen" in hows["sodium in bands of 5, seen in bands of 5"]
    )
    assert hows["cart with 4 times as many patients in a leaf"] == "--set leaf=20"
    assert hows["the generator copula"] == "--generator copula, without --set"
    assert all(hows.values())


def test_what_others_know_comes_first_where_it_names_patients() -> None:
    columns = tuple(
        column.model_copy(update={"roles": ("quasi_identifier",)}) if column.name == "weight" else column
        for column in SCHEMA.columns
    )
    schema = SCHEMA.changed(columns=columns)
    table = lab(900, 1)
    table["weight"] = np.random.default_rng(0).normal(100, 15, 900).round()
    for identity, first in ((True, "weight"), (False, "sodium")):
        found = list(changes(table, schema, Cart(), given=schema, identity=identity))
        assert found[0].words.startswith(first)


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
    said = SAID
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
    policy = load_policy()
    said = with_remedies(decided(0.2), tried, policy)
    assert not said.released
    assert "What would pass" in said.reasons[0]
    assert "a, b in bands: Linkability 0.200 to 0.050 (limit 0.09)" in said.reasons[0]
    failed = with_remedies(decided(0.2), tried[:1], policy).reasons[0]
    assert "Tried without a yes: a in bands of 5." in failed
    assert "1 of its checks still say no" in failed
    assert with_remedies(decided(0.01), tried, policy) == decided(0.01)
    assert with_remedies(decided(0.2), (), policy) == decided(0.2)


def test_only_a_no_of_an_attack_is_looked_into() -> None:
    policy = load_policy()
    assert attacked(decided(0.2), policy)
    assert not attacked(decided(0.01), policy)
    # Where nothing could be measured the number of patients decides: nothing is tried for ten minutes.
    assert not attacked(decided(None), policy)
    copied = compare(COPIED, 0.1, 0.0, "at most", **SAID)
    assert attacked(Decision.from_checks([*decided(0.01).checks, copied]), policy)
    assert attacked(Decision.from_checks([*decided(0.2).checks, copied]), policy)
    assert not attacked(Decision.from_checks([*decided(None).checks, copied]), policy)
    tried = (Remedy("a in bands of 5", (), ()),)
    assert with_remedies(decided(None), tried, policy) == decided(None)


def test_what_is_measurable_neither_before_nor_after_is_not_told() -> None:
    change = Change("a in bands of 5", "write it")
    before = {check.name: check for check in decided(None).failed}
    after = [compare("Linkability", value, 0.09, "at most", **SAID) for value in (None, 0.02)]
    assert module._remedy(change, before, after[:1]).moved == ()
    assert module._remedy(change, before, after[1:]).moved == (Moved("Linkability", None, 0.02, 0.09),)
