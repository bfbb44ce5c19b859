"""All attacks as one: small leaks add up, units do not count, and the pool decides alone."""

import numpy as np

from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.privacy.combined import combined
from ehrsynth.statistics import auroc

MEMBERS, OTHERS = 1_500, 1_000


def risk(name: str, *evidence: Evidence) -> Risk:
    return Risk(name, 0.0, 0.0, 0.0, None, None, None, 1, 1, {}, "", evidence)


def faint(name: str, rng: np.random.Generator, shift: float, scale: float = 1.0) -> Risk:
    """An attack to which members look a little different."""
    members, others = scale * (rng.normal(size=MEMBERS) + shift), scale * rng.normal(size=OTHERS)
    return risk(name, Evidence(name, "", graded=True, members=members, non_members=others))


def area(one: Risk) -> float:
    (told,) = one.evidence
    labels = np.repeat([1, 0], [MEMBERS, OTHERS])
    return auroc(labels, np.concatenate([told.members, told.non_members]))


def test_what_several_attacks_see_faintly_is_seen_clearly() -> None:
    rng = np.random.default_rng(0)
    each = {f"a{n}": faint(f"a{n}", rng, 0.2, scale=10.0**n) for n in range(6)}
    together = combined(each)
    assert together is not None
    assert area(together) > max(area(one) for one in each.values()) + 0.02
    assert together.details["auroc"]["value"] == area(together)
    assert (together.name, together.n_attacks) == ("combined", MEMBERS)


def test_without_a_leak_there_is_none() -> None:
    rng = np.random.default_rng(1)
    together = combined({f"a{n}": faint(f"a{n}", rng, 0.0) for n in range(6)})
    assert together is not None
    assert abs(area(together) - 0.5) < 0.05


def test_successes_take_no_part_and_one_attack_stands_for_itself() -> None:
    rng = np.random.default_rng(2)
    one = faint("one", rng, 0.5)
    rate = risk(
        "rate", Evidence("rate", "", graded=False, members=np.ones(MEMBERS), non_members=np.zeros(OTHERS))
    )
    assert combined({"one": one, "rate": rate}) is None
    assert combined({}) is None


def test_who_was_not_attacked_by_all_is_left_out() -> None:
    rng = np.random.default_rng(3)
    one, other = faint("one", rng, 0.5), faint("other", rng, 0.5)
    (told,) = other.evidence
    some = told.members.copy()
    some[::3] = np.nan
    part = risk("other", Evidence("other", "", graded=True, members=some, non_members=told.non_members))
    together = combined({"one": one, "other": part})
    assert together is not None
    assert np.isnan(together.evidence[0].members).sum() == np.isnan(some).sum()
    assert together.n_attacks == int((~np.isnan(some)).sum())
