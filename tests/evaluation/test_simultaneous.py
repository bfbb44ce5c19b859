"""One bound over all attacks: its level, its power, its upper ends, and what it leaves out."""

import numpy as np
import pytest

from ehrsynth.evaluation.base import Evidence
from ehrsynth.evaluation.privacy.bounds import ALL, ISOLATED
from ehrsynth.evaluation.privacy.labels import Attacked, Labels, labellings
from ehrsynth.evaluation.privacy.permuted import Permuted, look, measure
from ehrsynth.evaluation.privacy.simultaneous import simultaneous
from ehrsynth.evaluation.privacy.strata import Stratum, strata
from ehrsynth.schema import CategoryColumn, IntegerColumn, NumberColumn, Schema
from ehrsynth.statistics import auroc

MEMBERS, OTHERS = 900, 500
NOBODY = np.empty(0, np.bool_)


def everybody(members=MEMBERS, others=OTHERS, reference=0):
    return Stratum(ALL, "all", *(np.ones(size, np.bool_) for size in (members, others, reference)))


def thirds(rng):
    group = rng.integers(0, 3, MEMBERS + OTHERS)
    parts = [((group == g)[:MEMBERS], (group == g)[MEMBERS:], NOBODY) for g in range(3)]
    return [everybody(), *(Stratum(f"g: {g}", "group", *masks) for g, masks in enumerate(parts))]


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


def replace_reference(one):
    """The last of the non-members as a reference that is attacked too."""
    others, reference = one.non_members[:OTHERS], one.non_members[OTHERS:]
    return Evidence(one.attack, one.variant, one.graded, one.members, others, reference)


def narrow(one):
    return Evidence(one.attack, one.variant, one.graded, one.members, one.non_members[:OTHERS])


def test_what_leaks_nothing_is_flagged_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(1)
    runs, level, reference = 40, 0.1, 400
    group = rng.integers(0, 3, MEMBERS + OTHERS + reference)
    borders = (MEMBERS, MEMBERS + OTHERS)
    groups = [Stratum(f"g: {g}", "group", *np.split(group == g, borders)) for g in range(3)]
    flagged = 0
    for n in range(runs):
        # Half of the attacks learn nothing from the reference and have it as a further control.
        every = evidence(rng, others=OTHERS + reference)
        wide = [replace_reference(one) if k % 2 else narrow(one) for k, one in enumerate(every)]
        found = simultaneous(wide, [everybody(reference=reference), *groups], seed=n, level=level)
        flagged += found.finding is not None
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


def few_members_and_rare_successes(rng, shift):
    """One attack that ranks members a little higher, and thirty that hardly ever succeed on anybody."""
    members, others = 100, 1500
    scores = rng.normal(size=members + others)
    scores[:members] += shift
    weak = Evidence("weak", "", True, scores[:members], scores[members:])
    rare = [
        Evidence(f"rare {k}", "", False, success[:members], success[members:])
        for k, success in enumerate(rng.random((30, members + others)) < 0.002)
    ]
    return [weak, *rare], [everybody(members, others)]


def test_rare_successes_do_not_hide_what_another_attack_shows() -> None:
    """A single success among few members lies many standard deviations out, and is what chance makes."""
    found = sum(
        simultaneous(*few_members_and_rare_successes(np.random.default_rng(n), 0.5), seed=n).p_value <= 0.01
        for n in range(10)
    )
    assert found >= 7  # in standard deviations: 2


def test_rare_successes_are_no_finding() -> None:
    flagged = sum(
        simultaneous(*few_members_and_rare_successes(np.random.default_rng(n), 0.0), seed=n).p_value <= 0.1
        for n in range(40)
    )
    assert flagged <= 10  # more than 10 of 40 at a level of 0.1 happen about once in 700 times


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
    few = Stratum("g: few", "group", np.arange(MEMBERS) < 40, np.ones(OTHERS, np.bool_), NOBODY)
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
    labels = labellings(known, Attacked(attacked, attacked[:, :0]), 50, np.random.default_rng(0)).inner
    assert (labels[:6].sum(axis=0) == 3).all()
    assert (labels[6:].sum(axis=0) == 1).all()
    assert len(np.unique(labels.T, axis=0)) > 20


def test_every_labelling_is_equally_likely_with_and_without_the_reference() -> None:
    known = np.arange(9) < 3
    inner = np.arange(9)[:, None] < 6  # three members and three non-members; then three of the reference
    labels = labellings(known, Attacked(inner, np.ones((9, 1), np.bool_)), 20_000, np.random.default_rng(0))
    for found, size in ((labels.inner[:6], 20), (labels.outer, 84)):
        assert (found.sum(axis=0) == 3).all()
        counts = np.unique(found.T, axis=0, return_counts=True)[1]
        assert len(counts) == size
        expected = 20_000 / size
        assert (((counts - expected) ** 2) / expected).sum() < size + 5 * np.sqrt(2 * size)
    assert not labels.inner[6:].any()
    same = (labels.inner[:3] == labels.outer[:3]).mean()
    assert same > 0.7  # they move together: the same patients are members in both where they can be


