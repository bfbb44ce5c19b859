"""One bound over all attacks: its level, its power, its upper ends, and what it leaves out."""

import numpy as np
import pytest

from ehrsynth.evaluation.base import Evidence
from ehrsynth.evaluation.privacy.bounds import ALL, ISOLATED
from ehrsynth.evaluation.privacy.permuted import Permuted, labellings, look, measure
from ehrsynth.evaluation.privacy.simultaneous import simultaneous
from ehrsynth.evaluation.privacy.strata import Stratum, strata
from ehrsynth.schema import CategoryColumn, IntegerColumn, NumberColumn, Schema
from ehrsynth.statistics import auroc

MEMBERS, OTHERS = 900, 500


def everybody(members=MEMBERS, others=OTHERS):
    return Stratum(ALL, "all", np.ones(members, np.bool_), np.ones(others, np.bool_))


def thirds(rng):
    group = rng.integers(0, 3, MEMBERS + OTHERS)
    return [
        everybody(),
        *(Stratum(f"g: {g}", "group", (group == g)[:MEMBERS], (group == g)[MEMBERS:]) for g in range(3)),
    ]


def evidence(rng, exposed=0.0, members=MEMBERS, others=OTHERS):
    """Four attacks that share what makes a patient easy, with a share of the members fully exposed."""
    size = members + others
    hit = np.zeros(size, np.bool_)
    hit[: round(exposed * members)] = True
    easy = rng.normal(size=size)
    found = []
    for name in ("distance", "steps"):
        scores = easy + rng.normal(size=size)
        scores = np.where(hit, 20 + rng.random(size), np.round(scores) if name == "steps" else scores)
        found.append(Evidence(name, "", True, scores[:members], scores[members:]))
    for name, rate in (("rare", 0.002), ("often", 0.3)):
        success = np.where(hit, 1.0, rng.random(size) < rate)
        found.append(Evidence(name, "", False, success[:members], success[members:]))
    return found


def test_what_leaks_nothing_is_flagged_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(1)
    runs, level = 40, 0.1
    flagged = sum(
        simultaneous(evidence(rng), thirds(rng), seed=n, level=level).finding is not None for n in range(runs)
    )
    assert flagged <= 10  # more than 10 of 40 at a level of 0.1 happen about once in 700 times


def test_the_upper_ends_cover_the_truth_together() -> None:
    rng = np.random.default_rng(2)
    runs, share = 30, 0.1
    covered = 0
    for n in range(runs):
        found = simultaneous(evidence(rng, share), [everybody()], seed=n, level=0.05)
        covered += all(bound.high >= share - 1e-12 for bound in found.bounds)
    assert covered >= 25


def test_a_planted_leak_is_found_and_every_statistic_is_the_share_exposed() -> None:
    rng = np.random.default_rng(3)
    found = simultaneous(evidence(rng, 0.1, 4000, 2000), [everybody(4000, 2000)], seed=1)
    assert found.finding is not None
    assert len(found.bounds) == 8
    for bound in found.bounds:
        assert bound.value == pytest.approx(0.1, abs=0.045), bound.name
        assert bound.value <= bound.high <= 1


def test_the_bound_is_wider_after_more_attempts_and_the_finding_is_not_blinder() -> None:
    rng = np.random.default_rng(4)
    given = evidence(rng, 0.04), [everybody()]
    once, often = (simultaneous(*given, seed=1, attempts=n) for n in (1, 8))
    assert often.permutations == 8000
    assert all(a.high <= b.high + 0.005 for a, b in zip(once.bounds, often.bounds, strict=True))
    assert np.mean([b.high for b in often.bounds]) > np.mean([b.high for b in once.bounds])
    assert once.finding is not None
    assert often.finding is not None


def test_a_rate_or_group_that_is_too_small_is_left_out_and_named() -> None:
    rng = np.random.default_rng(5)
    few = Stratum("g: few", "group", np.arange(MEMBERS) < 40, np.ones(OTHERS, np.bool_))
    found = simultaneous(evidence(rng), [everybody(), few], seed=1)
    assert {bound.stratum for bound in found.bounds} == {ALL}
    assert "TPR at 1 % FPR" not in {bound.statistic for bound in found.bounds}  # 500 unseen, 1,000 needed
    said = {(one.attack, one.stratum, one.statistic) for one in found.left_out}
    assert ("distance", ALL, "TPR at 1 % FPR") in said
    assert ("rare", "g: few", "all") in said


def test_who_was_not_attacked_does_not_count() -> None:
    rng = np.random.default_rng(6)
    whole = evidence(rng)[0]
    members, others = whole.members.copy(), whole.non_members.copy()
    members[::2], others[::4] = np.nan, np.nan
    found = simultaneous([whole, Evidence("part", "", True, members, others)], [everybody()], seed=1)
    counts = {bound.attack: (bound.n_members, bound.n_non_members) for bound in found.bounds}
    assert counts == {"distance": (900, 500), "part": (450, 375)}


