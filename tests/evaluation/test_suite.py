"""Everything over one set of tables."""

import numpy as np
import pandas as pd
import pytest

from cohort import COHORT, cohort
from ehrsynth import registry
from ehrsynth.engine import using
from ehrsynth.errors import RequestError
from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import row_hashes, stacked
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.registry import known

QUICK = ["column_shapes", "copied_rows"]


def test_every_registered_metric_and_attack_runs() -> None:
    said: list[float] = []
    found = evaluate(
        cohort(150, 1), cohort(150, 2), cohort(150, 3), COHORT, seed=0, progress=lambda f, _: said.append(f)
    )
    assert list(found.scores) == list(known("metric"))
    assert list(found.risks) == [*known("attack"), "combined"]
    assert all(s.name == name for name, s in {**found.scores, **found.risks}.items())
    assert all(s.value is not None or s.reason for s in [*found.scores.values(), *found.risks.values()])
    assert found.protocol_hash == protocol().hash
    assert said == sorted(said)
    assert 0 <= said[0] <= said[-1] <= 1


def test_a_subsample_is_declared_and_does_not_depend_on_the_order() -> None:
    train, holdout, made = cohort(150, 1), cohort(100, 2), cohort(120, 3)
    chosen = {"metrics": QUICK, "attacks": [], "rows": 110, "seed": 4}
    found = evaluate(train, holdout, made, COHORT, **chosen)
    assert found.rows == {"train": 110, "holdout": 100, "synthetic": 110}
    assert found.rows_given == {"train": 150, "holdout": 100, "synthetic": 120}
    turned = evaluate(train[::-1].reset_index(drop=True), holdout, made, COHORT, **chosen)
    assert turned.scores == found.scores


def test_a_holdout_too_small_for_a_control_is_said() -> None:
    found = evaluate(cohort(50, 1), cohort(15, 2), cohort(50, 3), COHORT, seed=0, metrics=QUICK)
    assert {r.value for r in found.risks.values()} == {None}
    assert all("needs 20" in r.reason for r in found.risks.values())


def test_what_is_not_known_is_refused_before_work_begins() -> None:
    tables = cohort(30, 1), cohort(30, 2), cohort(30, 3)
    with pytest.raises(RequestError, match="Did you mean 'column_shapes'"):
        evaluate(*tables, COHORT, seed=0, metrics=["column_shape"])
    with pytest.raises(RequestError, match="at least 1"):
        evaluate(*tables, COHORT, seed=0, rows=0)


def met_again(members, non_members, reference, synthetic, schema, *, seed, progress=None):
    """An attack that knows whose row stands in the synthetic table."""
    known = row_hashes(stacked(synthetic, schema))
    found = (np.isin(row_hashes(stacked(t, schema)), known).astype(float) for t in (members, non_members))
    evidence = Evidence("met_again", "", False, *found)
    return Risk("met_again", 0.0, 0.0, 0.0, 0.0, 0.0, None, 1, 1, {}, "", (evidence,))


@pytest.fixture
def one_attack(monkeypatch):
    monkeypatch.setitem(registry.ATTACKS, "met_again", f"{__name__}:met_again")
    registry.known.cache_clear()
    yield {"metrics": [], "attacks": ["met_again"], "seed": 1}
    registry.known.cache_clear()


def test_the_evidence_of_the_attacks_is_bound_together(one_attack) -> None:
    train, holdout, fresh = cohort(600, 1), cohort(600, 2), cohort(600, 3)
    leaky = pd.concat([fresh.iloc[:480], train.iloc[:120]], ignore_index=True)
    safe = evaluate(train, holdout, fresh, COHORT, **one_attack).bound
    leaking = evaluate(train, holdout, leaky, COHORT, **one_attack).bound
    assert safe is not None
    assert leaking is not None
    assert safe.finding is None
    assert leaking.finding is not None
    assert leaking.finding.attack == "met_again"
    wider = evaluate(train, holdout, fresh, COHORT, **one_attack, attempts=4).bound
    assert wider is not None
    assert wider.permutations == 4000
    assert wider.attempts == 4