def test_an_attack_that_learns_nothing_from_the_reference_has_it_as_a_further_control() -> None:
    rng = np.random.default_rng(10)
    score = rng.random(MEMBERS + OTHERS + 600) < 0.3
    parts = np.split(score.astype(float), (MEMBERS, MEMBERS + OTHERS))
    wide = Evidence("free", "", False, *parts)
    narrow = Evidence("learns", "", False, *parts[:2])
    found = simultaneous([wide, narrow], [everybody(reference=600)], seed=1)
    free, learns = found.of("free")[0], found.of("learns")[0]
    assert (free.n_non_members, learns.n_non_members) == (1100, 500)
    assert free.spread < 0.9 * learns.spread
    expected = np.sqrt(0.3 * 0.7 * (1 / 900 + 1 / 1100)) / 0.7
    assert free.spread == pytest.approx(expected, rel=0.1)


def test_what_can_be_judged_follows_from_the_spread_alone_and_keeps_its_power() -> None:
    rng = np.random.default_rng(11)
    given = evidence(rng, 0.0, 2000, 1500), [everybody(2000, 1500)]
    found = simultaneous(*given, seed=1)
    limits = [0.09 if bound.statistic != "TPR at 1 % FPR" else 0.02 for bound in found.bounds]
    held = found.held(limits)
    judged = np.array([bound.judged for bound in held.bounds])
    assert 0 < judged.sum() < len(judged)
    for bound, limit in zip(held.bounds, limits, strict=True):
        assert bound.judged == (bound.detectable <= limit)
    among = held.drawn[:, judged]
    ends = np.array([b.high - b.value for b in held.bounds])[judged]
    spread = np.array([b.spread for b in held.bounds])[judged]
    kept = (among * spread + ends <= np.array(limits)[judged]).all(axis=1)
    assert kept.mean() >= 0.9
    assert all(
        one.high <= other.high for one, other in zip(held.bounds, found.bounds, strict=True) if one.judged
    )
    assert held.held(limits) == held
    assert held.p_value == found.p_value


def test_a_leak_does_not_make_its_own_statistic_unmeasurable() -> None:
    """The error of a leaky attack is large: were it what decides, the leak would leave the gate's sight."""
    rng = np.random.default_rng(12)
    calm, leaky = evidence(rng, 0.0, 2000, 1500), evidence(rng, 0.5, 2000, 1500)
    judged = []
    for given in (calm, leaky):
        found = simultaneous(given, [everybody(2000, 1500)], seed=1)
        held = found.held([0.12] * len(found.bounds))
        judged.append({(b.attack, b.statistic) for b in held.bounds if b.judged and b.graded})
    assert judged[0] <= judged[1]


def test_nothing_is_judged_where_nothing_can_be() -> None:
    found = simultaneous(evidence(np.random.default_rng(13), 0.0, 100, 60), [everybody(100, 60)], seed=1)
    held = found.held([0.01] * len(found.bounds))
    assert not any(bound.judged for bound in held.bounds)
    assert min(bound.detectable for bound in held.bounds) > 0.01


def test_the_quick_statistics_equal_the_plain_ones() -> None:
    rng = np.random.default_rng(7)
    labels = rng.permuted(np.repeat([1, 0], (MEMBERS, OTHERS)).astype(np.uint8))
    for one in evidence(rng, 0.05):
        everything = np.concatenate([one.members, one.non_members])
        known = labels == 1
        moved = Evidence(one.attack, "", one.graded, everything[known], everything[~known])
        quick = Permuted(look(one, everybody())).under(Labels(labels[:, None], labels[:, None]))[:, 0]
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


def test_a_score_that_tells_nobody_apart_has_an_error_all_the_same() -> None:
    """Nobody's row is met, or everybody's is: nothing was seen, and something could still be."""
    steady = evidence(np.random.default_rng(8), 0.0, 60, 60)[:1]
    for score in (0.0, 1.0):
        flat = Evidence("flat", "", True, np.full(60, score), np.full(60, score))
        found = simultaneous([flat, *steady], [everybody(60, 60)], seed=1).of("flat")
        assert [bound.value for bound in found] == [pytest.approx(0, abs=1e-12)] * len(found)
        assert all(bound.high > 0.05 and bound.spread > 0.01 for bound in found)
    large = Evidence("flat", "", True, np.zeros(9000), np.zeros(9000))
    found = simultaneous([large], [everybody(9000, 9000)], seed=1)
    held = found.held([0.09, 0.02, 0.09])
    assert all(bound.judged and bound.high < 0.02 for bound in held.bounds)


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
    found = {s.name: s for s in strata(members, others, others[:100], SCHEMA, seed=1)}
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
    assert (found["sex: F"].reference == (others["sex"][:100] == "F")).all()
    last = found[ISOLATED]
    assert last.members.sum() + last.non_members.sum() + last.reference.sum() == 500
    ages = [s for name, s in found.items() if name.startswith("age")]
    assert (sum(s.members.astype(int) for s in ages) == 1).all()


def test_a_group_does_not_depend_on_the_order_of_the_rows() -> None:
    members, others = ward(700, 1), ward(400, 2)
    turned = strata(members[::-1].reset_index(drop=True), others, others, SCHEMA, seed=1)
    for one, other in zip(strata(members, others, others, SCHEMA, seed=1), turned, strict=True):
        assert (one.members == other.members[::-1]).all()
        assert (one.non_members == other.non_members).all()