def test_labels_move_among_patients_of_the_same_attacks_only() -> None:
    attacked = np.array([[True, True]] * 6 + [[True, False]] * 4)
    known = np.array([1, 1, 1, 0, 0, 0, 1, 0, 0, 0], np.bool_)
    labels = labellings(known, attacked, 50, np.random.default_rng(0))
    assert (labels[:6].sum(axis=0) == 3).all()
    assert (labels[6:].sum(axis=0) == 1).all()
    assert len(np.unique(labels.T, axis=0)) > 20


def test_the_quick_statistics_equal_the_plain_ones() -> None:
    rng = np.random.default_rng(7)
    labels = rng.permuted(np.repeat([1, 0], (MEMBERS, OTHERS)).astype(np.uint8))
    for one in evidence(rng, 0.05):
        everything = np.concatenate([one.members, one.non_members])
        known = labels == 1
        moved = Evidence(one.attack, "", one.graded, everything[known], everything[~known])
        quick = Permuted(look(one, everybody())).under(labels[:, None])[:, 0]
        looked = look(moved, everybody())
        for value, statistic in zip(quick, looked.statistics, strict=True):
            plain = measure(looked, statistic).value
            if statistic == "success":
                plain *= (1 - np.mean(moved.non_members)) / (1 - everything.mean())
            assert value == pytest.approx(plain, abs=1e-5), (one.attack, statistic)
        if one.graded:
            assert quick[0] == pytest.approx(2 * auroc(known, everything) - 1, abs=1e-5)


def test_none_seen_is_not_none_possible() -> None:
    nothing = Evidence("never", "", False, np.zeros(MEMBERS), np.zeros(OTHERS))
    (bound,) = simultaneous([nothing, *evidence(np.random.default_rng(8))[:1]], [everybody()], seed=1).of(
        "never"
    )
    assert bound.value == 0
    assert 0.003 < bound.high < 0.03


def test_the_same_seed_gives_the_same_bound() -> None:
    given = evidence(np.random.default_rng(9)), [everybody()]
    assert simultaneous(*given, seed=1) == simultaneous(*given, seed=1)


@pytest.mark.parametrize("settings", [{"level": 0.0}, {"level": 1.0}, {"attempts": 0}])
def test_what_is_no_level_is_refused(settings) -> None:
    with pytest.raises(ValueError, match="level"):
        simultaneous(evidence(np.random.default_rng(1)), [everybody()], seed=1, **settings)


def test_nothing_is_nothing() -> None:
    assert simultaneous([], [everybody()], seed=1) is None


SCHEMA = Schema(
    name="ward",
    columns=(
        CategoryColumn(name="sex", values=("F", "M"), roles=("protected",)),
        IntegerColumn(name="age", minimum=0, maximum=120, roles=("protected",), missing=True),
        NumberColumn(name="weight", minimum=0, maximum=400, decimals=0),
    ),
)


def ward(rows, seed):
    import pandas as pd

    rng = np.random.default_rng(seed)
    age = pd.array(rng.integers(20, 90, rows), dtype="Int64")
    age[rng.random(rows) < 0.2] = pd.NA
    return pd.DataFrame(
        {
            "sex": pd.Categorical(rng.choice(["F", "M"], rows), categories=["F", "M"]),
            "age": age,
            "weight": rng.normal(75, 10, rows).clip(0, 400).round(),
        }
    )


def test_groups_are_by_protected_column_and_the_isolated_are_500() -> None:
    members, others = ward(700, 1), ward(400, 2)
    members.loc[:2, "weight"] = [390.0, 395.0, 400.0]
    found = {s.name: s for s in strata(members, others, SCHEMA, seed=1)}
    assert list(found) == [
        ALL,
        "age: missing",
        "age: lowest third",
        "age: middle third",
        "age: highest third",
        "sex: F",
        "sex: M",
        ISOLATED,
    ]
    assert (found["sex: F"].members == (members["sex"] == "F")).all()
    assert (found["sex: F"].non_members == (others["sex"] == "F")).all()
    assert found[ISOLATED].members.sum() + found[ISOLATED].non_members.sum() == 500
    ages = [s for name, s in found.items() if name.startswith("age")]
    assert (sum(s.members.astype(int) for s in ages) == 1).all()


def test_a_group_does_not_depend_on_the_order_of_the_rows() -> None:
    members, others = ward(700, 1), ward(400, 2)
    turned = strata(members[::-1].reset_index(drop=True), others, SCHEMA, seed=1)
    for one, other in zip(strata(members, others, SCHEMA, seed=1), turned, strict=True):
        assert (one.members == other.members[::-1]).all()
        assert (one.non_members == other.non_members).all()