def test_the_attacks_look_at_all_copies_together_and_the_scores_at_the_first(one_attack) -> None:
    train, holdout = cohort(600, 1), cohort(600, 2)
    fresh, other = cohort(600, 3), cohort(600, 4)
    leaky = pd.concat([other.iloc[:480], train.iloc[:120]], ignore_index=True).astype(fresh.dtypes)
    settings = one_attack | {"metrics": QUICK}
    alone = evaluate(train, holdout, fresh, COHORT, **settings)
    both = evaluate(train, holdout, fresh, COHORT, copies=[leaky], **settings)
    assert alone.bound.finding is None
    assert both.bound.finding is not None
    assert alone.scores["copied_rows"].value == 0
    assert both.scores["copied_rows"].value == pytest.approx(0.1)
    assert both.scores["column_shapes"] == alone.scores["column_shapes"]
    assert (alone.combined, both.combined["copies"]) == (None, 2)


def test_fewer_patients_make_no_leak_smaller(one_attack) -> None:
    """An attacker holds the whole table, and the earlier ones, whoever is measured."""
    train, holdout, fresh = cohort(1_200, 1), cohort(1_200, 2), cohort(1_200, 3)
    leaky = pd.concat([fresh.iloc[:840], train.iloc[:360]], ignore_index=True).astype(fresh.dtypes)
    settings = one_attack | {"metrics": [*QUICK, "constraint_violations"]}

    def exposed(synthetic, **more):
        found = evaluate(train, holdout, synthetic, COHORT, **settings, **more)
        return found, next(one.value for one in found.bound.bounds if one.stratum == "all patients")

    whole, shown = exposed(leaky)
    for part, still in (exposed(leaky, rows=300), exposed(fresh, rows=300, earlier=[leaky])):
        assert shown == pytest.approx(0.3, abs=0.01)
        assert still == pytest.approx(0.3, abs=0.08)
        assert part.bound.finding is not None
        assert part.rows == {"train": 300, "holdout": 300, "synthetic": 300}
        for name in ("copied_rows", "constraint_violations"):
            assert part.scores[name].details["rows"] == whole.scores[name].details["rows"] == 1_200


def test_a_second_opinion_is_given_when_asked_for_and_takes_no_part_in_the_bound(one_attack) -> None:
    pytest.importorskip("anonymeter")
    tables = cohort(150, 1), cohort(150, 2), cohort(150, 3)
    asked = evaluate(*tables, COHORT, second_opinion=True, **one_attack)
    assert set(asked.second_opinions) == {"inference", "linkability", "singling_out"}
    plain = evaluate(*tables, COHORT, **one_attack)
    assert plain.second_opinions == {}
    assert plain.bound == asked.bound


def test_a_group_of_five_patients_is_left_out_of_the_bound_and_named(one_attack) -> None:
    columns = tuple(
        c.model_copy(update={"roles": ("protected",)}) if c.name == "sex" else c for c in COHORT.columns
    )
    schema = COHORT.changed(columns=columns)
    tables = [cohort(300, seed) for seed in (1, 2, 3)]
    few = [
        t.assign(sex=t["sex"].mask(np.arange(300) < 5, "M").mask(np.arange(300) >= 5, "F")) for t in tables
    ]
    bound = evaluate(*few, schema, **one_attack).bound
    assert ("met_again", "sex: M") in {(one.attack, one.stratum) for one in bound.left_out}
    assert "sex: F" in {one.stratum for one in bound.bounds}
    assert "sex: M" not in {one.stratum for one in bound.bounds}


def test_without_evidence_there_is_no_bound() -> None:
    tables = cohort(60, 1), cohort(60, 2), cohort(60, 3)
    assert evaluate(*tables, COHORT, seed=0, metrics=QUICK, attacks=[]).bound is None


class Elsewhere:
    """An engine that is not this process, and finishes in another order."""

    workers = 2

    def each(self, function, shared, items):
        for place in reversed(range(len(items))):
            yield place, function(shared, items[place])


def test_side_by_side_is_the_same_evaluation() -> None:
    tables, said = (cohort(120, 1), cohort(120, 2), cohort(120, 3)), []
    chosen = {"metrics": [*QUICK, "missingness"], "attacks": ["exact_match", "nearest_record"], "seed": 4}
    plain = evaluate(*tables, COHORT, **chosen)
    with using(Elsewhere()):
        found = evaluate(*tables, COHORT, **chosen, progress=lambda f, _: said.append(f))
    assert list(found.scores) == list(plain.scores)
    assert list(found.risks) == list(plain.risks)
    assert (found.scores, found.risks, found.bound) == (plain.scores, plain.risks, plain.bound)
    assert said == sorted(said)
